"""Averages: half-lives in images, and what is averaged at all."""

import copy
import math

import pytest
import torch
from torch import nn

from gander.nets.average import Ema, Latest
from gander.nets.blocks import BatchNorm
from gander.nets.rewires import SpectralNorm


def left(average, begin, end, batch):
    """Give what is left of the past, training with one batch size from one image to another."""
    old, new = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.ones_(old.weight)
    nn.init.zeros_(new.weight)
    for images in range(begin, end, batch):
        average.update(old, new, images, batch)
    return old.weight.item()


@pytest.mark.parametrize("batch", [32, 128])
def test_half_of_the_past_is_forgotten_in_a_half_life_whatever_the_batch(batch):
    average, late = Ema(half_life=2560), 10**6
    assert left(average, late, late + 2560, batch) == pytest.approx(0.5, rel=1e-4)
    assert left(average, late, late + 3 * 2560, batch) == pytest.approx(0.125, rel=1e-4)


@pytest.mark.parametrize("batch", [32, 128])
def test_while_the_run_is_young_the_past_is_forgotten_by_shares_of_the_run(batch):
    # with a half-life of a tenth of the images so far, a growth by e ** 0.1 halves the past
    begin = 128 * 1000
    end = 128 * round(1000 * math.exp(0.1))
    average = Ema(half_life=1e9, ramp=0.1)
    assert left(average, begin, end, batch) == pytest.approx(0.5, rel=0.01)
    assert left(average, 0, 128 * 10, batch) < 1e-3


def net():
    made = nn.Sequential(nn.Conv2d(2, 3, 3), BatchNorm(3))
    SpectralNorm()(made[0])
    return made


@pytest.fixture
def pair():
    torch.manual_seed(0)
    old, new = net(), net()
    for _ in range(3):
        new(torch.randn(4, 2, 5, 5) * 3)
    return old, new


def test_weights_and_running_statistics_are_averaged_and_all_else_is_copied(pair):
    old, new = pair
    before = copy.deepcopy(old.state_dict())
    Ema(half_life=64, ramp=1).update(old, new, 10**6, 64)
    copied = {name for name, now in old.state_dict().items() if torch.equal(now, new.state_dict()[name])}
    averaged = set(before) - copied
    assert {name.rpartition(".")[2] for name in copied - {"1.weight", "1.bias"}} == {
        "_u",
        "_v",
        "num_batches_tracked",
    }
    assert {"1.running_mean", "1.running_var", "0.bias"} < averaged
    for name in averaged:
        halfway = (before[name] + new.state_dict()[name]) / 2
        torch.testing.assert_close(old.state_dict()[name], halfway)


def test_latest_equals_the_net(pair):
    old, new = pair
    Latest().update(old, new, 64, 64)
    for name, value in new.state_dict().items():
        torch.testing.assert_close(old.state_dict()[name], value, rtol=0, atol=0)
