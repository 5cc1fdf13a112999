"""The experiments on a checkpoint find what was planted, and only that, and leave no trace."""

from __future__ import annotations

import pytest
import torch

from gander.actions import examine as examining
from gander.actions.examine import examine, log_odds_of
from gander.errors import CheckpointError
from gander.run import Run
from gander.training import trainer
from gander.training.checkpoint import read_checkpoint, save_checkpoint
from gander.training.loop import train
from gander.training.loss import g_loss
from tests.doctor.bright import BATCH, bright
from tests.tiny import tiny

LONG = {"train.images": 40 * BATCH, "every.save": 0, "average": {"kind": "ema", "half_life": 100.0}}


def trained(folder, patch=None) -> Run:
    return train(bright(folder, LONG | (patch or {})), folder / "run")


@pytest.fixture(scope="module")
def healthy(tmp_path_factory) -> Run:
    return trained(tmp_path_factory.mktemp("healthy"))


def odds(run: Run) -> dict[str, float]:
    return log_odds_of(examine(run, steps=60))


def test_of_a_healthy_run_nothing_is_suspected_and_nothing_is_changed(healthy):
    def files():
        return {file: file.stat().st_mtime_ns for file in healthy.path.rglob("*")}

    before, state = files(), torch.get_rng_state()
    found = examine(healthy, steps=60)
    assert [each.name for each in found] == [
        "fresh-discriminator",
        "batch-norm-mode",
        "sign-g",
        "sign-d",
        "average",
        "latents",
    ]
    assert max(log_odds_of(found).values()) < 0.5
    assert log_odds_of(found)["wrong-sign"] == -3
    assert files() == before
    assert torch.equal(torch.get_rng_state(), state)
    assert examine(healthy, steps=60) == found


def test_spoilt_statistics_of_batch_norm_are_found(tmp_path):
    run = trained(tmp_path)
    checkpoint = read_checkpoint(run, None)
    spoilt = {
        name: tensor * 100 if name.startswith("average.") and "running_var" in name else tensor
        for name, tensor in checkpoint.tensors.items()
    }
    save_checkpoint(run, 40 * BATCH, spoilt, checkpoint.progress, keep=2)
    assert odds(run)["batch-norm-statistics"] > 1


def test_labels_that_are_swapped_for_d_are_found(tmp_path):
    run = trained(tmp_path, {"objective": {"kind": "smooth", "real": 0.0, "fake": 1.0}})
    found = odds(run)
    assert found["labels-flipped"] == 4
    assert found["wrong-sign"] < 4


def test_a_generator_that_goes_the_wrong_way_is_found(healthy, monkeypatch):
    monkeypatch.setattr(trainer, "g_loss", lambda *given: -g_loss(*given))
    made = examine(healthy, steps=1)
    found = log_odds_of(made)
    assert (found["wrong-sign"], found["labels-flipped"]) == (3, -2)
    (step,) = [each for each in made if each.name == "sign-g"]
    assert (
        step.says
        == "a plain step of G raises D's scores of the fakes in 0 of 10 trials, and lowers them in 10"
    )


def test_a_discriminator_that_learns_too_slowly_is_told_from_one_that_has_no_more_to_learn(
    tmp_path, monkeypatch
):
    run = trained(tmp_path, {"train.d_lr": 2e-6, "train.images": 10 * BATCH})
    weak = odds(run)
    assert (weak["d-rate-low"], weak["d-too-small"]) == (2, -1)
    subject = examining._Subject(run)
    shown = iter(range(10**6))

    def real_ones(made_by, streams, latents, labels, net=None):
        return subject.trainer().batches.take(7 + next(shown) * BATCH, len(latents))[0]

    monkeypatch.setattr(examining, "make_fakes", real_ones)
    assert odds(run)["d-rate-low"] == -2


@pytest.mark.parametrize("flavour", ["separate", "per class", "class head", "slicing", "features"])
def test_every_kind_of_training_can_be_examined(flavour, tmp_path):
    run = train(tiny(tmp_path, flavour), tmp_path / "run")
    assert {"fresh-discriminator", "sign-g", "sign-d", "latents"} <= {
        each.name for each in examine(run, steps=2)
    }


def test_a_run_without_a_checkpoint_cannot_be_examined(healthy, tmp_path):
    empty = Run(tmp_path / "run")
    empty.path.mkdir()
    for file in (healthy.recipe_file, healthy.env_file):
        (empty.path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        examine(empty)
