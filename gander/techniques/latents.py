"""Latents: what the generator starts from."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from gander.chance import rand, randn
from gander.techniques.slots import Latents


class Normal(Latents):
    """Independent standard normal numbers."""

    kind: Literal["normal"] = "normal"

    def __call__(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw from N(0, 1)."""
        return randn(n, self.dim, device=rng.device, rng=rng)


class Uniform(Latents):
    """Independent numbers uniform in [-1, 1)."""

    kind: Literal["uniform"] = "uniform"

    def __call__(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw from U(-1, 1)."""
        return rand(n, self.dim, device=rng.device, rng=rng) * 2 - 1


class Truncated(Latents):
    """Normal numbers cut off at `limit` standard deviations, by inverting the distribution.

    Hurts when: used to hide bad samples: the variety goes with them.
    Source: Brock et al. 2018, section 3.1.
    """

    kind: Literal["truncated"] = "truncated"
    limit: float = Field(default=2.0, gt=0, le=10)

    def __call__(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw from N(0, 1) given that |z| <= limit."""
        inside = math.erf(self.limit / math.sqrt(2))
        uniform = rand(n, self.dim, device=rng.device, rng=rng) * 2 - 1
        return (torch.erfinv(uniform * inside) * math.sqrt(2)).clamp(-self.limit, self.limit)
