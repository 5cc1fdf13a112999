"""Residual nets without norm layers for the relativistic loss with two gradient penalties (R3GAN)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gander.errors import RecipeError
from gander.nets.blocks import Generator, Head, ImageShape, one_hot
from gander.nets.designs import DiscriminatorDesign, GeneratorDesign
from gander.nets.grouped import GroupedConv2d
from gander.schedule import Settings
from gander.techniques.slots import Logits

Widths = Annotated[
    tuple[Annotated[int, Field(ge=8, le=2048)], ...], Field(strict=False, min_length=1, max_length=6)
]


class R3(Settings):
    """Inverted bottlenecks with grouped 3 x 3 convolutions and LeakyReLU; a width a size, smallest first."""

    kind: Literal["r3"] = "r3"
    widths: Widths = (256, 256, 128, 64)
    blocks: int = Field(default=1, ge=1, le=8, description="a size")
    group: int = Field(default=16, ge=1, le=256, description="channels in a group of the 3 x 3 convolutions")
    embedding: int = Field(default=64, ge=1, le=1024)

    def stages(self, image: ImageShape, net: str) -> int:
        """Check that the widths fit the size of the images; give the smallest size of the maps."""
        smallest = image.size >> (len(self.widths) - 1)
        if smallest << (len(self.widths) - 1) != image.size or smallest < 2:
            raise RecipeError(
                f"{net}.widths = {list(self.widths)}: {len(self.widths)} sizes do not lead to {image.size}; "
                "each width after the first stands for a doubling, and the smallest size is 2 or more"
            )
        for width in self.widths:
            if 2 * width % self.group:
                raise RecipeError(f"{net}.widths: twice {width} is no multiple of {net}.group = {self.group}")
        return smallest


class R3Generator(R3, GeneratorDesign):
    """A learned basis at the smallest size, weighted by the latents, then residual stages; no tanh.

    Source: Huang et al. 2024 (R3GAN), section 4.
    """

    labels: Literal["ignored", "concatenated"] = "ignored"

    def build(self, image: ImageShape, latent_dim: int) -> Generator:
        """Make the net for one shape of image; RecipeError where the widths do not fit it."""
        return _R3Generator(self, image, latent_dim, self.stages(image, "generator"))


class R3Discriminator(R3, DiscriminatorDesign):
    """The generator's mirror image, ending in one number, or in a projection on the class.

    Source: Huang et al. 2024 (R3GAN), section 4.
    """

    labels: Literal["ignored", "head", "projected"] = "ignored"

    def build(self, image: ImageShape) -> nn.Module:
        """Make the net for one shape of image; RecipeError where the widths do not fit it."""
        return _R3Discriminator(self, image, self.stages(image, "discriminator"))


def _fan_in(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> None:
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class _Block(nn.Module):
    """1 x 1 to twice the width, grouped 3 x 3, 1 x 1 back; the last starts at zero, and so does the block."""

    def __init__(self, width: int, group: int, depth: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.mix = GroupedConv2d(2 * width, 3, 1, 2 * width // group, bias=True)
        self.narrow = nn.Conv2d(2 * width, width, 1, bias=False)
        gain = math.sqrt(2 / (1 + 0.2**2)) * depth**-0.25  # two layers that matter share depth ** -0.5
        _fan_in(self.widen, gain)
        _fan_in(self.mix, gain)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, maps: Tensor) -> Tensor:
        inner = F.leaky_relu(self.widen(maps), 0.2)
        inner = F.leaky_relu(self.mix(inner), 0.2)
        return maps + self.narrow(inner)


class _Resample(nn.Module):
    """Double or halve the size with the filter [1, 3, 3, 1], and change the width where it changes.

    Halving is the transpose of doubling, divided by 4: both leave the middle of the image where it is.
    """

    def __init__(self, inputs: int, outputs: int, up: bool) -> None:
        super().__init__()
        self.up = up
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else None
        if self.conv is not None:
            _fan_in(self.conv)

    def forward(self, maps: Tensor) -> Tensor:
        if self.up:
            maps = maps if self.conv is None else self.conv(maps)
            return F.interpolate(maps, scale_factor=2, mode="bilinear")
        # Three averages of two are this filter, and cheap to differentiate twice; one by groups is not.
        maps = F.avg_pool2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), 2, 1)
        maps = F.avg_pool2d(F.avg_pool2d(maps, 2, 1), 2)
        return maps if self.conv is None else self.conv(maps)


def _stages(net: R3, widths: tuple[int, ...], up: bool) -> list[nn.Module]:
    depth = len(widths) * net.blocks
    made: list[nn.Module] = []
    for place, width in enumerate(widths):
        if place:
            made.append(_Resample(widths[place - 1], width, up))
        made += [_Block(width, net.group, depth) for _ in range(net.blocks)]
    return made


class _R3Generator(Generator):
    def __init__(self, net: R3Generator, image: ImageShape, latent_dim: int, smallest: int) -> None:
        super().__init__(latent_dim, image.num_classes if net.labels != "ignored" else 0)
        self.embedding = nn.Linear(self.num_classes, net.embedding, bias=False) if self.num_classes else None
        inputs = latent_dim + (net.embedding if self.num_classes else 0)
        self.weights = nn.Linear(inputs, net.widths[0], bias=False)
        self.basis = nn.Parameter(torch.randn(net.widths[0], smallest, smallest))
        self.stages = nn.Sequential(*_stages(net, net.widths, up=True))
        self.last = nn.Conv2d(net.widths[-1], image.channels, 1, bias=False)
        _fan_in(self.weights)
        _fan_in(self.last)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embedding is not None:
            named = self.embedding(one_hot(labels, self.num_classes, latents))
            latents = torch.cat([latents, named], 1)
        maps = self.weights(latents)[:, :, None, None] * self.basis
        return self.last(self.stages(maps))


class _R3Discriminator(nn.Module):
    def __init__(self, net: R3Discriminator, image: ImageShape, smallest: int) -> None:
        super().__init__()
        widths = net.widths[::-1]
        self.first = nn.Conv2d(image.channels, widths[0], 1, bias=False)
        self.stages = nn.Sequential(*_stages(net, widths, up=False))
        self.basis = GroupedConv2d(widths[-1], smallest, 0, widths[-1], bias=False)
        self.head = Head(widths[-1], net.labels, image.num_classes)
        _fan_in(self.first)
        _fan_in(self.basis)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Logits:
        return self.head(self.basis(self.stages(self.first(images))).flatten(1), labels)
