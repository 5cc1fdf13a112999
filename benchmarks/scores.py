"""What scores cost: during a training, afterwards, at 50,000 images, and with use.

    python benchmarks/scores.py RUN LABELLED     # trained on cifar10: any run, and one with classes

Every command is a process of its own, whose peak memory is what the system counted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from process import Cost, cost_of

from gander.data.images import open_images
from gander.data.store import cache_folder
from gander.engine.machine import choose_machine, device_name
from gander.generation.load import load
from gander.recipe.read import load_recipe
from gander.recipe.schema import Engine
from gander.run import Run
from gander.scores.judge import find_judge
from gander.training.scoring import Scorer

_REPEATS = 5


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("labelled", type=Path)
    given = parser.parse_args()
    machine = choose_machine(Engine())
    where = f"{device_name(machine.device)}, {os.cpu_count()} cores"
    print(f"{where}; torch {torch.__version__}; {datetime.now(UTC).date()}\n")
    print("| what | seconds | figure | peak MB |")
    print("|---|---|---|---|", flush=True)
    first, *later = during_training(given.run, machine.device)
    print(f"| during a training, n = 2,000: the first time | {first:.1f} | | |")
    told = f"{statistics.median(later):.1f} ({min(later):.1f} to {max(later):.1f})"
    print(f"| during a training, n = 2,000: each later time | {told} | 10 | |", flush=True)
    for kept in ("features", "baselines"):
        shutil.rmtree(cache_folder() / kept, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        for number, what in enumerate(("no features in the cache", "the real ones' in the cache")):
            words = ["evaluate", given.run, "-n", 10_000, "--to", out / f"{number}"]
            show(f"10,000 beside 10,000, {what}", "60", cost_of(*words))
        cost_of("generate", given.run, "-n", 50_000, "--to", out / "many.npz")
        words = ["evaluate", out / "many.npz", "--against", "cifar10", "-n", 50_000, "--to", out / "many"]
        show("50,000 beside 50,000", "memory: 3,000", cost_of(*words))
        words = ["evaluate", given.labelled, "-n", 1_000, "--use"]
        show("1,000 beside 1,000, --use --quick", "240", cost_of(*words, "--quick", "--to", out / "quick"))
        show("1,000 beside 1,000, --use", "1,200", cost_of(*words, "--to", out / "use"))
    print(f"\nthe judge looks at {judge_rate():,.0f} images a second, the median of {_REPEATS} times 5,000")


def show(what: str, figure: str, cost: Cost) -> None:
    """Print a row."""
    print(f"| {what} | {cost.seconds:,.0f} | {figure} | {cost.peak_mb:,.0f} |", flush=True)


def judge_rate() -> float:
    """Give the images a second that the judge of CIFAR-10 looks at."""
    images = open_images("cifar10")
    judge, pixels = find_judge(images), np.array(images.pixels[:5_000])
    rates = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        judge.extract(pixels)
        rates.append(len(pixels) / (time.perf_counter() - began))
    return statistics.median(rates)


def during_training(run: Path, device: torch.device) -> list[float]:
    """Give the seconds of scores as a training makes them; the first looks at real images, too."""
    recipe = load_recipe(str(Run(run).recipe_file), {"evaluate.every": 10_000})
    scorer, sampler = Scorer(recipe, open_images("cifar10"), device), load(run)
    sampler.generator.to(device)
    return [scorer.score(sampler, {"images": number})["took"] for number in range(1 + _REPEATS)]


if __name__ == "__main__":
    main()
