"""What the training step calls: the slots' signatures, and the scene that penalties look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from gander.registry import Technique
from gander.schedule import Clock

Side = Literal["d", "g"]


@dataclass
class Scene:
    """One look of the discriminator at images, for the penalties of one side.

    Images are (N, C, H, W) as they were before the views, scores (N,), class logits (N, K); what this look
    does not hold is None.
    """

    side: Side
    clock: Clock
    critic: Callable[[Tensor, Tensor | None], Tensor]  # images and labels to scores, through the views
    real: Tensor | None = None
    real_labels: Tensor | None = None
    real_score: Tensor | None = None
    real_classes: Tensor | None = None
    fake: Tensor | None = None
    fake_labels: Tensor | None = None
    fake_score: Tensor | None = None
    fake_classes: Tensor | None = None


class Latents(Technique):
    """Where latents come from, in training and sampling alike."""

    slot: ClassVar[str] = "latents"
    dim: int = Field(default=128, ge=1, le=4096)

    def __call__(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw (n, dim) on the device of `rng`; n is this process's share."""
        raise NotImplementedError


class View(Technique):
    """How the discriminator gets to see images, real and fake alike, in both updates."""

    slot: ClassVar[str] = "views"

    def __call__(self, images: Tensor, clock: Clock) -> Tensor:
        """Change (N, C, H, W), differentiably."""
        raise NotImplementedError


class Objective(Technique):
    """The game's loss, one number an image.

    `relative` objectives compare a real score with a fake one, also in G's update.
    """

    slot: ClassVar[str] = "objective"
    relative: ClassVar[bool] = False

    def d(self, real: Tensor, fake: Tensor, clock: Clock) -> Tensor:
        """Give D's loss (N,) for scores of real and fake images (N,)."""
        raise NotImplementedError

    def g(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Give G's loss (N,) for scores of its images; `real` comes with relative objectives only."""
        raise NotImplementedError


class Separable(Objective):
    """An objective that is one part for real and one for fake images, so each can have its own update."""

    def real(self, score: Tensor, clock: Clock) -> Tensor:
        """Give D's loss (N,) for calling real images real."""
        raise NotImplementedError

    def fake(self, score: Tensor, clock: Clock) -> Tensor:
        """Give D's loss (N,) for calling fake images fake."""
        raise NotImplementedError

    def d(self, real: Tensor, fake: Tensor, clock: Clock) -> Tensor:
        """Add the two parts."""
        return self.real(real, clock) + self.fake(fake, clock)


class Penalty(Technique):
    """A term beside the objective, for D's update, G's, or both.

    `slopes` tells that it differentiates by the images, `looks` which scores it needs. With `every` above 1
    it is paid on every so many steps only, times as many (lazy regularisation, Karras et al. 2020).
    """

    slot: ClassVar[str] = "penalties"
    sides: ClassVar[tuple[Side, ...]] = ("d",)
    looks: ClassVar[tuple[Literal["real", "fake"], ...]] = ("real", "fake")
    slopes: ClassVar[bool] = False
    every: int = Field(default=1, ge=1, le=10_000, description="steps")

    def start(self, device: torch.device) -> Callable[[Scene], Tensor]:
        """Give what the step calls; a penalty with memory gives an nn.Module that holds it."""
        return self

    def __call__(self, scene: Scene) -> Tensor:
        """Give the penalty (N,), in units of loss."""
        raise NotImplementedError
