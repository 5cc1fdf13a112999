"""Pretrained generators: a name in place of a run, in float16, whole and of a format that is known."""

from __future__ import annotations

import json
import logging
import os
import shutil

import pytest
import safetensors.torch
import torch

import gander
from gander.actions.kept import kept_generators
from gander.errors import CheckpointError, UsageError, exit_code
from gander.files import file_digest
from gander.run import Pretrained, Run, find_run, list_pretrained, runs_root
from gander.training.loop import branch, resume, train
from results import pretrained
from tests.tiny import Notes, tiny

SHIPPED = list_pretrained()
NAME = "blobs-pretrained"


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A run on shapes of 8 x 8, and the folder of what was made of it."""
    folder = tmp_path_factory.mktemp("packed")
    run = train(
        tiny(folder, patch={"data.path": "", "data.source": "shapes", "data.size": 8}), folder / "run"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gander.run.PRETRAINED", folder / "pretrained")
        pretrained.pack(run, Pretrained(runs_root() / NAME))
    return run, folder / "pretrained"


@pytest.fixture
def place(packed, tmp_path, monkeypatch):
    """A working directory of its own, with nothing shipped but that."""
    place = tmp_path / "pretrained"
    shutil.copytree(packed[1], place)
    monkeypatch.setattr("gander.run.PRETRAINED", place)
    monkeypatch.setenv("GANDER_RUNS", "runs")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return place


@pytest.mark.parametrize("run", SHIPPED, ids=lambda run: run.name)
def test_what_is_shipped_is_whole_small_and_of_no_machine(run):
    assert run.checked().generator_file.stat().st_size <= 16 * 2**20
    weights = safetensors.torch.load_file(run.generator_file).values()
    assert {weight.dtype for weight in weights if weight.is_floating_point()} == {torch.half}
    card = run.card
    assert card["float16"]["by_more_than_2"] == 0
    assert card["command"].startswith("gander train ")
    assert {"fd-judge", "recall", "coverage"} < {*card["scores"]}
    assert card["protocol"]["ancestry"] == "known"
    assert run.ancestry()[0]["source"] == run.env()["data"]["source"]
    assert [*gander.load(run.name).classes] == run.env()["data"]["classes"]


def test_a_name_gives_the_runs_images_in_float32(place, packed):
    ours, theirs = gander.load(NAME), gander.load(packed[0])
    assert next(ours.generator.parameters()).dtype == torch.float32
    latents = ours.draw(50)
    apart = (ours.images(latents).int() - theirs.images(latents).int()).abs().max()
    assert apart <= 2
    assert Pretrained(runs_root() / NAME).card["float16"]["largest"] <= 2
    assert os.listdir() == []  # to load is to write nothing


def test_a_name_stands_for_a_run_wherever_one_is_read(place, packed):
    run = find_run(NAME)
    assert (run.name, run.trained_images()) == (NAME, 96)
    assert run.ancestry() == packed[0].ancestry()
    assert find_run(f"runs/{NAME}") == run  # as it is printed
    assert [one.name for one in kept_generators(run)] == [NAME]  # that --for use chooses from
    made = gander.generate(NAME, 20, "made", device="cpu")
    assert made.facts["runs"][0]["generator"] == file_digest(place / f"{NAME}.safetensors")
    assert made.facts["ancestry"][0]["source"] == NAME
    gander.export(NAME, "g.safetensors")
    kept = {weight.dtype for weight in safetensors.torch.load_file("g.safetensors").values()}
    assert torch.half not in kept
    with pytest.raises(UsageError, match=r"best.safetensors: is not there"):
        find_run(f"{NAME}/best.safetensors")


def test_a_branch_begins_with_its_generator_and_all_else_anew(place, packed):
    heard = Notes()
    made = branch(NAME, {"train.images": 8, "train.g_lr": 0.0, "every.save": 8}, "made", heard)
    assert heard.notes[0] == f"branched from {NAME} after 0 images; D is new"
    assert made.env()["branched"] == {"from": NAME, "images": 0, "not_taken": []}
    weights = safetensors.torch.load_file(place / f"{NAME}.safetensors")
    after = safetensors.torch.load_file(made.generator_file)
    held = {name for name in weights if "running" not in name and "tracked" not in name}
    assert all(torch.equal(after[name], weights[name].float()) for name in held)
    assert made.ancestry()[1]["digest"] == file_digest(place / f"{NAME}.safetensors")
    wider = branch(NAME, {"train.images": 8, "generator.layers.0.width": 6}, "wider")
    assert all(line.startswith("g.") for line in wider.env()["branched"]["not_taken"])
    assert wider.env()["branched"]["not_taken"]
    with pytest.raises(UsageError, match="holds a generator alone") as told:
        resume(NAME)
    assert told.value.hint == f"gander train --from {NAME}"


def test_a_mistyped_name_is_told_the_nearest(place):
    with pytest.raises(UsageError, match=f'no run is called "blob-pretrained".*did you mean "{NAME}"'):
        find_run("blob-pretrained")


def test_a_run_of_that_name_wins_and_that_is_said(place, packed, caplog):
    shutil.copytree(packed[0].path, NAME)
    with caplog.at_level(logging.INFO):
        assert type(find_run(NAME)) is Run
    assert caplog.messages == [f"{NAME}: the run in this folder, not the pretrained one"]


@pytest.mark.parametrize("kept", [0.5, 1.0])
def test_a_damaged_file_is_one_error(kept, place):
    file = place / f"{NAME}.safetensors"
    whole = file.read_bytes()
    part = whole[: int(kept * len(whole))]
    file.write_bytes(part[:-1] + bytes([part[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=r"is damaged") as told:
        gander.load(NAME)
    assert (exit_code(told.value), len(told.value.problems)) == (7, 1)


def test_a_newer_format_is_told_before_its_file_is_read(place):
    card = json.loads((place / f"{NAME}.json").read_text())
    card["pretrained"] |= {"format": 2, "digest": "of a kind that nobody knows"}
    (place / f"{NAME}.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="has format 2, and this gander reads 1") as told:
        gander.load(NAME)
    assert told.value.hint == "pip install --upgrade gander-gan"


def test_names_are_listed_with_size_and_scores(place, monkeypatch, capsys):
    from gander.cli.showing import runs

    card = json.loads((place / f"{NAME}.json").read_text())
    card["pretrained"]["scores"] = {
        name: {"value": value} for name, value in (("fd-judge", 3.14), ("recall", 0.5), ("coverage", 0.25))
    }
    (place / f"{NAME}.json").write_text(json.dumps(card))
    runs(as_json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["run"], row["state"], row["images"], row["data"]) == (NAME, "pretrained", 96, "shapes")
    assert row["bytes"] == card["pretrained"]["bytes"]
    runs(as_json=False)
    said = capsys.readouterr().out
    assert NAME in said
    assert "fd-judge 3.14, recall 0.5, coverage 0.25" in " ".join(said.split())


def test_a_picture_goes_to_a_folder_of_its_name(place, capsys):
    from gander.cli.showing import sample

    sample(NAME, 4)
    assert os.path.exists(f"runs/{NAME}/samples/sample-seed0.png")
    assert capsys.readouterr().out.endswith(f"gander sample runs/{NAME} --seed 1\n")
