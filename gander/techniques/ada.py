"""Adaptive discriminator augmentation: as much augmentation as D's overfitting asks for."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gander.chance import mean_of_all, rand, randn
from gander.schedule import Clock
from gander.techniques.slots import Scene, View


class Ada(View):
    """Augment with a probability that follows how often D is sure of real images.

    Each change (mirror, quarter turn, shift, scale, turn, stretch; brightness, contrast, hue, saturation)
    happens with probability p. Every `every` looks of D, p moves up where the mean sign of D(real) is above
    `target` and down where it is below, by a rate that takes `speed` images from 0 to 1; it stays below
    `most`, beyond which augmentations would show in generated images. p is logged as `ada/p`.

    Hurts when: data are plenty: it then stays near 0 and only costs time.
    Source: Karras et al. 2020 (ADA), sections 2.2 and 3.1, appendix B. Images are resampled bilinearly, where
    the paper filters with wavelets.
    """

    kind: Literal["ada"] = "ada"
    target: float = Field(default=0.6, ge=-1, le=1, description="mean sign of D(real)")
    every: int = Field(default=4, ge=1, le=10_000, description="looks of D at real images")
    speed: int = Field(default=500_000, ge=1, le=10**12, description="images for p to go from 0 to 1")
    most: float = Field(default=0.8, gt=0, le=1)
    start_at: float = Field(default=0.0, ge=0, le=1, alias="start", description="p at the beginning")

    def start(self, device: torch.device) -> nn.Module:
        return _Ada(self).to(device)


class _Ada(nn.Module):
    p: Tensor
    signs: Tensor
    count: Tensor
    looks: Tensor

    def __init__(self, settings: Ada) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("p", torch.tensor(min(settings.start_at, settings.most)))
        for name in ("signs", "count", "looks"):  # since p was last moved
            self.register_buffer(name, torch.zeros(()))

    def observe(self, scene: Scene) -> None:
        """Count signs of D(real); move p where it is time, without waiting for the device."""
        if scene.side != "d" or scene.real is None:
            return
        scores = scene.real.logits.score.detach()
        images = scores.numel() * torch.ones((), device=scores.device)
        mean, images = mean_of_all(torch.stack([scores.sign().mean(), images]))
        self.signs += mean * images
        self.count += images
        self.looks += 1
        settings = self.settings
        now = (self.looks >= settings.every).float()
        direction = (self.signs / self.count - settings.target).sign()
        self.p.add_(now * direction * self.count / settings.speed).clamp_(0, settings.most)
        for sum_ in (self.signs, self.count, self.looks):
            sum_.mul_(1 - now)

    def numbers(self) -> dict[str, Tensor]:
        return {"ada/p": self.p}

    def forward(self, images: Tensor, clock: Clock) -> Tensor:
        return recolour(_resample(images, moves(len(images), self.p)), self.p)


def moves(n: int, p: Tensor) -> Tensor:
    """Draw the inverse maps (n, 2, 3) from places of the result to places of the source, both in [-1, 1]."""
    device = p.device

    def chosen(value: Tensor, otherwise: float) -> Tensor:
        return torch.where(rand(n, device=device) < p, value, torch.full_like(value, otherwise))

    mirror = chosen(1 - 2 * (rand(n, device=device) * 2).floor(), 1)
    quarter = chosen((rand(n, device=device) * 4).floor() * (math.pi / 2), 0)
    scale = chosen(2 ** (randn(n, device=device) * 0.2), 1)
    stretch = chosen(2 ** (randn(n, device=device) * 0.2), 1)
    turn = chosen((rand(n, device=device) * 2 - 1) * math.pi, 0)
    shift = [chosen((rand(n, device=device) * 2 - 1) * 0.25, 0) for _ in range(2)]
    cos, sin = (quarter + turn).cos(), (quarter + turn).sin()
    across, down = mirror / (scale * stretch), stretch / scale
    rows = [cos * across, -sin * across, shift[0], sin * down, cos * down, shift[1]]
    return torch.stack(rows, 1).view(n, 2, 3)


def _resample(images: Tensor, maps: Tensor) -> Tensor:
    """Give (N, C, S, S) where each place is read bilinearly from where its map points, mirrored at the edges.

    Written with gather, because torch's grid_sample cannot be differentiated twice, which R1 asks for.
    """
    n, channels, size, _ = images.shape
    grid = F.affine_grid(maps, [n, 1, size, size], align_corners=False)
    place = ((grid + 1) * size - 1) / 2
    low = place.floor()
    share = (place - low).unbind(-1)
    corners = torch.zeros((), device=images.device, dtype=images.dtype)
    flat = images.flatten(2)
    for right in (0, 1):
        for below in (0, 1):
            x, y = (_mirrored(low[..., axis] + step, size) for axis, step in ((0, right), (1, below)))
            weight = (share[0] if right else 1 - share[0]) * (share[1] if below else 1 - share[1])
            index = (y * size + x).flatten(1)[:, None].expand(-1, channels, -1)
            corners = corners + flat.gather(2, index) * weight.flatten(1)[:, None]
    return corners.view_as(images)


def _mirrored(place: Tensor, size: int) -> Tensor:
    """Fold whole places beyond the edges back in: -1 becomes 0, `size` becomes `size - 1`."""
    folded = place.long() % (2 * size)
    return torch.minimum(folded, 2 * size - 1 - folded)


def recolour(images: Tensor, p: Tensor) -> Tensor:
    """Change brightness, contrast, luma, hue and saturation, each of an image with probability p."""
    n, channels = images.shape[:2]
    device = images.device

    def chosen(value: Tensor, otherwise: float) -> Tensor:
        drawn = torch.where(rand(n, device=device) < p, value, torch.full_like(value, otherwise))
        return drawn[:, None, None, None]

    images = images + chosen(randn(n, device=device) * 0.2, 0)
    images = images * chosen(2 ** (randn(n, device=device) * 0.5), 1)
    if channels != 3:
        return images
    luma = images.mean(1, keepdim=True)
    rest = images - luma
    angle = chosen((rand(n, device=device) * 2 - 1) * math.pi, 0)
    # A turn of the colours around grey: what is across (1, 1, 1) is turned, what is along it stays.
    across = (rest.roll(1, 1) - rest.roll(-1, 1)) / math.sqrt(3)
    rest = rest * angle.cos() + across * angle.sin()
    return luma + rest * chosen(2 ** randn(n, device=device), 1)
