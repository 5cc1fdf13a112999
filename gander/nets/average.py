"""Averages of the generator's weights over the training: what is sampled from in the end."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import ClassVar, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from gander.registry import Technique

_Net = TypeVar("_Net", bound=nn.Module)
_Pair = tuple[list[Tensor], list[Tensor]]


class Average(Technique):
    """A technique that keeps a second copy of the generator."""

    slot: ClassVar[str] = "average"
    weights: ClassVar[str] = "averaged weights"

    def start(self, net: _Net) -> _Net:
        """Give what is to be sampled from: a copy of the net that learns nothing, or the net itself."""
        return copy.deepcopy(net).requires_grad_(False)

    def keep(self, images: int, shown: int) -> float:
        """Give the share of the old average that stays after an update that showed `shown` images."""
        raise NotImplementedError

    def update(self, average: nn.Module, net: nn.Module, images: int, shown: int) -> None:
        """Move the average towards the net's weights and running statistics; copy all other state."""
        if average is net:
            return
        averaged: _Pair = [*average.parameters()], [*net.parameters()]
        copied: defaultdict[torch.dtype, _Pair] = defaultdict(lambda: ([], []))
        for (name, ours), theirs in zip(average.named_buffers(), net.buffers(), strict=True):
            # Averaged weights want averaged statistics; a spectral norm's vectors mean nothing averaged.
            old, new = averaged if name.endswith(("running_mean", "running_var")) else copied[ours.dtype]
            old.append(ours)
            new.append(theirs)
        with torch.no_grad():  # one kernel a list on an accelerator, where a list is of one type
            torch._foreach_lerp_(*averaged, 1 - self.keep(images, shown))
            for pair in copied.values():
                torch._foreach_copy_(*pair)


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
        half_life = min(self.half_life, self.ramp * (images + shown))
        return 0.5 ** (shown / half_life) if half_life > 0 else 0.0


class Latest(Average):
    """No average: sample from the latest weights."""

    kind: Literal["latest"] = "latest"
    weights: ClassVar[str] = "latest weights"

    def start(self, net: _Net) -> _Net:
        return net

    def keep(self, images: int, shown: int) -> float:
        return 0.0
