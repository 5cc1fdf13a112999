"""Batches of a data set, each a pure function of a seed and a position."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gander import chance
from gander.data.images import Images

RESIDENT_BYTES = 2 << 30
"""Pixels up to this size stay in the accelerator's memory."""

_ORDER, _MIRROR = 0, 1
"""The two streams of draws that belong to a pass."""

Rows = npt.NDArray[np.int64]


def usual_held_out(count: int) -> int:
    """Give how many of so many images a training keeps from D: a hundredth, 64 to 512, at most a tenth."""
    return 0 if count < 40 else min(count // 10, max(64, min(count // 100, 512)))


def split_rows(count: int, held_out: int) -> tuple[Rows, Rows]:
    """Give the rows that D is shown, and those held out: drawn by a seed that is the count alone."""
    drawn = np.random.Generator(np.random.PCG64(count)).permutation(count)
    return np.sort(drawn[held_out:]), np.sort(drawn[:held_out])


class Batches:
    """Endless batches whose content is a pure function of (seed, position).

    Args:
        low, high: what the pixel values 0 and 255 become.
        mirror: flip every image with probability 1/2, drawn anew on each pass.
        rows: the images to use; None for all.
    """

    def __init__(
        self,
        images: Images,
        seed: int,
        device: torch.device,
        low: float = -1.0,
        high: float = 1.0,
        mirror: bool = False,
        rows: Rows | None = None,
    ) -> None:
        self.images = images
        self.rows = np.arange(len(images)) if rows is None else rows
        self.seed = seed
        self.device = device
        self.low, self.high = low, high
        self.mirror = mirror
        self._passes: dict[int, tuple[Rows, npt.NDArray[np.bool_]]] = {}
        self._resident: Tensor | None = None
        if device.type == "cuda" and images.pixels.nbytes <= RESIDENT_BYTES:
            self._resident = torch.from_numpy(np.array(images.pixels)).to(device)

    def take(self, position: int, count: int) -> tuple[Tensor, Tensor | None]:
        """Give the images `position` to `position + count - 1` of the endless stream, this process's rows.

        Each pass over the data has its own order. `count` is over all processes, which share it equally.

        Returns: images (N, C, H, W) float32 in [low, high]; labels (N,) int64, or None.
        """
        rows = count // chance.world_size()
        return self.at(*self._stretch(position + chance.rank() * rows, rows))

    def at(self, chosen: Rows, flipped: npt.NDArray[np.bool_] | None = None) -> tuple[Tensor, Tensor | None]:
        """Give the images of these rows of the data set, shown or not, as `take` does."""
        if self._resident is None:
            pixels = self._sent(self.images.pixels[chosen])
        else:
            pixels = self._resident[self._sent(chosen)]
        if self.mirror and flipped is not None:
            turned = self._sent(flipped)[:, None, None, None]
            pixels = torch.where(turned, pixels.flip(-1), pixels)
        labels = None
        if self.images.labels is not None:
            labels = self._sent(self.images.labels[chosen])
        return self._scaled(pixels), labels

    def _sent(self, values: npt.NDArray[Any]) -> Tensor:
        """Send values to the device; from pinned memory nobody waits until they are there."""
        here = torch.from_numpy(values)
        if self.device.type == "cuda":
            here = here.pin_memory()
        return here.to(self.device, non_blocking=True)

    def _scaled(self, pixels: Tensor) -> Tensor:
        # dividing first makes 255 exactly `high`
        return pixels.to(torch.float32).div_(255).mul_(self.high - self.low).add_(self.low)

    def _stretch(self, position: int, count: int) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Give the indices and the flips of a stretch of the stream, (count,) each."""
        parts = []
        while count:
            number, start = divmod(position, len(self.rows))
            order, flips = self._pass(number)
            here = min(count, len(order) - start)
            parts.append((order[start : start + here], flips[start : start + here]))
            position, count = position + here, count - here
        chosen, flipped = zip(*parts, strict=True)
        return np.concatenate(chosen), np.concatenate(flipped)

    def _pass(self, number: int) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Give the order and the flips of one pass; two are kept, for a batch can reach into the next."""
        if number not in self._passes:
            size = len(self.rows)
            order, mirror = (
                np.random.Generator(np.random.PCG64([self.seed, number, stream]))
                for stream in (_ORDER, _MIRROR)
            )
            drawn = self.rows[order.permutation(size)], mirror.integers(0, 2, size).astype(bool)
            self._passes = {**dict(list(self._passes.items())[-1:]), number: drawn}
        return self._passes[number]


def to_uint8(images: Tensor, low: float, high: float) -> Tensor:
    """Round images of [low, high] to uint8, the values outside to the nearest end."""
    return images.sub(low).mul_(255 / (high - low)).round_().clamp_(0, 255).to(torch.uint8)
