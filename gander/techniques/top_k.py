"""G learns from its best images only."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gander.schedule import Clock, Share
from gander.techniques.objectives import Wrapper
from gander.techniques.slots import per_image


class TopK(Wrapper):
    """Let only that `share` of the fakes pull G which D scores best; D's loss is unchanged.

    A ramp from 1 begins once D knows something: the paper goes to 0.5 over some 70 epochs. Several processes
    choose from their own images each.

    Source: Sinha et al. 2020, section 3.
    """

    kind: Literal["top_k"] = "top_k"
    share: Share = 0.5

    def real(self, score: Tensor, clock: Clock) -> Tensor:
        return self.inner.real(score, clock)

    def fake(self, score: Tensor, clock: Clock) -> Tensor:
        return self.inner.fake(score, clock)

    def g_now(self, fake: Tensor, real: Tensor | None, clock: Clock) -> Tensor:
        """Give the loss of the best, raised so that its mean over all is their mean, and 0 for the others."""
        count = max(1, round(clock.now(self.share) * len(fake)))
        best = per_image(fake).topk(count).indices
        chosen = torch.zeros_like(fake).index_fill(0, best, len(fake) / count)
        return chosen * self.inner.g_now(fake, real, clock)
