"""Averages of the generator's weights over the training: what is sampled from in the end."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from gander.registry import Technique


class Average(Technique):
    """A technique that keeps a second copy of the generator."""

    slot: ClassVar[str] = "average"
    weights: ClassVar[str] = "averaged weights"

    def keep(self, images: int, shown: int) -> float:
        """Give the share of the old average that stays after an update that showed `shown` images."""
        raise NotImplementedError

    def update(self, average: nn.Module, net: nn.Module, images: int, shown: int) -> None:
        """Move the average towards the net's weights and running statistics; copy all other state."""
        keep = self.keep(images, shown)
        averaged, copied = _split(average, net)
        with torch.no_grad():
            old, new = [pair[0] for pair in averaged], [pair[1] for pair in averaged]
            torch._foreach_lerp_(old, new, 1 - keep)
            for ours, theirs in copied:
                ours.copy_(theirs)


def _split(
    average: nn.Module, net: nn.Module
) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[Tensor, Tensor]]]:
    averaged: list[tuple[Tensor, Tensor]] = [*zip(average.parameters(), net.parameters(), strict=True)]
    copied: list[tuple[Tensor, Tensor]] = []
    for (name, ours), theirs in zip(average.named_buffers(), net.buffers(), strict=True):
        # Averaged weights want averaged statistics; a spectral norm's vectors only make sense as they are.
        running = name.endswith(("running_mean", "running_var"))
        (averaged if running else copied).append((ours, theirs))
    return averaged, copied


class Ema(Average):
    """An exponential moving average that forgets half of the past every `half_life` images.

    While the run is young the half-life is at most `ramp` of the images so far, so that the random start is
    soon forgotten. The half-life is in images, so the batch does not change it.

    Source: Karras et al. 2018, section 3 (the average); Karras et al. 2020 (the ramp).
    """

    kind: Literal["ema"] = "ema"
    half_life: float = Field(default=100_000.0, gt=0, le=1e12, description="images")
    ramp: float = Field(default=0.05, gt=0, le=1)

    def keep(self, images: int, shown: int) -> float:
        """Give 2 ** -(shown / half-life)."""
        half_life = min(self.half_life, self.ramp * (images + shown))
        return 0.5 ** (shown / half_life) if half_life > 0 else 0.0


class Latest(Average):
    """No average: sample from the latest weights."""

    kind: Literal["latest"] = "latest"
    weights: ClassVar[str] = "latest weights"

    def keep(self, images: int, shown: int) -> float:
        """Keep nothing of the old."""
        return 0.0
