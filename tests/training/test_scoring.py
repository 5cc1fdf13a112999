"""Scores during training: what they cost, what they keep, and what they leave alone."""

from __future__ import annotations

import json
import math
import os
import shutil

import numpy as np
import pytest
import torch

from gander.actions.generate import generate
from gander.data.images import open_images
from gander.errors import UsageError
from gander.generation.load import load
from gander.run import Run, find_run
from gander.training.checkpoint import newest_checkpoint
from gander.training.costs import Counted, operations_an_image
from gander.training.loop import resume, train
from gander.training.scoring import Scorer
from tests.judged import dark_and_light, train_judge
from tests.tiny import BATCH, Notes, contents, stopped_run, tiny

WILD = {"seed": 2, "train.g_lr": 0.1, "data.held_out": 0}  # the best comes early, and is lost
ALWAYS = WILD | {"evaluate": {"every": 2 * BATCH, "n": 100, "share": 1.0}}
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """Data of dark and light images, and their judge."""
    folder = tmp_path_factory.mktemp("scored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANDER_CACHE", str(folder / "cache"))
        train_judge(dark_and_light(folder))
        yield folder


@pytest.fixture(scope="module")
def scored(folder):
    return train(tiny(folder, "projection", ALWAYS), folder / "run")


def rows_of(run):
    rows = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    return [{name: row[name] for name in row if name not in ("seconds", "took")} for row in rows]


def test_scores_come_at_their_interval_with_floor_and_protocol(scored):
    rows = rows_of(scored)
    assert [row["images"] for row in rows] == [2 * BATCH * count for count in range(1, 7)]
    assert {"fd-judge", "kd-judge", "precision", "coverage", "label-fidelity/floor"} < {*rows[0]}
    assert {row["fd-judge/floor"] for row in rows} == {rows[0]["fd-judge/floor"]}
    assert rows[0]["protocol"]["n_fake"] == 100
    assert {row["fd-judge"] for row in rows} != {rows[0]["fd-judge"]}


def test_nothing_of_the_training_depends_on_them(scored, folder):
    quiet = train(tiny(folder, "projection", WILD | {"evaluate.every": 0}), folder / "quiet")
    ours, theirs = contents(scored), contents(quiet)
    for name in (*scored.sheets(), "log", "checkpoints/images-000000000096/state.safetensors"):
        name = str(name.relative_to(scored.path)) if name != "log" and not isinstance(name, str) else name
        assert ours[name] == theirs[name], name
    assert not quiet.metrics_file.exists()


def test_the_best_is_kept_beside_the_newest_checkpoints(scored):
    best, saved = math.inf, {32, 64, 96}
    for row in rows_of(scored):  # each that was the best when it came was saved
        if row["fd-judge"] < best:
            best, best_images = row["fd-judge"], row["images"]
            saved.add(best_images)
    kept = {f"images-{images:012d}" for images in (best_images, *sorted(saved)[-2:])}
    assert kept == {*os.listdir(scored.checkpoints)}
    last = load(scored).generator.state_dict()
    weights = load(scored.best_file).generator.state_dict()
    assert best_images < 64, "the case tells best from newest"
    assert any(not torch.equal(weights[name], last[name]) for name in weights)


@pytest.mark.parametrize("steps", [3, 7, 11])
def test_a_run_stopped_and_resumed_has_the_same_scores_and_best(steps, scored, folder, tmp_path):
    run = stopped_run(tiny(folder, "projection", ALWAYS), tmp_path / "run", steps)
    resume(run)
    assert rows_of(run) == rows_of(scored)
    assert contents(run) == contents(scored)
    assert run.best_file.read_bytes() == scored.best_file.read_bytes()
    best = min(rows_of(run), key=lambda row: row["fd-judge"])["images"]
    assert f"images-{best:012d}" in os.listdir(run.checkpoints)


def test_scores_after_the_checkpoint_are_made_again(scored, folder, tmp_path):
    run = stopped_run(tiny(folder, "projection", ALWAYS), tmp_path / "run", 5)
    saved, _ = newest_checkpoint(run)
    with run.metrics_file.open("a") as file:
        file.write(json.dumps(rows_of(scored)[0] | {"images": 41, "fd-judge": 0.0}) + "\n")
    assert saved.progress["metrics_rows"] == 2
    resume(run)
    assert rows_of(run) == rows_of(scored)


