"""What the training step calls: the slots' signatures, and the scene that parts with a memory watch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from gander.registry import Technique
from gander.schedule import Clock

Side = Literal["d", "g"]
Kind = Literal["real", "fake"]


class Logits(NamedTuple):
    """What a discriminator says of N images.

    `score` (N,) is higher for more real; a logit for the logistic losses. A discriminator with several heads
    gives the others in `more`, each as its weight in the loss and its scores, (N,) or (N, places). One that
    stands on frozen features gives them in `features` (N, D), pooled, for penalties that compare them. Where
    the last layer has a loss of its own, `direction` (N,) is the score as that loss sees it.
    """

    score: Tensor
    classes: Tensor | None = None  # (N, K) class logits, where it has a class head
    more: tuple[tuple[float, Tensor], ...] = ()
    features: Tensor | None = None
    guides: Tensor | None = None  # (N, K) class logits of a frozen classifier
    direction: Tensor | None = None
    embedding: Tensor | None = None  # (N, E) of length 1, where `classes` are its cosines with the classes

    @property
    def heads(self) -> tuple[tuple[float, Tensor], ...]:
        """The weight and the scores of every head."""
        return ((1.0, self.score), *self.more)

    def total(self) -> Tensor:
        """Give all heads by their weights as one number an image (N,): what slopes are taken of."""
        if not self.more:
            return self.score
        return self.score + sum(weight * per_image(score) for weight, score in self.more)

    def float(self) -> Logits:
        """Give the same in float32."""
        score, classes, more, *others = self
        more = tuple((weight, of_head.float()) for weight, of_head in more)
        classes, *others = (None if values is None else values.float() for values in (classes, *others))
        return Logits(score.float(), classes, more, *others)


def per_image(values: Tensor) -> Tensor:
    """Average (N, ...) over all but the images: (N,)."""
    return values if values.dim() == 1 else values.flatten(1).mean(1)


@dataclass
class Seen:
    """Images (N, C, H, W) as they were before the views, their labels (N,), and what D said of them."""

    images: Tensor
    labels: Tensor | None
    logits: Logits


@dataclass
class Scene:
    """One look of the discriminator, for the penalties of one side and for all that observe.

    `latents` (N, Z) are those of the fakes. An update may look at real or at fake images alone.
    `repeat` looks at others in place of the real or the fake ones, with all draws of views and net as before.
    """

    side: Side
    clock: Clock
    critic: Callable[[Tensor, Tensor | None], Logits]  # through the views, once more
    generator: nn.Module | None = None
    latents: Tensor | None = None
    real: Seen | None = None
    fake: Seen | None = None
    repeat: Callable[[Kind, Tensor], Logits] | None = None

    def seen(self) -> Iterator[tuple[Kind, Seen]]:
        """Give what was looked at."""
        if self.real is not None:
            yield "real", self.real
        if self.fake is not None:
            yield "fake", self.fake


class Part(Technique):
    """A technique of a training step: frozen settings, which start a part of one training.

    A part without memory is the settings themselves. One with memory is an nn.Module: its state is saved
    and resumed by name, `observe` hears every look, and the scalars that `numbers()` names are logged.
    """

    def start(self, device: torch.device) -> Any:
        """Give what the step calls with the slot's signature."""
        return self

    def observe(self, scene: Scene) -> None:
        """Hear of a look of D, after its update."""


class Latents(Part):
    """Where latents come from, in training and sampling alike; sampling calls the settings themselves."""

    slot: ClassVar[str] = "latents"
    dim: int = Field(default=128, ge=1, le=4096)

    def __call__(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw (n, dim) on the device of `rng`; n is this process's share."""
        raise NotImplementedError


class View(Part):
    """How the discriminator gets to see images, real and fake alike, in both updates."""

    slot: ClassVar[str] = "views"

    def __call__(self, images: Tensor, clock: Clock) -> Tensor:
        """Change (N, C, H, W), differentiably."""
        raise NotImplementedError


class Objective(Part):
    """The game's loss, one number for each score.

    `relative` objectives compare a real score with a fake one, also in G's update.
    """

    slot: ClassVar[str] = "objective"
    relative: ClassVar[bool] = False

    def d(self, real: Tensor, fake: Tensor, clock: Clock) -> Tensor:
        """Give D's loss for scores of real and fake images; all have one shape."""
        raise NotImplementedError

    def g(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Give G's loss for scores of its images; `real` comes with relative objectives only."""
        raise NotImplementedError

    def g_now(self, fake: Tensor, real: Tensor | None, clock: Clock) -> Tensor:
        """Give G's loss at this moment; the same at all moments, if not said otherwise."""
        return self.g(fake, real)


class Separable(Objective):
    """An objective that is one part for real and one for fake images, so each can have its own update."""

    def real(self, score: Tensor, clock: Clock) -> Tensor:
        """Give D's loss for calling real images real."""
        raise NotImplementedError

    def fake(self, score: Tensor, clock: Clock) -> Tensor:
        """Give D's loss for calling fake images fake."""
        raise NotImplementedError

    def d(self, real: Tensor, fake: Tensor, clock: Clock) -> Tensor:
        return self.real(real, clock) + self.fake(fake, clock)


class Penalty(Part):
    """A term beside the objective, for D's update, G's, or both.

    `slopes` says that it differentiates by the images, `needs` which images a look must hold. With `every`
    above 1 it counts on every so many steps only, times as many (lazy regularisation, Karras et al. 2020).
    """

    slot: ClassVar[str] = "penalties"
    sides: ClassVar[tuple[Side, ...]] = ("d",)
    needs: ClassVar[tuple[Kind, ...]] = ("real", "fake")
    slopes: ClassVar[bool] = False
    every: int = Field(default=1, ge=1, le=10_000, description="steps")

    def __call__(self, scene: Scene) -> Tensor | None:
        """Give the penalty (N,), in units of loss; None where there is nothing to penalise in this look."""
        raise NotImplementedError
