"""A grouped convolution is torch's own, and stays cheap where its slopes are differentiated again."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from gander.nets.grouped import GroupedConv2d


class _Convolutions(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, called, types, args=(), kwargs=None):
        self.count += "convolution" in called.name()
        return called(*args, **(kwargs or {}))


@pytest.mark.parametrize(("kernel", "padding", "groups"), [(3, 1, 4), (5, 0, 8), (1, 0, 1)])
def test_values_and_both_gradients_are_those_of_the_plain_convolution(kernel, padding, groups):
    conv = GroupedConv2d(8, kernel, padding, groups, bias=True).double()
    maps = torch.randn(2, 8, 5, 5, dtype=torch.float64, requires_grad=True)
    plain = F.conv2d(maps, conv.weight, conv.bias, padding=padding, groups=groups)
    torch.testing.assert_close(conv(maps), plain)
    assert torch.autograd.gradcheck(conv, maps)
    assert torch.autograd.gradgradcheck(conv, maps)
    penalties = []
    for filtered in (conv(maps), plain):
        (slope,) = torch.autograd.grad(filtered.square().sum(), maps, create_graph=True)
        penalties.append(torch.autograd.grad(slope.square().sum(), [maps, conv.weight]))
    torch.testing.assert_close(*penalties)


def test_a_slope_penalty_costs_a_few_convolutions_however_many_groups():
    conv, maps = GroupedConv2d(64, 3, 1, 32, bias=False), torch.randn(2, 64, 4, 4, requires_grad=True)
    with _Convolutions() as convolutions:
        (slope,) = torch.autograd.grad(conv(maps).square().sum(), maps, create_graph=True)
        slope.square().sum().backward()
    assert convolutions.count < 16


def test_mixed_precision_reaches_its_gradients():
    conv, maps = GroupedConv2d(4, 3, 1, 2, bias=True), torch.randn(2, 4, 4, 4, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        filtered = conv(maps)
    assert filtered.dtype == torch.bfloat16
    filtered.float().square().sum().backward()
    assert conv.weight.grad.dtype == maps.grad.dtype == torch.float32