def test_the_interval_is_doubled_until_scores_fit_into_their_share_and_then_stands(folder, monkeypatch):
    recipe = tiny(folder, patch={"evaluate": {"every": 10, "n": 100, "share": 0.05}})
    scorer = Scorer(recipe, open_images(str(folder / "data.npz")), CPU)
    monkeypatch.setattr("gander.training.scoring.operations_an_image", lambda *_: 1.0)
    monkeypatch.setattr("gander.training.scoring.Counted.operations", 2.0)  # a score: 4, as 80 images
    assert not scorer.due(0, 10, finished=False)
    assert scorer.interval == 80
    assert [now for now in range(10, 170, 10) if scorer.due(now - 10, now, False)] == [80, 160]
    assert scorer.due(160, 165, finished=True)
    other = Scorer(recipe, open_images(str(folder / "data.npz")), CPU)
    other.restore([], 80)
    assert not other.due(0, 10, finished=False)


def test_what_is_counted_is_known_and_the_same_at_every_moment(folder, monkeypatch):
    images, kernel = torch.zeros(2, 3, 8, 8), torch.zeros(5, 3, 3, 3, requires_grad=True)
    with Counted() as one:
        torch.nn.functional.conv2d(images, kernel, padding=1)
    assert (one.calls, one.values) == (1, 10 * 2 * 5 * 64 + 2 * 5 * 64 * 27)
    with Counted() as back, torch.no_grad():
        torch.zeros(4, 6) @ torch.zeros(6, 7)
    assert (back.calls, back.values) == (3, 10 * (24 + 42 + 28) + 28 * 6)
    recipe = tiny(folder, "projection", {"evaluate": {"every": BATCH, "n": 100, "share": 0.3}})
    data = open_images(str(folder / "data.npz"))
    before, state = operations_an_image(recipe, data), torch.get_rng_state()
    monkeypatch.setattr("time.monotonic", lambda: 1e9)
    assert operations_an_image(recipe, data) == before
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("steps", [3, 5], ids=["before any checkpoint", "after one"])
def test_the_interval_survives_a_kill(steps, folder, tmp_path, monkeypatch):
    recipe = tiny(folder, "projection", {"evaluate": {"every": 2 * BATCH, "n": 100, "share": 0.5}})
    monkeypatch.setattr(Scorer, "_chosen", lambda *_: 4 * BATCH)
    run = stopped_run(recipe, tmp_path / "run", steps)
    if steps == 3:  # as after a kill
        shutil.rmtree(run.checkpoints)
    monkeypatch.setattr(Scorer, "_chosen", lambda *_: 2 * BATCH)  # another pace, on another day
    resume(run)
    assert run.state()["scores_every"] == 4 * BATCH
    assert [row["images"] for row in rows_of(run)] == [4 * BATCH, 8 * BATCH, 12 * BATCH]


@pytest.mark.parametrize(
    ("data", "told"), [("other", "these data have no judge yet; gander judge"), ("few", "are too few")]
)
def test_data_that_cannot_be_scored_are_told_of_and_trained_on(data, told, tmp_path):
    count = 64 if data == "few" else 300
    images = np.random.default_rng(1).integers(0, 256, (count, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(count) % 2)
    heard = Notes()
    run = train(tiny(tmp_path, patch={"evaluate.every": 1}), tmp_path / "run", heard)
    assert isinstance(run, Run)
    assert told in heard.notes[-1]
    assert not run.metrics_file.exists()


def test_the_best_generator_is_named_by_its_file(scored, folder):
    best = find_run(str(scored.best_file))
    assert (best.path, best.name) == (scored.path, "run/best.safetensors")
    ours, kept = load(best).generator.state_dict(), load(scored.best_file).generator.state_dict()
    assert all(torch.equal(ours[name], kept[name]) for name in kept)
    rows = rows_of(scored)
    made = generate(best, 20, folder / "made", device="cpu")
    assert made.facts["runs"][0]["trained_images"] == min(rows, key=lambda row: row["fd-judge"])["images"]
    assert made.facts["runs"][0]["run"] == "run/best.safetensors"


def test_a_run_without_scores_has_no_best_generator(folder):
    run = train(tiny(folder, "projection", {"evaluate": {"every": 0}}), folder / "unscored")
    with pytest.raises(UsageError, match=r"best.safetensors: is not there"):
        find_run(str(run.best_file))
