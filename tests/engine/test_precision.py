"""bf16 and compiled nets train as float32 and plain nets do, and nothing that adds up is kept in less."""

import json
import shutil

import pytest
import torch

from gander.training.checkpoint import newest_checkpoint
from gander.training.loop import train
from tests.tiny import tiny

STEPS = 200
EXACT = {"discriminator.layers.2.rate": 0.0, "views": []}  # a compiled net draws its dropout in its own way


def rows_and_state(folder, name, flavour, patch):
    recipe = tiny(folder, flavour, patch)
    run = train(recipe, folder / name)
    rows = [json.loads(line) for line in run.log_file.read_text().splitlines()]
    return rows, newest_checkpoint(run)[0].tensors


@pytest.mark.slow
@pytest.mark.parametrize("flavour", ["plain", "projection", "lecam"])
def test_bf16_drifts_far_less_in_200_steps_than_another_seed(tmp_path, flavour):
    shown = tiny(tmp_path, flavour).shown_per_step
    patch = {
        "train.images": STEPS * shown,
        "train.g_lr": 2e-4,
        "train.d_lr": 2e-4,
        "every": {"log": 20 * shown, "samples": 0, "save": 0},
    }
    runs = [
        rows_and_state(tmp_path, name, flavour, patch | edits)
        for name, edits in (
            ("float32", {}),
            ("bf16", {"engine.precision": "bf16"}),
            ("other seed", {"seed": 1}),
        )
    ]
    (exact, weights), (rounded, rounded_weights), (other, _) = runs

    def apart(rows, name):
        return max(abs(ours[name] - theirs[name]) for ours, theirs in zip(exact, rows, strict=True))

    for name in ("loss/d", "loss/g", "score/real", "score/fake"):
        assert 0 < apart(rounded, name) < 0.02
        assert apart(rounded, name) < apart(other, name) / 3
    learned = [
        key for key in weights if key.startswith(("g.", "d.")) and key.endswith(("weight", "original"))
    ]
    moved = sum((weights[key] - rounded_weights[key]).square().sum() for key in learned).sqrt()
    assert moved < 0.02 * sum(weights[key].square().sum() for key in learned).sqrt()
    kinds = {
        tensor.dtype for key, tensor in rounded_weights.items() if not key.startswith(("stats.", "random."))
    }
    assert kinds <= {torch.float32, torch.int64}  # weights, statistics, moments, averages; and counts


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch compiles for a CPU with g++, which is not here"
)
@pytest.mark.parametrize(
    ("flavour", "edits", "choice"),
    [
        ("projection", EXACT, "nets"),
        ("d_steps", EXACT, "graphs"),  # on a CPU there is nothing to capture, but all else is the same
        ("class head", EXACT, "nets"),
    ],
    ids=["projection", "d_steps", "class head"],
)
@pytest.mark.filterwarnings("ignore")  # of the compiler's own
def test_compiled_nets_train_as_plain_ones(tmp_path, flavour, edits, choice):
    (plain, _), (compiled, _) = (
        rows_and_state(tmp_path, name, flavour, edits | {"engine.compiled": name}) for name in ("off", choice)
    )
    for ours, theirs in zip(plain, compiled, strict=True):
        for name in ("loss/d", "loss/g", "grad/d", "grad/g"):
            assert theirs[name] == pytest.approx(ours[name], rel=1e-4)
