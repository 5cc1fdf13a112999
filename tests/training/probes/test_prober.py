"""Probes leave no trace in a training, and a training that was interrupted none in its probes."""

from __future__ import annotations

import json
import math

import pytest
import torch

from gander.data.images import open_images
from gander.engine.machine import Machine
from gander.recipe.read import load_recipe, read_recipe
from gander.recipe.shipped import recipe_names
from gander.training.checkpoint import newest_checkpoint
from gander.training.loop import resume, train
from gander.training.probes.prober import Prober
from gander.training.probes.weights import keep_weights
from gander.training.trainer import Trainer
from tests.recipe.test_shipped import LARGE, drawn
from tests.tiny import BATCH, FLAVOURS, contents, stopped_run, tiny
from tests.training.test_resume import other_fate

ALWAYS = (
    *(
        "auc",
        "auc_held_out",
        "real",
        "fake",
        "held_out",
        "real_deviation",
        "fake_deviation",
        "slope",
        "slope_d",
    ),
    *("update_g", "update_g_most", "update_d", "update_d_most", "frozen_g", "frozen_d", "dead_d"),
    *("sigma_g", "sigma_d", "rank_d", "diversity", "diversity_features", "rank", "repeats", "steepness"),
    *("movement", "low", "high", "colour", "checkerboard", "period4", "blur", "distance", "copies"),
)

PROBED = {"every.probe": 2 * BATCH}


def all_but_probes(run):
    checkpoint, _ = newest_checkpoint(run)
    names = [name for name in checkpoint.tensors if not name.startswith(("probes.", "stats."))]
    rows = [{k: v for k, v in row.items() if not k.startswith("probe/")} for row in contents(run)["log"]]
    sheets = [sheet.read_bytes() for sheet in run.sheets()]
    return rows, sheets, {name: checkpoint.tensors[name].numpy().tobytes() for name in names}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_training_is_the_same_with_and_without_probes(flavour, tmp_path):
    plain = train(tiny(tmp_path, flavour), tmp_path / "plain")
    probed = train(tiny(tmp_path, flavour, PROBED), tmp_path / "probed")
    assert any("probe/auc" in row for row in contents(probed)["log"])
    assert not any("probe/auc" in row for row in contents(plain)["log"])
    assert all_but_probes(plain) == all_but_probes(probed)


@pytest.mark.parametrize("flavour", ["plain", "projection", "per class"])
def test_an_interrupted_run_has_the_same_probes_in_its_log(flavour, tmp_path):
    recipe = tiny(tmp_path, flavour, PROBED | {"every.log": 3 * BATCH})
    whole = train(recipe, tmp_path / "whole")
    parts = stopped_run(recipe, tmp_path / "parts", 5)
    other_fate()
    assert contents(resume(parts)) == contents(whole)


def test_a_run_writes_how_many_images_it_holds_out_and_one_of_before_holds_out_none(tmp_path):
    run = train(tiny(tmp_path), tmp_path / "run")
    assert read_recipe(run).data.held_out == 6
    text = run.recipe_file.read_text()
    run.recipe_file.write_text(text.replace("held_out = 6\n", ""))
    run.env_file.write_text(json.dumps({name: run.env()[name] for name in run.env() if name != "digests"}))
    assert read_recipe(run).data.held_out == 0


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in recipe_names()]
)
def test_every_shipped_recipe_has_every_column_that_fits_it(name):
    recipe, images = load_recipe(name, {"train.batch": 4}), drawn(name, classes=2)
    trainer = Trainer(recipe, images, Machine(torch.device("cpu"), "float32", 1))
    prober, labelled = Prober(trainer, 16), trainer.generator.num_classes > 0
    for look in (0, 3):
        kept = keep_weights(trainer)
        trainer.step()
        numbers = prober.numbers(kept, look)
    expected = {f"probe/{column}" for column in ALWAYS}
    if labelled:
        expected |= {f"probe/{column}" for column in ("condition", "diversity_class")}
        expected |= {f"probe/label_{column}" for column in ("agreement", "chance")}
    if images.channels == 3:
        expected.add("probe/colour_swapped")
    if trainer.average is not trainer.generator:
        expected.add("probe/distance_average")
    if any("Norm" in type(part).__name__ for part in trainer.generator.modules()):
        expected.add("probe/distance_train_mode")
    assert expected <= numbers.keys()
    assert numbers.keys() - expected <= {"probe/dead_g"}
    odd = {column for column, value in numbers.items() if not math.isfinite(value)}
    assert odd <= {"probe/label_agreement", "probe/label_chance"}, (
        "4 held-out images may all be taken for others"
    )


@pytest.mark.parametrize("broken", ["g", "d"])
def test_a_net_that_has_diverged_is_probed_for_what_is_finite(broken, tmp_path):
    recipe = tiny(tmp_path, "projection")
    trainer = Trainer(recipe, open_images(path=recipe.data.path), Machine(torch.device("cpu")))
    with torch.no_grad():
        for weight in getattr(trainer, broken).weights:
            weight.fill_(math.nan)
    numbers = Prober(trainer, 16).numbers()
    assert math.isfinite(numbers["probe/real" if broken == "g" else "probe/diversity"])


def test_the_two_ways_that_no_number_gets_in_leave_the_log_whole(tmp_path, monkeypatch):
    numbers = {"probe/auc": 0.5, "probe/slope": math.nan, "probe/blur": math.inf}
    monkeypatch.setattr(Prober, "numbers", lambda *_: numbers)
    row = contents(train(tiny(tmp_path, "plain", PROBED), tmp_path / "run"))["log"][-1]
    assert [name for name in row if name.startswith("probe/")] == ["probe/auc"]


def test_a_run_that_is_never_to_be_probed_is_not(tmp_path):
    run = train(tiny(tmp_path, "plain", {"every.probe": 0}), tmp_path / "run")
    assert not any(name.startswith("probe/") for row in contents(run)["log"] for name in row)
