"""A generator that moves its images evenly with its latents."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from gander.chance import mean_of_all, randn
from gander.schedule import NonNegative
from gander.techniques.slots import Penalty, Scene, Side


class PathLength(Penalty):
    """`weight` times the squared distance of G's slope, along noise in the images, from its moving average.

    `decay` is the share of the average kept a look. Slopes are by the latents: a stack's first dense layers
    are its mapping network.

    Hurts when: `every` is 1: it is a second pass through G, differentiated twice.
    Source: Karras et al. 2020 (StyleGAN2), section 3.2, with their weight and decay.
    """

    kind: Literal["path_length"] = "path_length"
    sides: ClassVar[tuple[Side, ...]] = ("g",)
    needs: ClassVar[tuple[Literal["fake"], ...]] = ("fake",)
    weight: NonNegative = 2.0
    decay: float = Field(default=0.99, ge=0, lt=1)
    every: int = Field(default=8, ge=1, le=10_000, description="steps")

    def start(self, device: torch.device) -> nn.Module:
        return _PathLength(self).to(device)


class _PathLength(nn.Module):
    usual: Tensor

    def __init__(self, penalty: PathLength) -> None:
        super().__init__()
        self.penalty = penalty
        self.register_buffer("usual", torch.zeros(()))

    def forward(self, scene: Scene) -> Tensor:
        assert scene.fake is not None and scene.latents is not None and scene.generator is not None  # noqa: PT018
        latents = scene.latents.detach().requires_grad_()
        images = scene.generator(latents, scene.fake.labels)
        noise = randn(*images.shape, device=images.device) / images[0, 0].numel() ** 0.5
        (slope,) = torch.autograd.grad((images * noise).sum(), latents, create_graph=True)
        # The square root has no slope at zero: a generator that stands still would make the update NaN.
        lengths = (slope.square().sum(1) + 1e-12).sqrt()
        self.usual.lerp_(mean_of_all(lengths.detach().mean()), 1 - self.penalty.decay)
        return scene.clock.now(self.penalty.weight) * (lengths - self.usual).square()

    def numbers(self) -> dict[str, Tensor]:
        return {"path_length/usual": self.usual}
