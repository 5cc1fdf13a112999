"""The verbs that show what there is: what they print can be read by people and by programs."""

from __future__ import annotations

import json
import shlex
import tomllib

import numpy as np
import pytest
from PIL import Image

from gander.recipe.read import load_recipe
from gander.run import Run, writing
from gander.training.loop import train
from tests.tiny import stopped_run, tiny, tiny_file


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return train(tiny(folder, "projection"), folder / "run")


@pytest.mark.parametrize("walk", [False, True])
def test_a_sample_says_where_it_is_and_never_overwrites(walk, gander, trained, tmp_path):
    words = ("sample", trained.path, "-n", 4, "--seed", 7, *(["--walk"] if walk else []))
    kind = "walk" if walk else "sample"
    first, second = gander(*words), gander(*words)
    paths = [trained.path / "samples" / f"{kind}-seed7{end}.png" for end in ("", "-2")]
    for answer, path in zip((first, second), paths, strict=True):
        assert answer == (
            0,
            f"{'walk' if walk else 'samples'} {path}\nnext    gander sample {trained.path} --seed 8\n",
            "",
        )
    assert paths[0].read_bytes() == paths[1].read_bytes()
    to = tmp_path / "mine.png"
    assert json.loads(gander(*words, "--to", to, "--json").out) == {
        "run": str(trained.path),
        "picture": str(to),
        "seed": 7,
    }
    assert to.read_bytes() == paths[0].read_bytes()
    assert gander(*words, "--to", to).code == 2
    for path in paths:
        path.unlink()


def test_a_class_alone_fills_the_picture(gander, trained, tmp_path):
    answer = gander("sample", trained.path, "-n", 3, "--class", "square", "--to", tmp_path / "a.png")
    assert answer.code == 0
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 2.5 * picture.height
    answer = gander("sample", trained.path, "--class", "squire", "--to", tmp_path / "b.png")
    assert answer.code == 2
    assert 'did you mean "square"?' in answer.err
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize("to", ["picture.jpg", "absent/picture.png"])
def test_a_picture_goes_only_where_it_can(to, gander, trained, tmp_path):
    answer = gander("sample", trained.path, "--to", tmp_path / to)
    assert answer.code == 2
    assert f'--to "{tmp_path / to}"' in answer.err
    assert [*tmp_path.iterdir()] == []


def test_a_run_that_has_not_saved_yet_has_nothing_to_sample(gander, tmp_path):
    run = stopped_run(tiny(tmp_path), tmp_path / "run", 2)
    run.generator_file.unlink()
    answer = gander("sample", run.path)
    assert answer.code == 7
    assert f"Try: gander resume {run.path}" in answer.err


def test_runs_are_listed_newest_first_with_their_state(gander, runs, tmp_path, monkeypatch):
    monkeypatch.setattr("gander.run.PRETRAINED", tmp_path / "none")
    assert gander("runs") == (0, f"no run in {runs} yet\nnext    gander train quickstart\n", "")
    assert json.loads(gander("runs", "--json").out) == []
    stopped_run(tiny(tmp_path), runs / "older", 6)
    gander("train", tiny_file(tmp_path), "--run", runs / "newer")
    rows = json.loads(gander("runs", "--json").out)
    assert [(row["run"], row["state"], row["images"], row["total"]) for row in rows] == [
        (str(runs / "newer"), "finished", 96, 96),
        (str(runs / "older"), "stopped", 48, 96),  # as the checkpoint, which is ahead of the log
    ]
    lines = gander("runs").out.splitlines()
    assert "96 / 96" in next(line for line in lines if "newer" in line)
    assert lines[-1] == f"next    gander sample {runs / 'newer'}"
    with writing(Run(runs / "older")):
        assert json.loads(gander("runs", "--json").out)[1]["state"] == "training"


