"""What a run pays beside its steps: log, samples, checkpoints and the guard, at the recipe's own intervals.

python benchmarks/overhead.py [RECIPE [PATH=VALUE]...]     cifar10-dcgan on drawn shapes, where none is given
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from gander.data.images import open_images
from gander.engine.guard import Guard
from gander.engine.machine import choose_machine
from gander.recipe.read import load_recipe
from gander.recipe.write import recipe_toml
from gander.run import create_run
from gander.training.session import Session
from gander.training.stats import Stats

REPEATS = 7


def seconds(work: Callable[[], object]) -> float:
    """Give the median seconds of a piece of work."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Time each chore, and print it as a share of the training it comes with."""
    name, *edits = sys.argv[1:] or ["cifar10-dcgan", "data=shapes"]
    recipe = load_recipe(name, edits)
    images = open_images(recipe.data.source, recipe.data.path, recipe.data.size)
    machine = choose_machine(recipe.engine)
    session = Session(recipe, images, machine)
    trainer, shown = session.trainer, recipe.shown_per_step
    trainer.step()
    step = seconds(trainer.step)

    numbers, guard, stats = torch.rand(4), Guard(), Stats()
    names = ["loss", "real", "fake", "grad"]

    def watch() -> None:
        for _ in range(2 * 100):  # two updates a step
            guard.watch(names, numbers, trainer.clock, trainer.nets)
            stats.add(names, numbers)

    with tempfile.TemporaryDirectory() as folder:
        run = create_run(Path(folder) / "run", name, recipe_toml(recipe), machine.describe())
        session.run = run
        chores = {
            "guard and statistics, each step": (seconds(watch) / 100, shown),
            "row of the log": (seconds(lambda: session.log(session)), recipe.every.log),
            "samples": (seconds(lambda: session.draw_samples()), recipe.every.samples),
            "checkpoint": (seconds(session.save), recipe.every.save),
        }
    print(f"{name} on {machine}: {step * 1000:.0f} ms a step of {shown} images, median of {REPEATS}")
    print("| chore | ms | every | share of the training |\n|---|---|---|---|")
    whole = 0.0
    for chore, (cost, every) in chores.items():
        share = cost / (step * every / shown) if every else 0.0
        whole += share
        print(f"| {chore} | {cost * 1000:.2f} | {every:,} images | {share:.2%} |")
    print(f"| all | | | {whole:.2%} |")


if __name__ == "__main__":
    main()
