"""A device whose numbers nobody can read: what would wait for an accelerator fails, and its work is counted.

Tensors of torch's meta device have shapes and no numbers. A step that branches on a number, reads one or
lets one decide a shape cannot be made there; what is sent from the CPU and what is launched is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gander.data.images import Images
from gander.engine.machine import Machine
from gander.recipe.schema import Recipe
from gander.training.trainer import Trainer

META = torch.device("meta")
_FREE = ("empty", "empty_strided", "empty_like", "new_empty", "new_empty_strided", "lift_fresh", "set_")


class _Generator(torch.Generator):
    """Draws for the device, which has no generator of its own."""

    device = META

    def __new__(cls, device: torch.device | None = None) -> _Generator:
        return super().__new__(cls)


class Work(TorchDispatchMode):
    """Counts what is asked of the device by name: `launched`, `waits`, and what is `sent` without a wait."""

    def __init__(self) -> None:
        super().__init__()
        self.launched: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    def __torch_dispatch__(self, called: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = called(*args, **kwargs)
        name = called._overloadpacket.__name__
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if not any(tensor.device == META for tensor in given + made):
            return result
        # A number alone is handed to a kernel as it is; whatever is longer must be copied over first.
        if name == "lift_fresh" or any(tensor.device != META and tensor.dim() for tensor in given):
            (self.sent if kwargs.get("non_blocking") else self.waits)[name] += 1
        elif name.startswith("index") and any(t.dtype == torch.bool for t in given[1:]):
            self.waits[f"{name} by a mask"] += 1  # a GPU counts the mask's places first
        if not called.is_view and name not in _FREE:
            self.launched[name] += 1
        return result


def _refusing(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def made(*args: Any, **kwargs: Any) -> Tensor:
        if kwargs.get("device") is not None and torch.device(kwargs["device"]) == META:
            raise RuntimeError("numbers of the CPU are sent to the device, and waited for")
        return make(*args, **kwargs)

    return made


@contextmanager
def pretended() -> Iterator[None]:
    """Let the meta device pass for an accelerator, and put nets straight onto it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "Generator", _Generator)
        kernels = _foreach_utils._get_foreach_kernels_supported_devices
        patch.setattr(_foreach_utils, "_get_foreach_kernels_supported_devices", lambda: [*kernels(), "meta"])
        for name in ("tensor", "as_tensor"):  # torch makes these on the meta device without a copy
            patch.setattr(torch, name, _refusing(getattr(torch, name)))
        patch.setattr(torch, "is_autocast_enabled", lambda _: False)
        for precision_of_weights in (torch, torch.amp):
            patch.setattr(precision_of_weights, "autocast", lambda *_, **__: nullcontext())
        yield


def trainer_on_meta(
    recipe: Recipe,
    size: int = 32,
    channels: int = 3,
    resident: bool = True,
    machine: Machine = Machine(META),  # noqa: B008 - frozen
) -> Trainer:
    """A training of the recipe at its own batch, with its data on the device or not."""
    pixels = np.zeros((2 * recipe.train.batch, channels, size, size), np.uint8)
    images = Images(pixels, np.arange(len(pixels)) % 10, tuple("0123456789"), "", "made")
    with META:
        trainer = Trainer(recipe, images, machine)
    if resident:
        trainer.batches._resident = torch.empty(pixels.shape, dtype=torch.uint8, device=META)
    return trainer
