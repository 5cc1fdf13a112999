"""One side of a benchmark: a process of its own that runs as many steps as it is told, when it is told.

It says one line of JSON when it is ready: `name`, `images_per_step`, and what else it can tell. For every
line on its input, a number of steps, it runs them and answers `{"seconds": ..., "peak_mib": ...}`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gander.data.batches import Batches
from gander.data.images import Images
from gander.engine.machine import Machine, alternatives, choose_machine
from gander.nets.blocks import ImageShape
from gander.recipe.read import load_recipe
from gander.recipe.schema import Engine, Recipe
from gander.training.trainer import Trainer, image_shape
from gander.training.trial import fastest_machine, with_batch

_SIZE = 2_048  # of the square matrices whose product is the yardstick
_SLOWEST = 3.0  # seconds a step; beyond, the batch is halved, as the rate of an image hardly changes
_IMAGES = 2_000


@dataclass
class Work:
    """What a side says of itself, and one step of it."""

    said: dict[str, Any]
    step: Callable[[], object]
    wait: Callable[[], object]


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the multiplications and additions of every convolution and matrix product, forwards and back."""

    operations = 0

    def __torch_dispatch__(
        self, called: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = called(*args, **(kwargs or {}))
        packet = called._overloadpacket
        if packet is torch.ops.aten.convolution:
            maps, weight, transposed = args[0], args[1], args[6]
            self.operations += _once(maps if transposed else found, weight)
        elif packet is torch.ops.aten.convolution_backward:  # torch's own count forgets the groups
            steep, maps, weight, transposed, asked = *args[:3], args[7], args[10]
            self.operations += _once(maps if transposed else steep, weight) * sum(asked[:2])
        elif count := flop_registry.get(packet):
            self.operations += count(*args, **(kwargs or {}), out_val=found)
        return found


def _once(places: Tensor, weight: Tensor) -> int:
    """Count what a convolution costs: every weight is used once at every place."""
    return 2 * len(places) * places.shape[2:].numel() * weight.numel()


def precisions() -> tuple[str, ...]:
    """Name the precisions that this machine is fast in."""
    machine = choose_machine(Engine())
    bf16 = machine.precision == "bf16" or "bf16" in alternatives(Engine(), machine).get("precision", ())
    tf32 = machine.device.type == "cuda"
    return ("float32", *["tf32"] * tf32, *["bf16"] * bf16)


def matrix_product(precision: str) -> Work:
    """Multiply square matrices, which is what a machine does fastest."""
    machine = choose_machine(Engine(precision=precision))  # type: ignore[arg-type]
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(_SIZE, _SIZE, device=machine.device, dtype=kind) for _ in "ab")
    said = {
        "name": f"matrix product, {precision}",
        "precision": precision,
        "images_per_step": 1,
        "gflop_per_image": 2e-9 * _SIZE**3,
    }
    return Work(said, lambda: left @ right, _wait(machine))


def training(name: str, edits: Sequence[str]) -> Work:
    """Train a recipe on random images of its data's shape, in the way this machine does it fastest."""
    recipe = load_recipe(name, edits)
    channels, size = (1, 28) if recipe.data.source == "mnist" else (3, recipe.data.size or 32)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (_IMAGES, channels, size, size), np.uint8)
    images = Images(pixels, np.arange(_IMAGES) % 10, tuple("0123456789"), "random", "random")
    shape = image_shape(recipe, images)
    if recipe.train.per_class:
        recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"per_class": False})})
    machine, _ = fastest_machine(recipe, images, shape, choose_machine(recipe.engine))
    batches = Batches(images, 0, machine.device)
    recipe, trainer = _bearable(recipe, batches, shape, machine)
    with _Operations() as counted:  # type: ignore[no-untyped-call]
        trainer.step(batches)
    said = {
        "name": " ".join(["gander", *edits]),
        "recipe": name,
        "versions": {"torch": torch.__version__},
        "g_parameters": _count(trainer.generator),
        "d_parameters": _count(trainer.d.net),
        "images_per_step": recipe.shown_per_step,
        "batch": recipe.train.batch,
        "threads": machine.threads,
        "precision": machine.precision,
        "machine": str(machine),
        "gflop_per_image": counted.operations / recipe.shown_per_step / 1e9,
    }
    return Work(said, lambda: trainer.step(batches), _wait(machine))


def _bearable(
    recipe: Recipe, batches: Batches, shape: ImageShape, machine: Machine
) -> tuple[Recipe, Trainer]:
    """Give the recipe with a batch whose step does not take too long here, and its trainer."""
    whole = recipe.train.batch
    recipe = with_batch(recipe, min(whole, 8))
    trainer = Trainer(recipe, shape, machine, seed=0)
    for _ in range(2):
        began = time.perf_counter()
        trainer.step(batches)
        _wait(machine)()
    one = (time.perf_counter() - began) / recipe.train.batch
    while whole > 8 and whole * one > _SLOWEST:
        whole //= 2
    recipe = with_batch(recipe, whole)
    trainer.recipe = recipe
    return recipe, trainer


def _wait(machine: Machine) -> Callable[[], object]:
    return torch.cuda.synchronize if machine.device.type == "cuda" else lambda: None


def _count(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def peak_mib() -> float:
    """Give this process's peak memory; on Linux, getrusage's can be that of the process which started it."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main(words: Sequence[str]) -> None:
    """Be one side: `matrix-product PRECISION`, or `train RECIPE [PATH=VALUE]...`."""
    what, *rest = words
    work = matrix_product(*rest) if what == "matrix-product" else training(rest[0], rest[1:])
    for _ in range(2):
        work.step()
    print(json.dumps(work.said), flush=True)
    for line in sys.stdin:
        work.wait()
        began = time.perf_counter()
        for _ in range(int(line)):
            work.step()
        work.wait()
        print(json.dumps({"seconds": time.perf_counter() - began, "peak_mib": peak_mib()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
