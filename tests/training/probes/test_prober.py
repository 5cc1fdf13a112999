"""Probes leave no trace in a training, and a training that was interrupted none in its probes."""

from __future__ import annotations

import pytest

from gander.recipe.read import read_recipe
from gander.training.checkpoint import newest_checkpoint
from gander.training.loop import resume, train
from tests.tiny import BATCH, FLAVOURS, contents, stopped_run, tiny
from tests.training.test_resume import other_fate

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
    assert read_recipe(run).data.held_out == 0
