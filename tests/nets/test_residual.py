"""Residual blocks: the cheap order of their shortcuts is the published one."""

import pytest
import torch
import torch.nn.functional as F

from gander.nets.blocks import ImageShape
from gander.nets.residual import ResidualDiscriminator, ResidualGenerator

IMAGE = ImageShape(3, 16)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_a_block_that_doubles_the_size_is_the_published_one():
    block, maps = ResidualGenerator(width=6).build(IMAGE, 8).blocks[0].eval(), torch.randn(2, 6, 4, 4)
    up = block.conv1(F.interpolate(F.relu(block.norm1(maps)), scale_factor=2))
    expected = block.conv2(F.relu(block.norm2(up))) + block.shortcut(F.interpolate(maps, scale_factor=2))
    torch.testing.assert_close(block(maps, ()), expected)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_the_blocks_of_a_discriminator_are_the_published_ones(place):
    block = ResidualDiscriminator(width=6).build(IMAGE).blocks[place]
    maps = torch.randn(2, 3 if place == 0 else 6, 8, 8)
    down = block.conv2(F.relu(block.conv1(maps if place == 0 else F.relu(maps))))
    kept = maps if block.shortcut is None else block.shortcut(maps)
    halve = place < 2
    expected = F.avg_pool2d(down + kept, 2) if halve else down + kept
    torch.testing.assert_close(block(maps), expected)
    assert (block.shortcut is None) == (place >= 2)


def test_the_features_are_summed_over_places():
    net = ResidualDiscriminator(width=6, halvings=1, blocks=1).build(IMAGE)
    maps = F.relu(net.blocks(torch.randn(2, 3, 16, 16)))
    features = maps.flatten(2).sum(2)
    net.blocks = torch.nn.Identity()
    torch.testing.assert_close(net(maps).score, net.head(features, None).score)
