"""Penalties on how much D's score changes with the images, without a second derivative."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from gander.chance import randn
from gander.schedule import NonNegative
from gander.techniques.slots import Kind, Penalty, Scene


class ApproximateR1(Penalty):
    """`weight` times the squared change of D's score of a real image when noise of `sigma` is added.

    Near 2 weight sigma^2 times what R1 is with weight 1; nets may be compiled.

    Hurts when: sigma is below what bf16 can tell apart, a hundredth.
    Source: Lin et al. 2025 (Seaweed-APT), section 3.4.
    """

    kind: Literal["approximate_r1"] = "approximate_r1"
    needs: ClassVar[tuple[Kind, ...]] = ("real",)
    weight: NonNegative = 100.0
    sigma: float = Field(default=0.01, gt=0, le=1, description="of the noise, in units of the images")

    def __call__(self, scene: Scene) -> Tensor:
        """Give weight (D(x) - D(x + sigma e))^2, e of N(0, 1)."""
        return _change(self, scene, *self.needs)


class ApproximateR2(ApproximateR1):
    """The same at fake images.

    Source: Lin et al. 2025 (AAPT), beside the approximate R1.
    """

    kind: Literal["approximate_r2"] = "approximate_r2"  # type: ignore[assignment]
    needs: ClassVar[tuple[Kind, ...]] = ("fake",)


def _change(penalty: ApproximateR1, scene: Scene, kind: Kind) -> Tensor:
    seen = dict(scene.seen())[kind]
    images = seen.images.detach()
    noisy = images + penalty.sigma * randn(*images.shape, device=images.device)
    assert scene.repeat is not None
    change = seen.logits.total() - scene.repeat(kind, noisy).total()
    return scene.clock.now(penalty.weight) * change.square()
