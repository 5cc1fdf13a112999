"""Residual nets of the spectral-norm family: SNGAN, projection, BigGAN at the size of CIFAR."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gander.errors import RecipeError
from gander.nets.blocks import BatchNorm, ClassBatchNorm, Generator, Head, ImageShape, Labels, one_hot
from gander.nets.designs import DiscriminatorDesign, GeneratorDesign
from gander.nets.san import SanHead
from gander.techniques.slots import Logits


class ResidualGenerator(GeneratorDesign):
    """Pre-activation residual blocks, each doubling the size at one width.

    Labels reach every batch norm through one shared class embedding of `embedding` numbers (0: one-hot);
    with `chunks` each block also gets its own slice of the latents.

    Source: Miyato et al. 2018, table 4; Brock et al. 2018, appendix B.
    """

    kind: Literal["residual"] = "residual"
    width: int = Field(default=256, ge=1, le=2048)
    blocks: int = Field(default=3, ge=1, le=6)
    labels: Literal["ignored", "batch_norm"] = "ignored"
    embedding: int = Field(default=0, ge=0, le=1024)
    chunks: bool = False

    def build(self, image: ImageShape, latent_dim: int) -> Generator:
        """Make the net for one shape of image; RecipeError where size or latents cannot be divided."""
        if self.chunks and latent_dim % (self.blocks + 1):
            raise RecipeError(
                f"latents.dim = {latent_dim}: generator.chunks needs a multiple of {self.blocks + 1}, "
                f"such as {-(-latent_dim // (self.blocks + 1)) * (self.blocks + 1)}"
            )
        return _ResidualGenerator(self, image, latent_dim, _lowest(image.size, self.blocks, "generator"))


class ResidualDiscriminator(DiscriminatorDesign):
    """Residual blocks without norm layers, the first `halvings` of them halving the size; a sum over places.

    Source: Miyato et al. 2018, table 4; projection, Miyato & Koyama 2018.
    """

    kind: Literal["residual"] = "residual"
    width: int = Field(default=128, ge=1, le=2048)
    blocks: int = Field(default=4, ge=1, le=8)
    halvings: int = Field(default=2, ge=1, le=6)
    labels: Labels = "ignored"
    san: bool = Field(default=False, description="a last layer as in slicing adversarial networks")

    def build(self, image: ImageShape) -> nn.Module:
        _lowest(image.size, self.halvings, "discriminator", "halvings")
        return _ResidualDiscriminator(self, image)


def _lowest(size: int, halvings: int, net: str, name: str = "blocks") -> int:
    lowest = size >> halvings
    if lowest << halvings != size or lowest < 2:
        fits = [n for n in range(1, 7) if (size >> n) << n == size and size >> n >= 2]
        allowed = f"up to {max(fits)} fit" if fits else "no number fits; set data.size=32"
        raise RecipeError(f"{net}.{name} = {halvings}: {size} pixels cannot be halved so often; {allowed}")
    return lowest


class _Up(nn.Module):
    """Double the size; the shortcut is convolved before it is doubled: the same maths, cheaper."""

    def __init__(self, width: int, condition_dim: int) -> None:
        super().__init__()
        self.norm1 = ClassBatchNorm(width, condition_dim) if condition_dim else BatchNorm(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = ClassBatchNorm(width, condition_dim) if condition_dim else BatchNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, maps: Tensor, condition: tuple[Tensor, ...]) -> Tensor:
        kept = F.interpolate(self.shortcut(maps), scale_factor=2)
        maps = F.interpolate(F.relu(self.norm1(maps, *condition)), scale_factor=2)
        maps = F.relu(self.norm2(self.conv1(maps), *condition))
        return self.conv2(maps) + kept


class _ResidualGenerator(Generator):
    def __init__(self, net: ResidualGenerator, image: ImageShape, latent_dim: int, lowest: int) -> None:
        super().__init__(latent_dim, image.num_classes if net.labels != "ignored" else 0)
        self.slices = net.blocks + 1 if net.chunks else 1
        chunk = latent_dim // self.slices if net.chunks else 0
        embedding = (net.embedding or self.num_classes) if self.num_classes else 0
        self.embedding = nn.Embedding(self.num_classes, embedding) if net.embedding and embedding else None
        self.first = nn.Linear(latent_dim // self.slices, net.width * lowest**2)
        self.unflatten = nn.Unflatten(1, (net.width, lowest, lowest))
        self.blocks = nn.ModuleList(_Up(net.width, embedding + chunk) for _ in range(net.blocks))
        self.last = nn.Sequential(
            BatchNorm(net.width), nn.ReLU(), nn.Conv2d(net.width, image.channels, 3, padding=1), nn.Tanh()
        )

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        first, *chunks = latents.chunk(self.slices, 1)
        named: list[Tensor] = []
        if self.embedding is not None:
            named = [self.embedding(labels)]
        elif self.num_classes:
            named = [one_hot(labels, self.num_classes, latents)]
        maps = self.unflatten(self.first(first))
        for place, block in enumerate(self.blocks):
            condition = named + chunks[place : place + 1]
            maps = block(maps, (torch.cat(condition, 1),) if condition else ())
        return self.last(maps)


class _Down(nn.Module):
    def __init__(self, inputs: int, width: int, first: bool, halve: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, width, 1) if halve or inputs != width else None
        self.first = first
        self.halve = halve

    def forward(self, maps: Tensor) -> Tensor:
        kept = maps
        if self.shortcut is not None:  # pooling and a 1 x 1 convolution commute: pool the fewer maps
            pooled = F.avg_pool2d(maps, 2) if self.halve else maps
            kept = self.shortcut(pooled)
        maps = self.conv1(maps if self.first else F.relu(maps))
        maps = self.conv2(F.relu(maps))
        return (F.avg_pool2d(maps, 2) if self.halve else maps) + kept


class _ResidualDiscriminator(nn.Module):
    def __init__(self, net: ResidualDiscriminator, image: ImageShape) -> None:
        super().__init__()
        widths = [image.channels] + [net.width] * net.blocks
        self.blocks = nn.Sequential(
            *(_Down(widths[n], net.width, n == 0, n < net.halvings) for n in range(net.blocks))
        )
        self.head = (SanHead if net.san else Head)(net.width, net.labels, image.num_classes)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Logits:
        return self.head(F.relu(self.blocks(images)).sum((2, 3)), labels)
