"""Penalties: what is added to the objective's loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import BeforeValidator, Field
from torch import Tensor, nn

from gander.chance import mean_of_all, rand
from gander.registry import one_or_more
from gander.schedule import NonNegative
from gander.techniques.slots import Kind, Penalty, Scene, Seen, Side


def slope(seen: Seen) -> Tensor:
    """Give the gradient (N, C H W) of each image's score by its pixels, differentiable once more."""
    (gradient,) = torch.autograd.grad(seen.logits.total().sum(), seen.images, create_graph=True)
    return gradient.flatten(1)


class R1(Penalty):
    """Half of `weight` times D's squared slope at real images, so that D goes flat where the data are.

    Hurts when: the weight is too large; D tells nothing and images blur.
    Source: Mescheder et al. 2018, section 4.1.
    """

    kind: Literal["r1"] = "r1"
    needs: ClassVar[tuple[Kind, ...]] = ("real",)
    slopes: ClassVar[bool] = True
    weight: NonNegative = 1.0

    def __call__(self, scene: Scene) -> Tensor:
        """Give weight / 2 |grad D(real)|^2."""
        assert scene.real is not None
        return scene.clock.now(self.weight) / 2 * slope(scene.real).square().sum(1)


class R2(Penalty):
    """Half of `weight` times D's squared slope at fake images.

    Source: Mescheder et al. 2018, section 4.1; beside R1, Huang et al. 2024.
    """

    kind: Literal["r2"] = "r2"
    needs: ClassVar[tuple[Kind, ...]] = ("fake",)
    slopes: ClassVar[bool] = True
    weight: NonNegative = 1.0

    def __call__(self, scene: Scene) -> Tensor:
        """Give weight / 2 |grad D(fake)|^2."""
        assert scene.fake is not None
        return scene.clock.now(self.weight) / 2 * slope(scene.fake).square().sum(1)


class GradientPenalty(Penalty):
    """Ask for a slope of `target` along lines between real and fake images.

    Source: Gulrajani et al. 2017, section 4 (target 1, weight 10).
    """

    kind: Literal["gradient_penalty"] = "gradient_penalty"
    slopes: ClassVar[bool] = True
    weight: NonNegative = 10.0
    target: float = Field(default=1.0, ge=0, le=1000)

    def __call__(self, scene: Scene) -> Tensor:
        """Give weight (|grad D(between)| - target)^2."""
        assert scene.real is not None
        assert scene.fake is not None
        real, fake = scene.real.images.detach(), scene.fake.images.detach()
        share = rand(len(real), 1, 1, 1, device=real.device)
        between = torch.lerp(real, fake, share).requires_grad_()
        labels = scene.real.labels
        steep = slope(Seen(between, labels, scene.critic(between, labels)))
        # The square root has no slope at zero: a flat critic would make the update NaN.
        length = (steep.square().sum(1) + 1e-12).sqrt()
        return scene.clock.now(self.weight) * (length - self.target).square()


class LeCam(Penalty):
    """Keep D's scores near moving averages of the scores of the other kind, which helps with few images.

    `decay` is the share of the averages kept a step.

    Source: Tseng et al. 2021, section 3.2.
    """

    kind: Literal["lecam"] = "lecam"
    weight: NonNegative = 0.3
    decay: float = Field(default=0.99, ge=0, lt=1)

    def start(self, device: torch.device) -> Callable[[Scene], Tensor]:
        """Give the penalty with its averages, both still empty."""
        return _LeCam(self).to(device)


class _LeCam(nn.Module):
    averages: Tensor
    seen: Tensor

    def __init__(self, penalty: LeCam) -> None:
        super().__init__()
        self.penalty = penalty
        self.register_buffer("averages", torch.zeros(2))  # of real and of fake scores
        self.register_buffer("seen", torch.zeros(()))  # how much of them is data, the rest is the zero start

    def forward(self, scene: Scene) -> Tensor:
        assert scene.real is not None
        assert scene.fake is not None
        real, fake = scene.real.logits.total(), scene.fake.logits.total()
        now = mean_of_all(torch.stack([real.detach().mean(), fake.detach().mean()]))
        self.averages.lerp_(now.float(), 1 - self.penalty.decay)
        self.seen.lerp_(torch.ones_like(self.seen), 1 - self.penalty.decay)
        of_real, of_fake = self.averages / self.seen
        apart = (real - of_fake).square() + (fake - of_real).square()
        return scene.clock.now(self.penalty.weight) * apart


class AuxiliaryClassifier(Penalty):
    """Cross-entropy of D's class head: on real and fake images in D's update, on fakes in G's.

    With `fakes = false` D learns the classes from real images only.

    Hurts when: its weight is large: G makes the easiest image of each class.
    Source: Odena et al. 2017, section 3.
    """

    kind: Literal["auxiliary_classifier"] = "auxiliary_classifier"
    sides: ClassVar[tuple[Side, ...]] = ("d", "g")
    needs: ClassVar[tuple[Kind, ...]] = ()
    weight: NonNegative = 1.0
    fakes: bool = True

    def __call__(self, scene: Scene) -> Tensor | None:
        """Give the cross-entropy of every image of the scene that is to be classified, None where none is."""
        terms = []
        for kind, seen in scene.seen():
            wanted = (self.fakes or scene.side == "g") if kind == "fake" else scene.side == "d"
            if wanted:
                assert seen.logits.classes is not None
                assert seen.labels is not None
                terms.append(F.cross_entropy(seen.logits.classes, seen.labels, reduction="none"))
        return scene.clock.now(self.weight) * torch.stack(terms).sum(0) if terms else None


Penalties = Annotated[tuple[Penalty, ...], BeforeValidator(one_or_more), Field(strict=False, max_length=16)]
