"""A class loss that also sets images of different classes apart."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from gander.schedule import NonNegative
from gander.techniques.slots import Kind, Penalty, Scene, Side


class DataToData(Penalty):
    """Cross-entropy of an image's own class against the images of other classes: D's on real, G's on fakes.

    A cosine with the class counts up to `margin`, one with an image of another class from 1 - margin; both
    are divided by `temperature`. Several processes compare their own images only.

    Source: Kang et al. 2021 (ReACGAN), the data-to-data cross-entropy.
    """

    kind: Literal["d2d_ce"] = "d2d_ce"
    sides: ClassVar[tuple[Side, ...]] = ("d", "g")
    needs: ClassVar[tuple[Kind, ...]] = ()
    weight: NonNegative = 0.5
    temperature: float = Field(default=0.5, gt=0, le=10)
    margin: float = Field(default=0.98, ge=0, le=1)

    def __call__(self, scene: Scene) -> Tensor | None:
        """Give -log(e^p / (e^p + sum of e^n over the images of other classes)), None without such images."""
        seen = scene.real if scene.side == "d" else scene.fake
        if seen is None:
            return None
        classes, embedding, labels = seen.logits.classes, seen.logits.embedding, seen.labels
        assert classes is not None and embedding is not None and labels is not None  # noqa: PT018
        own = (classes.gather(1, labels[:, None]) - self.margin).clamp(max=0)
        others = (embedding @ embedding.T - (1 - self.margin)).clamp(min=0)
        others = others.masked_fill(labels[:, None] == labels, -torch.inf)
        loss = torch.cat([own, others], 1).div(self.temperature).logsumexp(1) - own[:, 0] / self.temperature
        return scene.clock.now(self.weight) * loss
