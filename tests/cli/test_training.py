"""The verbs that train say where a run is, how it goes and what to type next."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from gander.cli.progress import describe, duration
from gander.run import Run, find_run
from tests.tiny import contents, stopped_run, tiny, tiny_file


def test_a_training_names_its_run_its_pictures_and_the_next_command(gander, tmp_path, runs):
    answer = gander("train", tiny_file(tmp_path))
    assert answer.code == 0
    lines = answer.out.splitlines()
    begins = lines.index(f"run {runs / 'tiny-1'}: 96 images")
    assert lines[0] == "engine  cpu, float32, channels last, 1 thread"
    assert lines[1].startswith("error   data-tiny: 64 images are few")
    assert all(re.match(r"(error|warning|note) +[a-z-]+: ", line) for line in lines[1:begins])
    assert re.search(r" 96 / 96  loss D \d\.\d{3} G \d\.\d{3}  D\(real\) .* images/s  took", answer.out)
    assert lines[-3:] == [
        f"samples {runs / 'tiny-1/samples/images-000000000096.png'}",
        f"curves  {runs / 'tiny-1/curves.png'}",
        f"next    gander sample {runs / 'tiny-1'} --walk",
    ]
    assert (runs / "tiny-1/curves.png").exists()


def test_edits_alone_are_edits_of_the_quickstart(gander, runs, tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((20, 32, 32, 3), np.uint8), labels=np.arange(20) % 2)
    size = ("train.images=8", "train.batch=4", "engine.threads=1", "samples.columns=1")
    answer = gander("train", *size, f"data.path={tmp_path / 'x.npz'}")
    assert answer.code == 0
    text = (runs / "quickstart-1/recipe.toml").read_text()
    assert "images = 8\n" in text
    assert "batch = 4\n" in text
    assert find_run("@last").history().images == [8]


def test_an_interrupted_run_goes_on_to_the_end_and_prints_one_object(gander, tmp_path):
    run = stopped_run(tiny(tmp_path), tmp_path / "run", 7)
    answer = gander("resume", run.path, "--json")
    assert (answer.code, answer.err) == (0, "")
    told = json.loads(answer.out)
    assert {name: told[name] for name in ("run", "images", "sheet", "curves")} == {
        "run": str(run.path),
        "images": 96,
        "sheet": str(run.sheet_file(96)),
        "curves": str(run.curves_file),
    }
    assert {"loss/d", "loss/g", "score/real", "score/fake", "grad/d", "grad/g"} <= told["last"].keys()
    again = gander("resume", run.path, "--json")
    assert json.loads(again.out) == told


def test_a_finished_run_is_said_to_be_and_is_trained_longer_in_a_new_one(gander, tmp_path, runs):
    recipe = tiny_file(tmp_path)
    gander("train", recipe, "seed=3", "penalties=r1", "--run", runs / "my run")
    done = gander("resume", "@last")
    assert f"96 images, finished; gander resume '{runs / 'my run'}' train.images=192 goes further" in done.out
    assert f"next    gander sample '{runs / 'my run'}' --walk" in done.out
    assert gander("resume", "@last", "train.images=128").code == 0
    assert find_run("@last").history().images[-1] == 128
    (stub,) = (tmp_path / "runs").glob("my-run-1")
    (stub / "generator.safetensors").unlink()
    assert [find_run("@last").name, find_run("@last", unsaved=True).name] == ["my run", "my-run-1"]
    rows = json.loads(gander("runs", "--json").out)
    kept = [[row.get(name) for name in ("edits", "seed", "state")] for row in rows[:2]]
    assert kept == [["train.images=128", 3, "finished"], ["seed=3 penalties=r1", 3, "finished"]]


def test_a_used_directory_is_refused_and_stays_as_it_is(gander, tmp_path):
    recipe = tiny_file(tmp_path)
    assert json.loads(gander("train", recipe, "--run", tmp_path / "run", "--json").out)["images"] == 96
    before = contents(Run(tmp_path / "run"))
    answer = gander("train", recipe, "--run", tmp_path / "run")
    assert answer.code == 2
    assert "is already there, and nothing is overwritten" in answer.err
    assert f"Try: gander resume {tmp_path / 'run'}" in answer.err
    assert contents(Run(tmp_path / "run")) == before


def test_nets_that_do_not_fit_the_data_are_told_before_a_run_is_made(gander, tmp_path, runs):
    answer = gander("train", tiny_file(tmp_path), "generator.layers.0.size=3")
    assert answer.code == 2
    assert "these make images of 12 x 12, but the data has 3 x 8 x 8" in answer.err
    assert not runs.exists()


def test_a_recipe_that_needs_labels_refuses_data_without(gander, tmp_path, runs):
    recipe = tiny_file(tmp_path, "projection")
    np.savez(tmp_path / "data.npz", images=np.zeros((8, 8, 8, 3), np.uint8))
    answer = gander("train", recipe)
    assert answer.code == 2
    assert "has no labels, which this recipe's nets use" in answer.err
    assert not runs.exists()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (12_000, "3 h 20 min")],
)
def test_a_duration_is_written_for_a_person(seconds, text):
    assert duration(seconds) == text


def test_a_row_is_one_line_with_the_class_in_front_where_there_is_one():
    row = {"loss/d": 1.25, "loss/g": 0.5, "score/real": 0.75, "score/fake": -0.5}
    row["speed/images_per_second"] = 1234.5
    line = "loss D 1.250 G 0.500  D(real) +0.75 D(fake) -0.50  1,234 images/s  9 s left"
    assert describe(row, "9 s left") == line
    assert describe(row | {"class": "frog"}, "9 s left") == f"frog  {line}"


def test_what_the_doctor_finds_is_a_line_with_its_remedy(gander, tmp_path, monkeypatch):
    monkeypatch.setattr("gander.doctor.diagnose.FIRST_STEPS", 0)
    edits = {"every.log": 8, "every.probe": 8, "train.images": 192, "train.g_lr": 0.9}
    answer = gander("train", tiny_file(tmp_path, patch=edits))
    said = re.search(
        r"^ +\d+ warning  ([a-z-]+) \(\d+% sure\): .*; try: gander train .*train\.", answer.out, re.M
    )
    assert said
    assert len(re.findall(rf"warning  {said[1]} ", answer.out)) == 1
