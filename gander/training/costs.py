"""What a training and a judge compute, counted and not timed: equal on every machine and at every moment."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gander.chance import alone
from gander.data.images import Images
from gander.engine.machine import Machine
from gander.engine.streams import global_streams_kept
from gander.recipe.schema import Recipe
from gander.training.memory import with_batch
from gander.training.trainer import Trainer

_BATCH = 8  # of the step that is counted, which is made
_A_CALL, _A_VALUE = 1e5, 10.0  # multiplications that a call costs beside its own, and each value it gives


class Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count calls, and what grows with their values, in multiplications; convolutions are most of it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls, self.values = 0, 0.0

    def __torch_dispatch__(self, called: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = called(*args, **(kwargs or {}))
        values = sum(leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
        own = _multiplications(called.overloadpacket.__name__, args, values)
        self.calls, self.values = self.calls + 1, self.values + _A_VALUE * values + own
        return result

    @property
    def operations(self) -> float:
        """All of it."""
        return self.values + _A_CALL * self.calls


def _multiplications(name: str, given: Any, values: int) -> float:
    match name:
        case "convolution" | "conv2d":  # the latter where nothing is to be differentiated
            images, kernel, transposed = given[0], given[1], name == "convolution" and given[6]
            return float((images.numel() if transposed else values) * kernel[0].numel())
        case "convolution_backward":
            (gradient, images, kernel), transposed = given[:3], given[7]
            return 2.0 * (images if transposed else gradient).numel() * kernel[0].numel()
        case "mm" | "bmm" | "linear":
            return float(values * given[0].shape[-1])
        case "addmm" | "baddbmm":
            return float(values * given[1].shape[-1])
    return 0.0


def operations_an_image(recipe: Recipe, images: Images) -> float:
    """Count what a training computes for each image that D is shown, in a step without lazy penalties."""
    small, cpu = with_batch(recipe, _BATCH), torch.device("cpu")
    with alone(), global_streams_kept(cpu):
        trainer = Trainer(small, images, Machine(cpu))
        trainer.go_on_from(small.shown_per_step, 1)
        with Counted() as counted:
            trainer.step()
    return counted.values / small.shown_per_step + _A_CALL * counted.calls / recipe.shown_per_step
