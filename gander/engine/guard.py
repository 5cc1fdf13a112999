"""The numerics guard: the first number that is not finite stops the run, and says what it was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gander.errors import NumericsError
from gander.schedule import Clock

_ROWS = 1024  # kept at most before the device is waited for, however rarely a run logs


class Guard:
    """Watch the numbers of every update.

    A guard that `waits` judges each update before it reaches the weights. An accelerator would stand still
    for that, so there the numbers are kept until `settle`.
    """

    def __init__(self, waits: bool = True) -> None:
        self.waits = waits
        self._rows: list[tuple[Sequence[str], Tensor, int, int]] = []

    def watch(self, names: Sequence[str], values: Tensor, clock: Clock, net: nn.Module) -> None:
        """Judge the named numbers (K,) of one update; NumericsError, where it waits and one is not finite."""
        if self.waits:
            _judge(names, values.tolist(), clock.steps, clock.images, net)
            return
        self._rows.append((names, values, clock.steps, clock.images))
        if len(self._rows) >= _ROWS:
            self.settle()

    def settle(self) -> None:
        """Wait for the device, and raise NumericsError for the first update that was bad."""
        rows, self._rows = self._rows, []
        if rows and not torch.isfinite(torch.cat([values for _, values, _, _ in rows])).all():
            for names, values, steps, images in rows:
                _judge(names, values.tolist(), steps, images)


def _judge(
    names: Sequence[str], values: Sequence[float], steps: int, images: int, net: nn.Module | None = None
) -> None:
    bad = [name for name, value in zip(names, values, strict=True) if not math.isfinite(value)]
    if not bad:
        return
    where = ""
    if net is not None:
        weights = first_bad(dict(net.named_parameters()))
        grads = first_bad({n: p.grad for n, p in net.named_parameters() if p.grad is not None})
        where = f"; the weight {weights} is not finite" if weights else ""
        where += f"; first in the gradient of {grads}" if grads and not weights else ""
    row = ", ".join(f"{name} = {value:.4g}" for name, value in zip(names, values, strict=True))
    raise NumericsError(f"step {steps + 1}, after {images:,} images: {bad[0]} is not finite ({row}){where}")


def first_bad(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the first tensor that holds a number that is not finite, or None."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            return name
    return None
