"""A penalty on how much D's score changes where an image means the same."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from gander.chance import rand
from gander.schedule import NonNegative
from gander.techniques.slots import Kind, Penalty, Scene
from gander.techniques.views import shift


class Consistency(Penalty):
    """`weight` times the squared change of D's score of a real image that is flipped and shifted.

    With `fakes` generated images count alike, which is balanced consistency.

    Hurts when: time is short: D looks once more, a quarter of a step of `cifar10-fast`.
    Source: Zhang et al. 2020 (CR-GAN); balanced, Zhao et al. 2021 (ICR-GAN).
    """

    kind: Literal["consistency"] = "consistency"
    needs: ClassVar[tuple[Kind, ...]] = ()
    weight: NonNegative = 10.0
    fakes: bool = False

    def __call__(self, scene: Scene) -> Tensor | None:
        """Give weight (D(x) - D(T(x)))^2, None where no image of the scene counts."""
        terms = []
        for kind, seen in scene.seen():
            if kind == "real" or self.fakes:
                images = seen.images.detach()
                flipped = rand(len(images), 1, 1, 1, device=images.device) < 0.5
                moved = shift(torch.where(flipped, images.flip(3), images))
                terms.append(_change(scene, kind, moved))
        return scene.clock.now(self.weight) * torch.stack(terms).sum(0) if terms else None


def _change(scene: Scene, kind: Kind, images: Tensor) -> Tensor:
    """Give the squared change (N,) of the scores with these images in place of those of this kind."""
    assert scene.repeat is not None
    before = dict(scene.seen())[kind].logits.total()
    return (before - scene.repeat(kind, images).total()).square()
