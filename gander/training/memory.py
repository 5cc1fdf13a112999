"""How much memory a recipe's training takes, from one step at each of two small batches."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gander.chance import alone, world_size
from gander.data.images import Images
from gander.engine.machine import Machine
from gander.engine.streams import global_streams_kept
from gander.errors import UsageError
from gander.recipe.schema import Recipe
from gander.training.trainer import Trainer

_SMALL, _LARGE = 4, 8  # batches that are made; twice a half is enough for batch norm
_USABLE = 0.9  # an allocator's blocks are larger than what lies in them


@dataclass(frozen=True)
class Memory:
    """Bytes of tensors alive after each operation of a step: (without an image, for each image of the batch).

    What a kernel needs for itself while it runs is not in it.
    """

    moments: list[tuple[float, float]]

    def at(self, batch: int) -> float:
        """Give the most bytes at any moment of a step."""
        return max(fixed + each * batch for fixed, each in self.moments)

    def largest(self, room: float) -> int:
        """Give the largest batch whose step stays within so many bytes; 0 where none does."""
        return max(0, int(min((room - fixed) / max(each, 1e-9) for fixed, each in self.moments)))


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes: dict[int, int] = {}  # of each storage
        self.moments: list[int] = []

    def __torch_dispatch__(self, called: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = called(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and id(storage := tensor.untyped_storage()) not in self.bytes:
                self.bytes[id(storage)] = storage.nbytes()
                weakref.finalize(storage, self.bytes.pop, id(storage))
        self.moments.append(sum(self.bytes.values()))
        return result

    def step(self, trainer: Trainer, batch: int) -> list[int]:
        trainer.recipe = with_batch(trainer.recipe, batch)
        trainer.go_on_from(0, 0)  # a step in which every penalty counts
        trainer.stats.restore({})  # what is noted for the log grows from step to step
        self.moments = []
        trainer.step()
        return self.moments


def measure_memory(recipe: Recipe, images: Images, machine: Machine) -> Memory:
    """Make two small steps on the CPU, as a machine would make them, and count what is alive."""
    here = replace(machine, device=torch.device("cpu"), compiled="off", gives_way=False)
    with alone(), global_streams_kept(here.device), _Alive() as alive:
        trainer = Trainer(with_batch(recipe, _SMALL), images, here)
        trainer.step()  # makes the optimisers' moments
        small, large = alive.step(trainer, _SMALL), alive.step(trainer, _LARGE)
    slopes = [(more - few) / (_LARGE - _SMALL) for few, more in zip(small, large, strict=False)]
    return Memory([(few - each * _SMALL, each) for few, each in zip(small, slopes, strict=False)])


def with_batch(recipe: Recipe, batch: int) -> Recipe:
    """Change the batch alone, and train one GAN for all classes."""
    return recipe.patched({"train.batch": batch, "train.per_class": False})


def too_large(recipe: Recipe, images: Images, machine: Machine) -> UsageError:
    """Say of a training that ran out of a CUDA device's memory which batch would not."""
    free = torch.cuda.mem_get_info(machine.device)[0] + torch.cuda.memory_reserved(machine.device)
    room = (free - images.pixels.nbytes) * _USABLE  # the data lie there, too
    memory, batch = measure_memory(recipe, images, machine), recipe.train.batch
    fits = memory.largest(room) * world_size()
    fits = fits if fits < batch else batch // 2  # kernels took more than tensors
    fits -= fits % ((8 if fits >= 8 * world_size() else 2) * world_size())
    takes = memory.at(batch // world_size()) / 2**30
    return UsageError(
        f"train.batch = {batch}: takes about {takes:.2g} GiB; {machine.device} has {room / 2**30:.2g} for it",
        hint=f"train.batch={fits}" if fits else "narrower nets, for no batch fits",
    )
