"""Frozen features of real images, and the heads of a discriminator that stand on them."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gander.errors import RecipeError
from gander.nets.blocks import ImageShape
from gander.registry import Technique
from gander.techniques.slots import Logits

_MIXED = 32  # maps that every level is mixed into
_WIDTH = 64  # of the heads
_SCALE = 4.0  # the length of a part of pooled features
_PLACES = 4  # a side, of pooled features
Maps = list[Tensor]


class Features(Technique):
    """A small net that is frozen before the training begins, with heads that join the discriminator.

    Each head's loss counts `weight` times. The net is trained on the run's own images, which takes a minute
    on a laptop, and is kept in the cache for the next run on the same data.

    Source: Sauer et al. 2021, sections 3.1 and 3.2 (frozen features, mixed across channels and scales, of a
    large pretrained net; here of a small one of the same data, so that nothing is downloaded); Kumari et al.
    2022 (beside a discriminator of images).
    """

    slot: ClassVar[str] = "features"
    task: ClassVar[Literal["classes", "rotations"] | None] = None
    weight: float = Field(default=0.3, gt=0, le=100)
    epochs: int = Field(default=3, ge=1, le=100)
    width: int = Field(default=24, ge=4, le=512)
    seed: int = Field(default=11, ge=0, lt=2**32, description="its own: runs share the net")


class ClassFeatures(Features):
    """Features of a classifier of the run's own classes."""

    kind: Literal["classes"] = "classes"
    task = "classes"


class RotationFeatures(Features):
    """Features of a net that tells by how many quarters an image was turned, for data without labels.

    Source: Gidaris et al. 2018.
    """

    kind: Literal["rotations"] = "rotations"
    task = "rotations"


class RandomFeatures(Features):
    """Features of a net that has learned nothing."""

    kind: Literal["random"] = "random"


class FeatureNet(nn.Module):
    """Six convolutions on half-size maps: images (N, C, S, S) in [-1, 1] in, maps at S/2, S/4 and S/8 out."""

    def __init__(self, channels: int, width: int, outputs: int = 0) -> None:
        super().__init__()
        self.widths = (round(4 * width / 3), round(8 * width / 3), round(16 * width / 3))
        first, second, third = self.widths
        pooled = nn.MaxPool2d(2)
        self.levels = nn.ModuleList(
            [
                nn.Sequential(nn.PixelUnshuffle(2), *_block(4 * channels, width), *_block(width, first)),
                nn.Sequential(pooled, *_block(first, second), *_block(second, second)),
                nn.Sequential(pooled, *_block(second, third), *_block(third, third)),
            ]
        )
        self.last = nn.Linear(third, outputs) if outputs else None

    def logits(self, maps: Maps) -> Tensor | None:
        """Give what a net that learned a task says of its maps, (N, outputs)."""
        return self.last(maps[-1].mean((2, 3))) if self.last is not None else None

    def forward(self, images: Tensor) -> Maps:
        maps: Maps = []
        for level in self.levels:
            images = level(images)
            maps.append(images)
        return maps


def pooled(maps: Maps) -> Tensor:
    """Give what an energy distance compares (N, D): each level in 4 x 4 places, its means and largest values.

    Every part has one length, so that contrast is no cheap way to be far from other images.
    """
    parts: list[Tensor] = []
    for level in (each.float() for each in maps):
        parts.append(F.adaptive_avg_pool2d(level, _PLACES).flatten(1))
        parts.append(torch.cat([level.mean((2, 3)), level.amax((2, 3))], 1))
    return torch.cat([_SCALE * F.normalize(part, eps=1e-3) for part in parts], 1)


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


class FeatureHeads(nn.Module):
    """One small discriminator a level of frozen maps, conditional by projection where there are classes.

    Every level is mixed across channels and with the coarser levels by fixed random convolutions, so that no
    head can lean on the few maps that are the easiest to tell apart.
    """

    def __init__(self, widths: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.across = nn.ModuleList(nn.Conv2d(width, _MIXED, 1, bias=False) for width in widths)
        self.between = nn.ModuleList(nn.Conv2d(_MIXED, _MIXED, 3, padding=1, bias=False) for _ in widths)
        for conv in (*self.across, *self.between):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
            conv.requires_grad_(False)
        coarser = range(len(widths) - 1, -1, -1)  # halvings from each level to the coarsest
        self.heads = nn.ModuleList(_head(halvings) for halvings in coarser)
        self.scores = nn.ModuleList(spectral_norm(nn.Conv2d(_WIDTH, 1, 1)) for _ in widths)
        self.classes = nn.ModuleList(nn.Embedding(num_classes, _WIDTH) for _ in widths if num_classes)
        for embedding in self.classes.parameters():
            nn.init.normal_(embedding, std=_WIDTH**-0.5)

    def forward(self, maps: Maps, labels: Tensor | None) -> list[Tensor]:
        """Give the scores (N, places) of every head."""
        given: list[Tensor] = []
        above: Tensor | None = None
        for level in reversed(range(len(maps))):
            mixed = self.across[level](maps[level])
            if above is not None:
                mixed = mixed + F.interpolate(above, mixed.shape[2:])
            above = self.between[level](mixed)
            seen = self.heads[level](above)
            score = self.scores[level](seen).squeeze(1)
            if self.classes:
                score = score + (seen * self.classes[level](labels)[:, :, None, None]).sum(1)
            given.append(score.flatten(1))
        return given


def _head(halvings: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    width = _MIXED
    for _ in range(halvings):
        layers += [spectral_norm(nn.Conv2d(width, _WIDTH, 4, 2, 1)), nn.LeakyReLU(0.2)]
        width = _WIDTH
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(width, _WIDTH, 3, padding=1)), nn.LeakyReLU(0.2))


class Guided(nn.Module):
    """A discriminator beside heads on frozen features."""

    def __init__(self, net: nn.Module, features: Features, image: ImageShape) -> None:
        super().__init__()
        if image.size % 2:
            raise RecipeError(f"features: need images of an even size; the data has {image}; set data.size")
        self.net = net
        outputs = image.num_classes if features.task == "classes" else 0
        self.features = FeatureNet(image.channels, features.width, outputs).requires_grad_(False)
        self.heads = FeatureHeads(self.features.widths, image.num_classes)
        self.weight = features.weight

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Logits:
        said: Logits = self.net(images, labels)
        maps = self.features(images)
        more = tuple((self.weight, score) for score in self.heads(maps, labels))
        guides = self.features.logits(maps)
        return said._replace(more=(*said.more, *more), features=pooled(maps), guides=guides)
