"""Generators, one a class, that act as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gander.nets.blocks import Generator


class PerClass(Generator):
    """Send each latent to the generator of its class."""

    def __init__(self, generators: Sequence[Generator]) -> None:
        super().__init__(generators[0].latent_dim, len(generators))
        self.generators = nn.ModuleList(generators)
        self.low, self.high = generators[0].low, generators[0].high

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        assert labels is not None
        images: Tensor | None = None
        for label in sorted({*labels.tolist()}):
            of_class = labels == label
            made = self.generators[label](latents[of_class], None)
            if images is None:
                images = made.new_zeros(len(labels), *made.shape[1:])
            images[of_class] = made
        return torch.empty(0) if images is None else images
