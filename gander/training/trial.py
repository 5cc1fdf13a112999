"""Find what is fast for a recipe on this machine, by a few of its own steps."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

from gander.chance import alone, rank, world_size
from gander.data.batches import Batches
from gander.data.images import Images
from gander.data.store import cache_folder
from gander.engine.calibrate import Calibration, calibrate
from gander.engine.distributed import agree
from gander.engine.machine import Machine, alternatives, device_name, is_open, share_of_cores
from gander.errors import NumericsError
from gander.nets.blocks import ImageShape
from gander.recipe.schema import Recipe
from gander.training.step import Trainer

_BATCH = (16, 4)  # on a CPU: so few images that a step is short
_SLOW = 0.3  # seconds a step
_LONG = 1800.0  # seconds of training; only then is a minute of compiling worth trying
_NETS = {"generator", "discriminator", "rewires", "objective", "penalties", "views", "engine"}
_STEP = {"batch", "d_steps", "d_update"}


def fastest_machine(
    recipe: Recipe, images: Images, shape: ImageShape, machine: Machine
) -> tuple[Machine, dict[str, Any]]:
    """Settle what the recipe leaves open by trying it, or by what an earlier trial of the same found.

    Several processes try at the same time, as they will train, and follow the first.

    Returns: the machine, in use; and for the run's record a line that says it, with the images a second that
        were measured.
    """
    others = alternatives(recipe.engine, machine)
    if not others:
        return machine, {"said": f"engine  {machine}, as the recipe says"}
    path = cache_folder() / "calibration" / f"{_key(recipe, shape, machine)}.json"
    found = agree(Calibration.load(path))
    said = "as measured before"
    if found is None:
        own = with_batch(recipe, recipe.train.batch // world_size())
        with alone():
            found = _tried(own, Batches(images, recipe.seed, machine.device), shape, machine, others)
        found = agree(found)
        said = f"measured in {found.seconds:.1f} s"
        if not found.quiet:
            said += ", which is not kept, as the machine is busy"
        elif rank() == 0:
            found.save(path)
    machine = found.apply(machine)
    return machine, {"said": f"engine  {machine}: {said}", "images_per_second": found.speeds}


def _tried(
    recipe: Recipe, batches: Batches, shape: ImageShape, machine: Machine, others: dict[str, tuple[Any, ...]]
) -> Calibration:
    trial = Trial(recipe, batches, shape, machine)
    found = calibrate(machine, others, trial)
    if machine.device.type != "cuda" or not is_open(recipe.engine, "compiled"):
        return found
    total = recipe.steps_for(len(batches.images)) * recipe.shown_per_step
    if total < _LONG * max(found.speeds.values()):
        return found
    return found.followed_by(calibrate(found.apply(machine), {"compiled": ("nets",)}, trial))


class Trial:
    """Times steps of a training that is thrown away."""

    def __init__(self, recipe: Recipe, batches: Batches, shape: ImageShape, machine: Machine) -> None:
        self._batches = batches
        whole = recipe.train.batch
        on_gpu = machine.device.type == "cuda"
        self._wait: Callable[[], Any] = torch.cuda.synchronize if on_gpu else lambda: None
        sizes = [whole] if on_gpu else [size for size in _BATCH if size < whole] or [whole]
        self._trainer = Trainer(with_batch(recipe, sizes[0]), shape, machine, recipe.seed)
        with suppress(NumericsError):  # the training itself will tell of it
            for size in sizes[1:]:
                if self._seconds() < _SLOW:
                    break
                self._trainer.recipe = with_batch(recipe, size)

    def __call__(self, machine: Machine) -> float:
        """Give images a second of one step."""
        if machine != self._trainer.machine:
            self._trainer.move(machine)
        return self._trainer.recipe.shown_per_step / self._seconds()

    def _seconds(self) -> float:
        self._wait()
        began = time.perf_counter()
        self._trainer.step(self._batches)
        self._wait()
        return time.perf_counter() - began


def with_batch(recipe: Recipe, batch: int) -> Recipe:
    """Give the recipe with another batch."""
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"batch": batch})})


def _key(recipe: Recipe, shape: ImageShape, machine: Machine) -> str:
    """Name what a result holds for: this machine, these nets and updates, these open choices."""
    told = {
        "machine": [device_name(machine.device), share_of_cores(), world_size(), torch.__version__],
        "shape": str(shape),
        "nets": recipe.model_dump(mode="json", include=_NETS),
        "step": recipe.train.model_dump(mode="json", include=_STEP),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]