def test_a_shipped_recipe_printed_can_be_trained_as_a_file(gander, tmp_path):
    listed = json.loads(gander("recipes", "--json").out)
    names = [entry if isinstance(entry, str) else entry["name"] for entry in listed]
    assert {"quickstart", "cifar10-dcgan"} <= {*names}
    text = gander("recipes", "quickstart").out
    assert json.loads(gander("recipes", "quickstart", "--json").out) == {
        "name": "quickstart",
        "recipe": tomllib.loads(text),
    }
    answer = gander("recipes")
    assert answer.code == 0
    assert all(name in answer.out for name in names)
    assert "gander train NAME" in answer.out


def test_two_recipes_are_compared_as_a_patch_that_can_be_typed(gander, tmp_path):
    assert gander("recipes", "quickstart", "quickstart").out == "quickstart and quickstart are the same\n"
    lines = gander("recipes", "shapes-dcgan", "shapes-r3").out.splitlines()
    assert "penalties.+r1.weight=0.2" in lines
    patch = [word for line in lines for word in shlex.split(line)]
    assert load_recipe("shapes-dcgan", patch) == load_recipe("shapes-r3")
    mine = tiny_file(tmp_path)
    patch = json.loads(gander("recipes", mine, "quickstart", "--json").out)
    assert load_recipe(mine, patch) == load_recipe("quickstart")
    assert 'no recipe is called "quickstrat"' in gander("recipes", mine, "quickstrat").err


def test_data_is_summed_up_and_what_is_broken_is_exit_3(gander, tmp_path):
    tiny(tmp_path)
    answer = gander("data", tmp_path / "data.npz", "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["images"] == 64
    plain = gander("data", tmp_path / "data.npz")
    assert "64" in plain.out
    assert plain.out.splitlines()[-1] == f"next    gander train RECIPE data={tmp_path / 'data.npz'}"
    np.savez(tmp_path / "bad.npz", images=np.zeros((3, 8, 8), np.uint8), labels=[0, 1, -7])
    answer = gander("data", tmp_path / "bad.npz")
    assert answer.code == 3
    assert "-7" in answer.out
    assert "1 image or label cannot be used" in answer.err
    names = json.loads(gander("data", "--json").out)
    assert names[0] == "shapes"
    assert gander("data").out.splitlines()[-1] == "next    gander data NAME, or a path"


def test_every_technique_is_explained_with_its_settings(gander):
    listed = gander("explain")
    assert listed.out.splitlines()[-1] == "next    gander explain r1"
    slots = dict(line.split(": ") for line in listed.out.splitlines()[:-1])
    codes = slots.pop("findings").split(", ")
    assert all(gander("explain", code).out.startswith(f"{code}: ") for code in codes[:3])
    assert len(slots) == 10
    for slot, kinds in slots.items():
        for kind in kinds.split(", "):
            answer = gander("explain", kind)
            assert answer.code == 0
            assert f'{slot}: {{ kind = "{kind}" }}' in answer.out
    assert gander("explain", "gander.r1").out == gander("explain", "r1").out  # of a module, as of one's own
    assert "  weight         default 1.0" in gander("explain", "r1").out


def test_no_name_of_a_stranger_commands_the_terminal(gander, runs, tmp_path):
    evil = "\x1b[2J\x07[red]\u202e"
    for number in range(2):
        folder = tmp_path / "data" / f"{evil}{number}"
        folder.mkdir(parents=True)
        for image in range(3):
            Image.new("RGB", (8, 8), (image, 0, number)).save(folder / f"{image}.png")
    recipe = tmp_path / "evil.toml"
    recipe.write_text(f"title = {json.dumps(evil)}\n", "utf-8")
    assert gander("recipes", recipe).code == 0
    shown = gander("data", tmp_path / "data")
    assert "\\x1b[2J\\x07[red]\\u202e0 3" in shown.out
    train(tiny(tmp_path, patch={"title": evil}), runs / "one")
    listed = gander("runs")
    assert "\\x1b[2J\\x07[red]" in listed.out
    for said in (shown, listed, gander("recipes", recipe)):
        assert not set("\x1b\x07\u202e") & set(said.out + said.err)
