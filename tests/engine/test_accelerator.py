"""A training step never waits for an accelerator, and asks little of it beside the GAN itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from gander.recipe.read import load_recipe
from gander.recipe.shipped import recipe_names
from gander.training.trainer import Trainer
from tests.accelerator import META, Work, pretended, trainer_on_meta
from tests.tiny import FLAVOURS, tiny

RECORDED = Path(__file__).with_name("launches.json")
RECORD = "python -m tests.engine.test_accelerator --record"


def made(name):
    """A shipped recipe's training at its own batch and widths: without numbers that takes no time."""
    recipe = load_recipe(name, ())
    mnist = recipe.data.source == "mnist"
    return trainer_on_meta(recipe, 28 if mnist else recipe.data.size or 32, 1 if mnist else 3)


def first_step(name):
    """What is asked of the device in the first step, in which every penalty counts."""
    with pretended():
        trainer = made(name)
        with Work() as work:
            trainer.step()
    for name in ("zeros", "zeros_like"):  # the optimisers' moments, which are made once
        work.launched.pop(name, None)
    return work, trainer.recipe


@pytest.mark.parametrize("name", recipe_names())
def test_no_step_of_a_shipped_recipe_waits_and_none_launches_a_fifth_more_than_it_did(name):
    recorded = json.loads(RECORDED.read_text())
    assert name in recorded, RECORD
    work, recipe = first_step(name)
    assert not work.waits
    # The places and the labels of each batch, and who is mirrored, come from the CPU meanwhile.
    assert sum(work.sent.values()) <= 3 * recipe.train.d_steps
    assert sum(work.launched.values()) <= 1.2 * recorded[name], RECORD


ALL = {
    "views": [{"kind": "ada"}, {"kind": "diffaugment", "share": 0.5}, {"kind": "instance_noise"}],
    "penalties": [
        {"kind": "lecam"},
        {"kind": "r1", "every": 2},
        {"kind": "r2"},
        {"kind": "gradient_penalty"},
    ],
    "rewires.generator": [{"kind": "spectral_norm"}, {"kind": "clip_gradients"}],
    "rewires.discriminator": [{"kind": "clip_weights"}],
    "latents.kind": "truncated",
    "objective": {
        "kind": "top_k",
        "inner": {"kind": "flip", "inner": {"kind": "smooth", "real": [0.8, 1.2]}},
    },
    "data.mirror": True,
    "average": [{"kind": "ema"}, {"kind": "ema"}],
    "discriminator.layers.1.batch_norm": False,
    "discriminator.layers.2": {"kind": "minibatch_deviation"},
    "discriminator.san": True,
}


@pytest.mark.parametrize("flavour", [*FLAVOURS, "all"])
def test_no_technique_waits_and_data_are_sent_meanwhile(flavour, tmp_path):
    recipe = tiny(tmp_path, *(["plain", ALL] if flavour == "all" else [flavour]))
    with pretended():
        trainer = trainer_on_meta(recipe, 8, resident=flavour != "all")
        with Work() as work:
            for _ in range(2):
                trainer.step()
    assert not work.waits
    assert work.sent


WAITS = {
    "a number that is read": lambda x: x.sum().item(),
    "a branch": lambda x: x if x.sum() > 0 else -x,
    "a copy to the CPU": lambda x: x.cpu(),
    "a list": lambda x: x.tolist(),
    "a count of places": lambda x: x.nonzero(),
    "a mask that decides a shape": lambda x: x[x > 0],
    "a mask that is filled with numbers": lambda x: x.__setitem__(x > 0, torch.ones(2, device=META)),
    "numbers of the CPU": lambda x: torch.tensor([1.0, 2.0], device=META),
    "a tensor of the CPU": lambda x: torch.ones(3).to(META),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_whatever_waits_for_an_accelerator_is_seen(wait):
    with pretended(), Work() as work:
        try:
            wait(torch.ones(3, device=META))
        except (RuntimeError, NotImplementedError):
            return
    assert sum(work.waits.values()) == 1


@pytest.mark.parametrize("name", ["shapes-sngan", "quickstart"])
def test_an_updates_bookkeeping_is_six_launches_and_an_averages_three(name, monkeypatch):
    counts = {"_update": [], "after": []}

    def counted(move, call):
        def moved(trainer, *given):
            before = sum(work.launched.values())
            result = call(trainer, *given)
            counts[move].append(sum(work.launched.values()) - before)
            return result

        return moved

    for move in counts:
        monkeypatch.setattr(Trainer, move, counted(move, getattr(Trainer, move)))
    with pretended():
        trainer = made(name)
        with Work() as work:
            trainer.step()
            for seen in counts.values():
                seen.clear()  # the first step makes the optimisers' moments
            trainer.step()
    assert max(counts["_update"]) <= 6
    assert max(counts["after"]) <= 3 * len(trainer.averages)  # averaged, copied, and counts copied


if __name__ == "__main__" and sys.argv[1:] == ["--record"]:
    counted = {name: sum(first_step(name)[0].launched.values()) for name in recipe_names()}
    RECORDED.write_text(json.dumps(counted, indent=1) + "\n")
