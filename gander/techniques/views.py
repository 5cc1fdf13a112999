"""Views: how the discriminator gets to see images, real and fake alike."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import BeforeValidator, Field
from torch import Tensor

from gander.chance import rand, randn
from gander.registry import one_or_more
from gander.schedule import Clock, NonNegative, Share
from gander.techniques.slots import View


class InstanceNoise(View):
    """Add N(0, sigma^2) to what D sees; a ramp to 0 lets it fade.

    `sigma` is in units of the images' range [-1, 1].

    Source: Sonderby et al. 2017, section 3; Arjovsky & Bottou 2017.
    """

    kind: Literal["instance_noise"] = "instance_noise"
    sigma: NonNegative = 0.1

    def __call__(self, images: Tensor, clock: Clock) -> Tensor:
        """Add fresh noise to every pixel."""
        sigma = clock.now(self.sigma)
        if sigma == 0:
            return images
        return images + sigma * randn(*images.shape, device=images.device)


Policy = Annotated[
    tuple[Literal["colour", "shift", "cutout"], ...], Field(strict=False, min_length=1, max_length=3)
]


class DiffAugment(View):
    """Change colours, shift by up to an eighth, cut out a half-size square; each image with `share`.

    Hurts when: data are plenty and the run short: it slows the start.
    Source: Zhao et al. 2020, section 3.
    """

    kind: Literal["diffaugment"] = "diffaugment"
    policy: Policy = ("colour", "shift", "cutout")
    share: Share = 1.0

    def __call__(self, images: Tensor, clock: Clock) -> Tensor:
        """Apply the policy in its order."""
        changed = images
        for change in self.policy:
            changed = {"colour": _colour, "shift": shift, "cutout": _cutout}[change](changed)
        share = clock.now(self.share)
        if share == 1:
            return changed
        chosen = rand(len(images), 1, 1, 1, device=images.device) < share
        return torch.where(chosen, changed, images)


def _colour(images: Tensor) -> Tensor:
    """Shift brightness by up to 1/2, scale saturation by 0 to 2 and contrast by 1/2 to 3/2."""
    brightness, saturation, contrast = rand(len(images), 3, device=images.device)[
        :, :, None, None, None
    ].unbind(1)
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    level = images.mean((1, 2, 3), keepdim=True)
    return level + (images - level) * (contrast + 0.5)


def shift(images: Tensor) -> Tensor:
    """Move by up to an eighth of the size each way; what comes in from outside is zero."""
    size = images.shape[-1]
    reach = max(round(size / 8), 1)
    moves = (rand(len(images), 2, device=images.device) * (2 * reach + 1)).long()
    padded = F.pad(images, (reach, reach, reach, reach))
    steps = torch.arange(size, device=images.device)
    rows = (moves[:, :1] + steps)[:, None, :, None]
    columns = (moves[:, 1:] + steps)[:, None, None, :]
    taken = padded.gather(2, rows.expand(-1, images.shape[1], -1, padded.shape[-1]))
    return taken.gather(3, columns.expand(-1, images.shape[1], size, -1))


def _cutout(images: Tensor) -> Tensor:
    """Set a square of half the size to zero; its centre lies anywhere, so part of it may lie outside."""
    size = images.shape[-1]
    centres = (rand(len(images), 2, device=images.device) * (size + 1)).floor()
    places = torch.arange(size, device=images.device) + 0.5
    rows, columns = ((places - centres[:, axis : axis + 1]).abs() < size / 4 for axis in (0, 1))
    hole = rows[:, None, :, None] & columns[:, None, None, :]
    return images.masked_fill(hole, 0)


Views = Annotated[tuple[View, ...], BeforeValidator(one_or_more), Field(strict=False, max_length=8)]
