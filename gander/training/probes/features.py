"""Features that no net of the run has learned: a small convolutional net with fixed random weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_WIDTHS = (24, 48, 64)
_SEED = 4_711


class RandomFeatures:
    """Three convolutions drawn once for all runs: images (N, C, S, S) in [-1, 1] in, (N, D) out.

    Source: Naeem et al. 2020, section 5 (random features tell distributions apart, too).
    """

    def __init__(self, channels: int, device: torch.device) -> None:
        rng, inputs = torch.Generator().manual_seed(_SEED), channels
        self._weights: list[Tensor] = []
        for width in _WIDTHS:
            drawn = torch.randn(width, inputs, 4, 4, generator=rng) * (2 / (16 * inputs)) ** 0.5
            self._weights.append(drawn.to(device))
            inputs = width

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        parts: list[Tensor] = []
        maps = images
        for weight in self._weights:
            maps = F.leaky_relu(F.conv2d(maps, weight, stride=2, padding=1), 0.2)
            deviation, mean = torch.std_mean(maps, (2, 3), correction=0)
            parts += [mean, deviation, F.adaptive_avg_pool2d(maps, 2).flatten(1)]
        return torch.cat(parts, 1)
