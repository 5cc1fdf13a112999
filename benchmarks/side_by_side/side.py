"""One side of a benchmark: a process of its own that runs as many steps as it is told, when it is told.

It says one line of JSON when it is ready: `name`, `images_per_step`, and what else it can tell. For every
line on its input, a number of steps, it runs them and answers `{"seconds": ..., "peak_mib": ...}`.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gander.engine.machine import Machine, choose_machine
from gander.recipe.read import load_recipe
from gander.recipe.schema import Engine
from gander.training.speed import PRODUCT, matrix_product, seconds_of, trainer_for_timing

Work = tuple[dict[str, Any], Callable[[], object], Machine]  # what a side says of itself, and one step of it


def product(precision: str) -> Work:
    """Multiply square matrices, which is what a machine does fastest."""
    said = {
        "name": f"matrix product, {precision}",
        "precision": precision,
        "images_per_step": 1,
        "gflop_per_image": PRODUCT / 1e9,
    }
    return said, matrix_product(precision), choose_machine(Engine(precision=precision))  # type: ignore[arg-type]


def training(name: str, edits: Sequence[str]) -> Work:
    """Train a recipe on random images of its data's shape."""
    trainer, gflop = trainer_for_timing(load_recipe(name, edits))
    machine = trainer.machine
    said = {
        "name": " ".join(["gander", *edits]),
        "recipe": name,
        "versions": {"torch": torch.__version__},
        "g_parameters": _count(trainer.g.net),
        "d_parameters": _count(trainer.d.net),
        "images_per_step": trainer.recipe.shown_per_step,
        "batch": trainer.recipe.train.batch,
        "threads": machine.threads,
        "precision": machine.precision,
        "machine": str(machine),
        "gflop_per_image": gflop,
    }
    return said, trainer.step, machine


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
    said, step, machine = product(*rest) if what == "matrix-product" else training(rest[0], rest[1:])
    # The other sides have just used the cores, and are no neighbours: they wait while this one has its turn.
    machine = replace(machine, gives_way=False)
    machine.use()
    seconds_of(step, 2, machine)
    print(json.dumps(said), flush=True)
    for line in sys.stdin:
        seconds = seconds_of(step, int(line), machine)
        print(json.dumps({"seconds": seconds, "peak_mib": peak_mib()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
