"""Minibatch deviation: what it says of groups whose spread is known."""

import pytest
import torch

from gander.nets.deviation import Deviation


def test_the_map_is_the_mean_deviation_of_each_group():
    maps = torch.zeros(8, 2, 3, 3)
    maps[:4, 0] = torch.tensor([-3.0, -3.0, 3.0, 3.0]).view(4, 1, 1)  # one of two channels deviates by 3
    out = Deviation(4)(maps)
    assert torch.equal(out[:, :2], maps)
    assert out.shape == (8, 3, 3, 3)
    assert out[:4, 2].unique().tolist() == pytest.approx([1.5], rel=1e-3)
    assert out[4:, 2].unique().tolist() == pytest.approx([0.0], abs=1e-3)


def test_half_a_batch_has_the_groups_that_it_has_in_the_whole():
    maps = torch.randn(16, 2, 3, 3)
    layer = Deviation(4)
    torch.testing.assert_close(torch.cat([layer(maps[:8]), layer(maps[8:])]), layer(maps))


@pytest.mark.parametrize(("batch", "group"), [(6, 2), (3, 1)])
def test_a_batch_that_is_no_multiple_has_smaller_groups(batch, group):
    maps = torch.randn(batch, 2, 3, 3)
    torch.testing.assert_close(Deviation(4)(maps), Deviation(group)(maps))


def test_equal_images_give_a_finite_slope():
    maps = torch.zeros(4, 1, 2, 2, requires_grad=True)
    Deviation(4)(maps).sum().backward()
    assert maps.grad.isfinite().all()


def test_half_precision_is_kept():
    assert Deviation(4)(torch.randn(4, 1, 2, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16
