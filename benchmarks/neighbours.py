"""What is left of the speed beside one busy process: train, judge, evaluate and generate, on random images.

    python benchmarks/neighbours.py [--seconds S] [--rounds N] [WORK]...

Each round times the work alone, then beside one endless loop: with the engine giving way, as it does unless
`engine.threads` is given, and with all threads held. The time that the engine takes to give way is counted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

import gander
from gander.data.images import Images
from gander.data.names import NAMED
from gander.engine.machine import Machine, choose_machine, device_name
from gander.generation.load import Sampler
from gander.recipe.read import load_recipe
from gander.recipe.schema import Engine
from gander.scores.classifier import Classifier, default_hyperparameters, split_data
from gander.scores.judge import load_judge
from gander.training.trainer import Trainer, build_nets, image_shape

Work = tuple[int, Callable[[], object]]
"""How many images, and what is done to them."""


def random_images(count: int = 2_000) -> Images:
    """Draw images of CIFAR-10's shape and classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), np.uint8)
    return Images(pixels, np.arange(count) % 10, NAMED["cifar10"].classes, "random", "random")


def training(name: str, machine: Machine) -> Work:
    """Make one step of a recipe."""
    recipe = load_recipe(name)
    images = random_images()
    trainer = Trainer(recipe, images, machine)
    return recipe.shown_per_step, lambda: trainer.step()


def judging(machine: Machine) -> Work:
    """Train a classifier for one epoch of few images."""
    images = random_images(600)
    learned, _ = split_data(images)
    classifier = Classifier(learned, 10, default_hyperparameters(images, None, None, 0), machine)
    return len(learned.labels), classifier.train_epoch


def evaluating() -> Work:
    """Read the features of images with a shipped classifier."""
    images = random_images(500)
    extractor = load_judge(Path(gander.__file__).parent / "judges" / "cifar10.safetensors")
    return len(images), lambda: extractor.extract(images.pixels)


def generating() -> Work:
    """Make images with the generator of cifar10-dcgan, in float32 as `gander generate` does."""
    recipe = load_recipe("cifar10-dcgan")
    generator, _ = build_nets(recipe, image_shape(recipe, random_images(1)))
    sampler = Sampler(generator, recipe.latents, NAMED["cifar10"].classes)
    latents = sampler.draw(256, 0)
    return 256, lambda: sampler.images(latents)


@contextmanager
def neighbour() -> Iterator[None]:
    """Keep one core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def rate(work: Work, seconds: float) -> float:
    """Give images a second."""
    images, act = work
    began, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        act()
        done += images
    return done / passed


def measure(name: str, seconds: float, rounds: int) -> str:
    """Give one row of the table."""
    machine = choose_machine(Engine(device="cpu"))
    makers: dict[str, Callable[[], Work]] = {
        "judge": lambda: judging(machine),
        "evaluate": evaluating,
        "generate": generating,
    }
    work = makers[name]() if name in makers else training(name, machine)
    work[1]()
    rates: list[list[float]] = []
    for _ in range(rounds):
        machine.use()
        row = [rate(work, seconds)]
        for beside in (machine, replace(machine, gives_way=False)):
            beside.use()
            with neighbour():
                row.append(rate(work, 2 * seconds))
        rates.append(row)
    columns = [*zip(*rates, strict=True)]
    cells = [f"{statistics.median(own):,.0f} ({min(own):,.0f} to {max(own):,.0f})" for own in columns]
    shares = [statistics.median(row[place] / row[0] for row in rates) for place in (1, 2)]
    return f"| {name} | {cells[0]} | {cells[1]} | {shares[0]:.0%} | {cells[2]} | {shares[1]:.0%} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    usual = ["quickstart", "cifar10-dcgan", "judge", "evaluate", "generate"]
    parser.add_argument("works", nargs="*", default=usual, help="a recipe, judge, evaluate or generate")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    machine = choose_machine(Engine(device="cpu"))
    print(f"{device_name(machine.device)}, {machine}; images/s, {options.rounds} rounds\n")
    print("| work | alone | beside one, giving way | of alone | beside one, threads held | of alone |")
    print("|---|---|---|---|---|---|")
    for name in options.works:
        print(measure(name, options.seconds, options.rounds), flush=True)


if __name__ == "__main__":
    main()
