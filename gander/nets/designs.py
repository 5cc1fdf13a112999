"""The slots of the two nets: a table of a recipe that builds a net for a shape of image."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from gander.nets.blocks import Generator, ImageShape
from gander.registry import Technique


class GeneratorDesign(Technique):
    """How a generator is built; `labels` says by what way it takes them, the ways being a Literal's words."""

    slot: ClassVar[str] = "generator"
    labels: str = "ignored"

    def build(self, image: ImageShape, latent_dim: int) -> Generator:
        """Make the net; RecipeError where it cannot make such images."""
        raise NotImplementedError


class DiscriminatorDesign(Technique):
    """How a discriminator is built: images (N, C, H, W) and labels (N,) in, `Logits` out."""

    slot: ClassVar[str] = "discriminator"
    labels: str = "ignored"

    def build(self, image: ImageShape) -> nn.Module:
        """Make the net; RecipeError where it cannot look at such images."""
        raise NotImplementedError
