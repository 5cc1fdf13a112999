"""How fast a recipe trains here, as a share of the machine's best matrix product."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

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


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the multiplications and additions of every convolution and matrix product, forwards and back."""

    operations = 0

    def __torch_dispatch__(
        self, called: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = called(*args, **(kwargs or {}))
        packet = called._overloadpacket
        if packet is torch.ops.aten.convolution:
            maps, weight, transposed = args[0], args[1], args[6]
            self.operations += _once(maps if transposed else result, weight)
        elif packet is torch.ops.aten.convolution_backward:  # torch's own count forgets the groups
            gradient, maps, weight, transposed, asked = *args[:3], args[7], args[10]
            self.operations += _once(maps if transposed else gradient, weight) * sum(asked[:2])
        elif count := flop_registry.get(packet):
            self.operations += count(*args, **(kwargs or {}), out_val=result)
        return result


def _once(places: Tensor, weight: Tensor) -> int:
    """Count what a convolution costs: every weight is used once at every place."""
    return 2 * len(places) * places.shape[2:].numel() * weight.numel()


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
    with Operations() as counted:  # type: ignore[no-untyped-call]
        trainer.step()
    return trainer, counted.operations / trainer.recipe.shown_per_step / 1e9


def random_images(recipe: Recipe) -> Images:
    """Make images of ten classes, of the size that the recipe's own data have."""
    channels, size = (1, 28) if recipe.data.source == "mnist" else (3, recipe.data.size or 32)
    pixels = np.random.default_rng(0).integers(0, 256, (_IMAGES, channels, size, size), np.uint8)
    return Images(pixels, np.arange(_IMAGES) % 10, tuple("0123456789"), "random", "random")


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
