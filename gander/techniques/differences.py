"""Penalties on how much D's score changes with the images, without a second derivative."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from gander.chance import rand, randn
from gander.schedule import NonNegative
from gander.techniques.slots import Kind, Penalty, Scene
from gander.techniques.views import shift


class ApproximateR1(Penalty):
    """`weight` times the squared change of D's score of a real image when noise of `sigma` is added.

    Near 2 weight sigma^2 times what R1 is with weight 1; nets may be compiled.

    Hurts when: sigma is below what bf16 can tell apart, a hundredth.
    Source: Lin et al. 2025 (Seaweed-APT), the approximate R1.
    """

    kind: Literal["approximate_r1"] = "approximate_r1"
    needs: ClassVar[tuple[Kind, ...]] = ("real",)
    weight: NonNegative = 100.0
    sigma: float = Field(default=0.01, gt=0, le=1, description="of the noise, in units of the images")

    def __call__(self, scene: Scene) -> Tensor:
        """Give weight (D(x) - D(x + sigma e))^2, e of N(0, 1)."""
        return _near(self, scene, *self.needs)


class ApproximateR2(ApproximateR1):
    """The same at fake images.

    Source: Lin et al. 2025 (AAPT), beside the approximate R1.
    """

    kind: Literal["approximate_r2"] = "approximate_r2"  # type: ignore[assignment]
    needs: ClassVar[tuple[Kind, ...]] = ("fake",)


class Consistency(Penalty):
    """`weight` times the squared change of D's score of a real image that is flipped and shifted.

    With `fakes` generated images count alike, which is balanced consistency.

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


def _near(penalty: ApproximateR1, scene: Scene, kind: Kind) -> Tensor:
    images = dict(scene.seen())[kind].images.detach()
    noisy = images + penalty.sigma * randn(*images.shape, device=images.device)
    return scene.clock.now(penalty.weight) * _change(scene, kind, noisy)


def _change(scene: Scene, kind: Kind, images: Tensor) -> Tensor:
    """Give the squared change (N,) of the scores with these images in place of those of this kind."""
    assert scene.repeat is not None
    before = dict(scene.seen())[kind].logits.total()
    return (before - scene.repeat(kind, images).total()).square()
