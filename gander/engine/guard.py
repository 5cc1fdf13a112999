"""The numerics guard: the first number that is not finite stops the run, and says what it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gander.errors import NumericsError
from gander.schedule import Clock


class Guard:
    """Watch the numbers of every update.

    A guard that `waits` judges each update before it reaches the weights. An accelerator would stand still
    for that, so there the first bad update is remembered on the device, and `settle` tells of it.
    """

    def __init__(self, waits: bool = True) -> None:
        self.waits = waits
        self._bad: Tensor | None = None
        self._first: tuple[Sequence[str], Tensor, Tensor] | None = None

    def watch(self, names: Sequence[str], values: Tensor, clock: Clock, net: nn.Module) -> None:
        """Judge the named numbers (K,) of one update; NumericsError, where it waits and one is not finite."""
        finite = torch.isfinite(values).all()
        if self.waits:
            if not finite:
                raise NumericsError(_cause(names, values.tolist(), clock.steps, clock.images, net))
            return
        now = torch.stack(  # filled on the device: a copy from here would wait for it
            [values.new_full((), count, dtype=torch.float64) for count in (clock.steps, clock.images)]
        )
        if self._bad is None or self._first is None:
            self._bad, self._first = ~finite, (names, values, now)
        elif [*self._first[0]] == [*names]:
            kept = [
                torch.where(self._bad, old, new)
                for old, new in zip(self._first[1:], (values, now), strict=True)
            ]
            self._first = (names, kept[0], kept[1])
            self._bad = self._bad | ~finite
        else:
            self._bad = self._bad | ~finite

    def settle(self) -> None:
        """Wait for the device, and raise NumericsError where an update was bad."""
        if self._bad is not None and self._first is not None and bool(self._bad):
            names, values, now = self._first
            steps, images = (int(number) for number in now.tolist())
            raise NumericsError(_cause(names, values.tolist(), steps, images, None))


def _cause(
    names: Sequence[str], values: Sequence[float], steps: int, images: int, net: nn.Module | None
) -> str:
    told = ", ".join(f"{name} = {value:.4g}" for name, value in zip(names, values, strict=True))
    bad = [name for name, value in zip(names, values, strict=True) if not abs(value) < float("inf")]
    where = ""
    if net is not None:
        weights = first_bad(dict(net.named_parameters()))
        grads = first_bad({n: p.grad for n, p in net.named_parameters() if p.grad is not None})
        where = f"; the weight {weights} is not finite" if weights else ""
        where += f"; first in the gradient of {grads}" if grads and not weights else ""
    first = bad[0] if bad else "a number"
    return f"step {steps + 1}, after {images:,} images: {first} is not finite ({told}){where}"


def first_bad(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the first tensor that holds a number that is not finite, or None."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            return name
    return None
