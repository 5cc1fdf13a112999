"""How much the images of a batch differ, as a map that a discriminator sees."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Deviation(nn.Module):
    """Append the mean standard deviation within each group of neighbours in the batch as one map.

    A generator whose images resemble each other is seen at once. Where `group` does not divide the batch, the
    groups are of their greatest common divisor.

    Source: Karras et al. 2018, section 3.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, maps: Tensor) -> Tensor:
        """Make (N, C + 1, H, W) of (N, C, H, W)."""
        count = math.gcd(len(maps), self.group)
        # Neighbours, so that a process that holds its share of a batch finds the groups of the whole batch.
        groups = maps.float().reshape(-1, count, *maps.shape[1:])
        # The square root has no slope at zero: equal images would make the update NaN.
        deviations = (groups.var(1, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
        more = deviations.to(maps.dtype).repeat_interleave(count)[:, None, None, None]
        return torch.cat([maps, more.expand(-1, 1, *maps.shape[2:])], 1)
