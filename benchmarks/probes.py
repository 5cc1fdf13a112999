"""The share of a run's time that its probes take: `python -m benchmarks.probes [RECIPE ...]`.

Steps and probes take turns, in processor time on one thread, so that a busy machine matters little.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch

from gander.data.images import open_images
from gander.engine.machine import Machine, keep_freed_memory
from gander.recipe.read import load_recipe
from gander.recipe.schema import Recipe
from gander.training.features import with_features
from gander.training.probes.prober import Prober, plan
from gander.training.probes.weights import keep_weights
from gander.training.trainer import Trainer

ROUNDS = 12


def seconds(work: Callable[[], object]) -> float:
    """Give the processor time that work takes."""
    before = time.process_time()
    work()
    return time.process_time() - before


def share(name: str, recipe: Recipe) -> str:
    """Say which share of a whole run of a recipe its probes take."""
    torch.set_num_threads(1)
    keep_freed_memory()
    images = open_images(recipe.data.source, recipe.data.path, recipe.data.size)
    trainer = with_features(Trainer(recipe, images, Machine(torch.device("cpu"))), images)
    steps = recipe.steps_for(len(images))
    every, n = plan(recipe, steps)
    if not every:
        return f"{name}: {steps} steps are too few for probes"
    looks = steps * recipe.shown_per_step // every
    first: list[Prober] = []
    once = seconds(lambda: first.append(Prober(trainer, n)))
    once += seconds(lambda: first[0].numbers(keep_weights(trainer), 0))
    step, probe = [], []
    for look in range(ROUNDS):
        step.append(seconds(trainer.step))
        probe.append(seconds(lambda look=look: first[0].numbers(keep_weights(trainer), look)))  # type: ignore[misc]
    cost, one = sum(probe) / len(probe), statistics.median(step)
    whole = (cost * looks + once) / (steps * one)
    return (
        f"{name}: {whole:.2%} of the time; {looks} looks of {n} images, every {every:,} images; "
        f"a look takes {cost:.3f} s, the first {once:.3f} s, a step {one:.3f} s"
    )


if __name__ == "__main__":
    for name in sys.argv[1:] or ["quickstart", "cifar10-dcgan"]:
        recipe, _, patch = name.partition(":")
        print(share(recipe, load_recipe(recipe, patch.split(",") if patch else ())), flush=True)
