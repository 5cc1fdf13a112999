"""Averages: half-lives in images, and what is averaged at all."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

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


def test_the_latest_weights_are_the_net_itself_and_cost_no_copy(pair):
    _, net = pair
    assert Latest().start(net) is net
    before = copy.deepcopy(net.state_dict())
    Latest().update(net, net, 64, 64)
    assert all(torch.equal(before[name], now) for name, now in net.state_dict().items())


def test_an_average_starts_as_a_copy_that_does_not_learn(pair):
    net, _ = pair
    average = Ema().start(net)
    assert all(torch.equal(net.state_dict()[name], now) for name, now in average.state_dict().items())
    assert not any(weight.requires_grad for weight in average.parameters())
    assert all(weight.requires_grad for weight in net.parameters())


def test_an_update_takes_as_many_kernels_for_a_deep_net_as_for_a_shallow_one():
    def kernels(depth):
        old, new = (nn.Sequential(*(net() for _ in range(depth))) for _ in range(2))
        with Calls() as calls:
            Ema().update(old, new, 64, 64)
        return calls.count

    assert kernels(5) == kernels(1) <= 3


class Calls(TorchDispatchMode):
    """Counts the operators that are called."""

    count = 0

    def __torch_dispatch__(self, called, types, args=(), kwargs=None):
        self.count += 1
        return called(*args, **(kwargs or {}))


def test_latest_equals_the_net(pair):
    old, new = pair
    Latest().update(old, new, 64, 64)
    for name, value in new.state_dict().items():
        torch.testing.assert_close(old.state_dict()[name], value, rtol=0, atol=0)
