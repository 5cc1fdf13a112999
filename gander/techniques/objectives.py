"""Objectives: the losses of the game, and wrappers that change the labels of any of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from gander.chance import rand
from gander.schedule import Clock, Share
from gander.techniques.slots import Objective, Separable


class Labelled(Separable):
    """A separable objective with labels 1 for real and 0 for fake, that may lie between or beyond."""

    def toward(self, score: Tensor, target: Tensor | float) -> Tensor:
        """Give D's loss (N,) for scores that should say `target`."""
        raise NotImplementedError

    def real(self, score: Tensor, clock: Clock) -> Tensor:
        """Ask for 1."""
        return self.toward(score, 1.0)

    def fake(self, score: Tensor, clock: Clock) -> Tensor:
        """Ask for 0."""
        return self.toward(score, 0.0)


class Logistic(Labelled):
    """Binary cross-entropy on logits for D; how G answers is the subclasses' matter."""

    def toward(self, score: Tensor, target: Tensor | float) -> Tensor:
        """Give softplus(s) - target s, the cross-entropy of sigmoid(s) with `target`."""
        return F.softplus(score) - target * score


class NonSaturating(Logistic):
    """Binary cross-entropy; G maximises the log-probability that its images are called real.

    Source: Goodfellow et al. 2014, section 3.
    """

    kind: Literal["non_saturating"] = "non_saturating"

    def g(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Give -log sigmoid(s)."""
        return F.softplus(-fake)


class Saturating(Logistic):
    """Binary cross-entropy as a zero-sum game: G minimises what D maximises.

    Hurts when: D wins early; G's slope goes to zero with D(fake).
    Source: Goodfellow et al. 2014, equation 1.
    """

    kind: Literal["saturating"] = "saturating"

    def g(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Give log(1 - sigmoid(s))."""
        return -F.softplus(fake)


class LeastSquares(Labelled):
    """Half the squared distance of the score from its label.

    Source: Mao et al. 2017, equation 9.
    """

    kind: Literal["least_squares"] = "least_squares"

    def toward(self, score: Tensor, target: Tensor | float) -> Tensor:
        """Give (s - target)^2 / 2."""
        return (score - target).square() / 2

    def g(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Give (s - 1)^2 / 2."""
        return (fake - 1).square() / 2


class Hinge(Labelled):
    """Scores beyond +1 for real and -1 for fake cost nothing.

    Source: Lim & Ye 2017; Miyato et al. 2018, equations 16 and 17.
    """

    kind: Literal["hinge"] = "hinge"

    def toward(self, score: Tensor, target: Tensor | float) -> Tensor:
        """Weigh the two hinges by the target: target relu(1 - s) + (1 - target) relu(1 + s)."""
        return target * F.relu(1 - score) + (1 - target) * F.relu(1 + score)

    def g(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Give -s."""
        return -fake


class Wasserstein(Separable):
    """The difference of mean scores; wants a Lipschitz critic: gradient_penalty, spectral_norm, clip_weights.

    Source: Arjovsky et al. 2017, section 3.
    """

    kind: Literal["wasserstein"] = "wasserstein"

    def real(self, score: Tensor, clock: Clock) -> Tensor:
        """Give -s."""
        return -score

    def fake(self, score: Tensor, clock: Clock) -> Tensor:
        """Give s."""
        return score

    def g(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Give -s."""
        return -fake


class Relativistic(Objective):
    """D asks which of a pair is real, G swaps them: logistic loss of the difference of paired scores.

    Source: Jolicoeur-Martineau 2019 (RpGAN); Huang et al. 2024, equation 2.
    """

    relative = True
    kind: Literal["relativistic"] = "relativistic"

    def d(self, real: Tensor, fake: Tensor, clock: Clock) -> Tensor:
        """Give softplus(fake - real)."""
        return F.softplus(fake - real)

    def g(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Give softplus(real - fake)."""
        assert real is not None
        return F.softplus(real - fake)


class Wrapper(Separable):
    """What wrappers share: G plays the inner objective unchanged."""

    inner: Separable = NonSaturating()

    def g(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Leave G's loss as it is."""
        return self.inner.g(fake, real)

    def g_now(self, fake: Tensor, real: Tensor | None, clock: Clock) -> Tensor:
        return self.inner.g_now(fake, real, clock)


Target = Annotated[float, Field(ge=-1, le=2)]
Targets = Target | Annotated[tuple[Target, Target], Field(strict=False)]


class Smooth(Wrapper):
    """Ask D for softer labels than 1 and 0: a constant, or a fresh draw an image from a range [low, high].

    The default is one-sided, 0.9 for real and 0 for fake. G's own loss is unchanged.

    Hurts when: the fake label is above 0: it rewards whatever G makes now (Goodfellow 2016, section 4.2).
    Source: Salimans et al. 2016, section 3.4.
    """

    kind: Literal["smooth"] = "smooth"
    real_label: Targets = Field(default=0.9, alias="real")
    fake_label: Targets = Field(default=0.0, alias="fake")
    inner: Labelled = NonSaturating()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, label in (("real", self.real_label), ("fake", self.fake_label)):
            if isinstance(label, tuple) and label[0] > label[1]:
                raise ValueError(f"{name} must be [low, high] with low <= high")
        return self

    def real(self, score: Tensor, clock: Clock) -> Tensor:
        """Ask for the soft real label."""
        return self.inner.toward(score, _draw(self.real_label, score))

    def fake(self, score: Tensor, clock: Clock) -> Tensor:
        """Ask for the soft fake label."""
        return self.inner.toward(score, _draw(self.fake_label, score))


def _draw(label: float | tuple[float, float], score: Tensor) -> Tensor | float:
    if not isinstance(label, tuple):
        return label
    low, high = label
    return low + (high - low) * rand(*score.shape, device=score.device)


class Flip(Wrapper):
    """Swap the label of each image with probability `share`, real and fake alike; may be a ramp to 0.

    Source: folklore ("noisy labels"; ganhacks, item 6).
    """

    kind: Literal["flip"] = "flip"
    share: Share = 0.05

    def real(self, score: Tensor, clock: Clock) -> Tensor:
        """Ask for real, or now and then for fake."""
        flipped = self._flipped(score, clock)
        return torch.where(flipped, self.inner.fake(score, clock), self.inner.real(score, clock))

    def fake(self, score: Tensor, clock: Clock) -> Tensor:
        """Ask for fake, or now and then for real."""
        flipped = self._flipped(score, clock)
        return torch.where(flipped, self.inner.real(score, clock), self.inner.fake(score, clock))

    def _flipped(self, score: Tensor, clock: Clock) -> Tensor:
        return rand(*score.shape, device=score.device) < clock.now(self.share)
