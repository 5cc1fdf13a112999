"""R3GAN's nets: blocks that start as nothing, sizes that change without aliasing, variances that hold."""

import pytest
import torch
from torch import nn

from gander.nets.blocks import ImageShape
from gander.nets.r3 import R3Discriminator, R3Generator

IMAGE = ImageShape(3, 16)
NETS = {
    "generator": R3Generator(widths=(16, 16, 16), blocks=2).build(IMAGE, 8),
    "discriminator": R3Discriminator(widths=(16, 16, 16), blocks=2).build(IMAGE),
}


@pytest.mark.parametrize(
    ("net", "middle", "end"), [(NETS["generator"], 16, 32), (NETS["discriminator"], 4, 2)]
)
def test_at_the_start_blocks_are_the_identity_and_resampling_keeps_a_plain_image(net, middle, end):
    maps = torch.full((2, 16, 8, 8), 3.0)
    sizes = [8]
    for stage in net.stages:
        maps = stage(maps)
        assert torch.allclose(maps, torch.tensor(3.0), atol=1e-5)
        sizes.append(maps.shape[-1])
    assert sizes == [8, 8, 8, *([middle] * 3), *([end] * 3)]


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_no_layer_normalises(net):
    assert not any(isinstance(part, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm) for part in net.modules())


def test_images_are_not_squashed():
    torch.manual_seed(0)
    assert NETS["generator"](torch.randn(64, 8) * 10).abs().max() > 1
