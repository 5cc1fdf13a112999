"""Grouped convolutions that can be differentiated twice at the price of a few convolutions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GroupedConv2d(nn.Conv2d):
    """A grouped convolution without stride or dilation, for nets whose slopes are penalised.

    torch differentiates a grouped convolution's gradient by the weights group after group; with hundreds of
    groups that is thousands of small convolutions a step. The gradients are written down here as convolutions
    with groups instead, after the pattern of Karras et al. 2020 (StyleGAN2-ADA).
    """

    def __init__(self, channels: int, kernel: int, padding: int, groups: int, bias: bool) -> None:
        super().__init__(channels, channels, kernel, padding=padding, groups=groups, bias=bias)

    def forward(self, maps: Tensor) -> Tensor:
        weight = self.weight
        if torch.is_autocast_enabled(maps.device.type):  # which does not reach into what is written below
            precision = torch.get_autocast_dtype(maps.device.type)
            maps, weight = maps.to(precision), weight.to(precision)
        filtered: Tensor = _Convolve.apply(maps, weight, self.padding[0], self.groups)  # type: ignore[no-untyped-call]
        return filtered if self.bias is None else filtered + self.bias[:, None, None].to(filtered.dtype)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, padding: int, groups: int) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.settings = padding, groups
        return F.conv2d(maps, weight, padding=padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, steep: Tensor) -> Any:
        maps, weight = ctx.saved_tensors
        padding, groups = ctx.settings
        by_maps = by_weight = None
        if ctx.needs_input_grad[0]:
            by_maps = F.conv_transpose2d(steep, weight, padding=padding, groups=groups)
        if ctx.needs_input_grad[1]:
            by_weight = _ByWeight.apply(steep, maps, weight, padding, groups)  # type: ignore[no-untyped-call]
        return by_maps, by_weight, None, None


class _ByWeight(torch.autograd.Function):
    """The gradient of a convolution by its weight, which is linear in what came back and in the maps."""

    @staticmethod
    def forward(ctx: Any, steep: Tensor, maps: Tensor, weight: Tensor, padding: int, groups: int) -> Tensor:
        ctx.save_for_backward(steep, maps)
        ctx.settings = padding, groups
        only_weight = [False, True, False]
        ones, zeros = [1, 1], [0, 0]
        gradients = torch.ops.aten.convolution_backward(
            steep, maps, weight, None, ones, [padding] * 2, ones, False, zeros, groups, only_weight
        )
        return gradients[1]

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        steep, maps = ctx.saved_tensors
        padding, groups = ctx.settings
        by_steep = F.conv2d(maps, slope, padding=padding, groups=groups)
        by_maps = F.conv_transpose2d(steep, slope, padding=padding, groups=groups)
        return by_steep, by_maps, None, None, None
