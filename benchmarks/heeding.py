"""What it costs to heed the neighbours while there are none: steps with and without, in turns of 1.5 s.

python benchmarks/heeding.py [ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace

from gander.data.images import open_images
from gander.engine.machine import choose_machine
from gander.recipe.read import load_recipe
from gander.training.trainer import Trainer

SECONDS = 1.5


def main(rounds: int) -> None:
    """Print images a second of both, and the median of their ratios."""
    images = open_images("shapes")
    for name in ("quickstart", "cifar10-dcgan"):
        recipe = load_recipe(name)
        machine = choose_machine(recipe.engine)
        trainer = Trainer(recipe, images, machine)
        for _ in range(10):
            trainer.step()
        speeds: dict[bool, list[float]] = {True: [], False: []}
        for number in range(rounds):
            for heeds in (True, False) if number % 2 else (False, True):
                replace(machine, gives_way=heeds).use()
                steps, began = 0, time.perf_counter()
                while time.perf_counter() - began < SECONDS:
                    trainer.step()
                    steps += 1
                speeds[heeds].append(steps * recipe.shown_per_step / (time.perf_counter() - began))
        ratio = statistics.median(a / b for a, b in zip(speeds[True], speeds[False], strict=True))
        medians = {heeds: statistics.median(own) for heeds, own in speeds.items()}
        print(f"{name}: {medians[True]:,.0f} images/s heeding, {medians[False]:,.0f} not; {ratio - 1:+.1%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
