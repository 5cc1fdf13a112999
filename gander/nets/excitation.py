"""Small maps that say which large ones count."""

from __future__ import annotations

from torch import Tensor, nn


class Excitation(nn.Module):
    """Scale each of `width` maps by a number in (0, 1) that maps of an earlier place give.

    Source: Liu et al. 2021 (FastGAN), section 3.1.
    """

    def __init__(self, behind: int, ruling: int, width: int) -> None:
        super().__init__()
        self.behind = behind
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(ruling, width, 4, bias=False),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, width, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, maps: Tensor, ruling: Tensor) -> Tensor:
        """Scale (N, C, H, W) by what (N, R, h, w) say."""
        return maps * self.gate(ruling)
