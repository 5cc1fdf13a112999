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


def resample(up):
    """The stage that changes the size, at one width: of the generator or of the discriminator."""
    [stage, *_] = [s for s in NETS["generator" if up else "discriminator"].stages if hasattr(s, "up")]
    return stage


@pytest.mark.parametrize("up", [False, True])
def test_resampling_a_mirrored_image_is_mirroring_the_resampled_one(up):
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 8, 8)
    for flipped in ([2], [3]):
        torch.testing.assert_close(resample(up)(maps.flip(flipped)), resample(up)(maps).flip(flipped))


def test_halving_weighs_four_neighbours_by_1_3_3_1_and_leaves_the_grid_in_place():
    columns = torch.eye(8)[:, None, None, :].expand(8, 1, 8, 8)  # one image a column that is 1
    weights = resample(up=False)(columns)[:, 0, 0].T * 8  # of each output, the weights of its inputs
    assert weights.tolist() == [
        [4, 3, 1, 0, 0, 0, 0, 0],
        [0, 1, 3, 3, 1, 0, 0, 0],
        [0, 0, 0, 1, 3, 3, 1, 0],
        [0, 0, 0, 0, 0, 1, 3, 4],
    ]
    place = torch.arange(8.0).expand(1, 1, 8, 8)  # a pixel's value is where its middle lies
    assert resample(up=False)(place)[0, 0, 0, 1:3].tolist() == [2.5, 4.5]


def test_halving_is_the_transpose_of_doubling():
    torch.manual_seed(0)
    small, large = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 8, 8)
    doubled, halved = resample(up=True)(small), resample(up=False)(large)
    torch.testing.assert_close((doubled * large).sum(), 4 * (small * halved).sum())


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_no_layer_normalises(net):
    assert not any(isinstance(part, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm) for part in net.modules())


def test_images_are_not_squashed():
    torch.manual_seed(0)
    assert NETS["generator"](torch.randn(64, 8) * 10).abs().max() > 1
