"""How fast each recipe trains here by precision and memory format, and how near the engine's choice comes.

    python benchmarks/choices.py [--seconds S] [--rounds N] [RECIPE[,PATH=VALUE]...]...

Each choice trains nets of its own, at the recipe's own batch, on random images; the choices take turns of
one step. Prints the table that benchmarks/RESULTS.md holds.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gander.data.images import Images
from gander.engine.machine import Machine, choose_machine, device_name
from gander.recipe.read import load_recipe
from gander.recipe.schema import Recipe
from gander.recipe.shipped import recipe_names
from gander.training.trainer import Trainer

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
_WARM = 2


def random_images(recipe: Recipe) -> Images:
    """Draw images of the shape of the recipe's data."""
    channels, size = (1, 28) if recipe.data.source == "mnist" else (3, recipe.data.size or 32)
    pixels = np.random.default_rng(0).integers(0, 256, (2_000, channels, size, size), np.uint8)
    return Images(pixels, np.arange(2_000) % 10, tuple("0123456789"), "random", "random")


def seconds_of(trainer: Trainer) -> float:
    """Time one step."""
    trainer.machine.use()
    began = time.perf_counter()
    trainer.step()
    if trainer.machine.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def measure(spec: str, seconds: float, most: int) -> str:
    """Give one row of the table."""
    name, *edits = spec.split(",")
    recipe = load_recipe(name, edits)
    if recipe.train.per_class:
        recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"per_class": False})})
    images = random_images(recipe)
    chosen = choose_machine(recipe.engine)
    machines = [
        replace(chosen, precision=precision, memory=memory)
        for precision, memory in itertools.product(("float32", "bf16"), ("channels_last", "contiguous"))
    ]
    trainers = {machine: Trainer(recipe, images, machine) for machine in machines}
    taken: dict[Machine, list[float]] = {machine: [] for machine in machines}
    for machine in machines if most > 1 else ():  # the first steps set much up
        for _ in range(_WARM):
            seconds_of(trainers[machine])
    ends = time.monotonic() + seconds
    while len(taken[chosen]) < most and (len(taken[chosen]) < 3 or time.monotonic() < ends):
        for machine in machines:
            taken[machine].append(seconds_of(trainers[machine]))
    medians = {machine: statistics.median(times) for machine, times in taken.items()}
    least = {machine: min(times) for machine, times in taken.items()}  # what disturbs, only adds
    cells = [
        f"{1e3 * medians[machine]:,.0f} ({1e3 * min(times):,.0f} to {1e3 * max(times):,.0f})"
        for machine, times in taken.items()
    ]
    own = f"{chosen.precision}, {chosen.memory.replace('_', ' ')}"
    label = " ".join([f"`{name}`", *edits])
    row = [
        label,
        str(recipe.train.batch),
        *cells,
        own,
        f"{min(least.values()) / least[chosen]:.0%}",
        str(len(taken[chosen])),
    ]
    return f"| {' | '.join(row)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=[])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each recipe")
    parser.add_argument("--rounds", type=int, default=25, help="at most; 1 also leaves out the warming up")
    options = parser.parse_args()
    cpus = Path("/proc/cpuinfo")
    has = set(cpus.read_text().split()) if cpus.exists() else set()
    machine = choose_machine(load_recipe("quickstart").engine)
    print(
        f"{device_name(machine.device)}, {machine.threads} threads; {' '.join(f for f in _FLAGS if f in has)}"
    )
    print(f"torch {torch.__version__}; ms a step, median (lowest to highest)\n")
    print("| recipe | batch | float32, channels last | float32, contiguous | bf16, channels last ", end="")
    print("| bf16, contiguous | the engine's own | of the best | n |\n|---|---|---|---|---|---|---|---|---|")
    for spec in options.recipes or recipe_names():
        print(measure(spec, options.seconds, options.rounds), flush=True)


if __name__ == "__main__":
    main()
