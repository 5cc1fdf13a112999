"""How fast a recipe trains here, as a share of the machine's best matrix product."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from gander.data.images import Images
from gander.engine.machine import Machine, choose_machine, multiplies_bf16
from gander.recipe.schema import Engine, Recipe
from gander.training.memory import measure_memory, with_batch
from gander.training.trainer import Trainer

_SIZE = 2_048  # of the square matrices whose product is the yardstick
_SLOWEST = 3.0  # seconds a step; beyond, the batch is halved, as the rate of an image hardly changes
_IMAGES = 2_000


@dataclass(frozen=True)
class Speed:
    """Images a second in each round, and the best matrix product in the same rounds, by precision."""

    machine: Machine
    batch: int
    gflop_per_image: float
    rounds: list[float]
    products: dict[str, float]  # 10^9 operations a second
    memory: float = 0.0  # bytes of tensors at the recipe's own batch

    @property
    def images_per_second(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)

    @property
    def share(self) -> float:
        """The part that the recipe reaches of the matrix product in its own precision."""
        return self.images_per_second * self.gflop_per_image / self.products[self.machine.precision]


def counting_operations() -> FlopCounterMode:
    """Count the multiplications and additions of convolutions and matrix products, forwards and back."""
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution_backward: _backward})


def _backward(*shapes: Any, out_shape: Any) -> int:
    """Count a convolution's gradients, each as itself: torch's own count forgets the groups."""
    gradient, maps, weight, transposed, asked = *shapes[:3], shapes[7], shapes[10]
    places = maps if transposed else gradient
    return 2 * places[0] * math.prod(places[2:]) * math.prod(weight) * sum(asked[:2])


def precisions() -> tuple[str, ...]:
    """Name the precisions that this machine has instructions for."""
    kind = choose_machine(Engine()).device.type
    return ("float32", *["tf32"] * (kind == "cuda"), *["bf16"] * multiplies_bf16(kind))


def matrix_product(precision: str) -> Callable[[], object]:
    """Prepare a product of square matrices, which is what a machine does fastest: `PRODUCT` operations."""
    machine = choose_machine(Engine(precision=precision))  # type: ignore[arg-type]
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(_SIZE, _SIZE, device=machine.device, dtype=kind) for _ in "ab")
    return lambda: left @ right


PRODUCT = 2 * _SIZE**3


def random_images(recipe: Recipe) -> Images:
    """Make images of ten classes, of the size that the recipe's own data have."""
    channels, size = (1, 28) if recipe.data.source == "mnist" else (3, recipe.data.size or 32)
    pixels = np.random.default_rng(0).integers(0, 256, (_IMAGES, channels, size, size), np.uint8)
    return Images(pixels, np.arange(_IMAGES) % 10, tuple("0123456789"), "random", "random")


def trainer_for_timing(recipe: Recipe) -> tuple[Trainer, float]:
    """Build a trainer on random images, warm, and count the operations (10^9) that an image costs.

    The batch is halved until a step takes no more than three seconds.
    """
    images = random_images(recipe)
    machine = choose_machine(recipe.engine)
    batch = recipe.train.batch
    trainer = Trainer(with_batch(recipe, min(batch, 8)), images, machine)
    trainer.step()
    one = seconds_of(trainer.step, 1, machine) / min(batch, 8)
    while batch > 8 and batch * one > _SLOWEST:
        batch //= 2
    trainer = Trainer(with_batch(recipe, batch), images, machine)
    with counting_operations() as counted:
        trainer.step()
    return trainer, counted.get_total_flops() / trainer.recipe.shown_per_step / 1e9


def seconds_of(work: Callable[[], object], times: int, machine: Machine) -> float:
    """Time some work, done so many times in a row."""
    wait: Callable[[], object] = torch.cuda.synchronize if machine.device.type == "cuda" else lambda: None
    wait()
    began = time.perf_counter()
    for _ in range(times):
        work()
    wait()
    return time.perf_counter() - began


def measure_speed(recipe: Recipe, rounds: int = 5, seconds: float = 1.0) -> Speed:
    """Train a recipe on random images in turns with the matrix product, so that both are disturbed alike.

    Raises: UsageError where the machine lacks what the recipe's engine asks for.
    """
    works: dict[str, Callable[[], object]] = {kind: matrix_product(kind) for kind in precisions()}
    machines = {kind: choose_machine(Engine(precision=kind)) for kind in works}  # type: ignore[arg-type]
    trainer, gflop = trainer_for_timing(recipe)
    works["recipe"], machines["recipe"] = trainer.step, trainer.machine
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):  # the first warms up, and says how many fit into the seconds
        for name, work in works.items():
            machines[name].use()
            count = max(1, round(seconds / times[name][0])) if number else 1
            times[name].append(seconds_of(work, count, machines[name]) / count)
    rates = {name: [1 / each for each in measured[1:]] for name, measured in times.items()}
    shown = trainer.recipe.shown_per_step
    return Speed(
        trainer.machine,
        trainer.recipe.train.batch,
        gflop,
        [shown * rate for rate in rates.pop("recipe")],
        {name: PRODUCT / 1e9 * max(each) for name, each in rates.items()},
        measure_memory(recipe, random_images(recipe), trainer.machine).at(recipe.train.batch),
    )
