"""Latents: moments, limits, and equal draws from equal seeds."""

import math

import pytest
import torch

from gander.techniques.latents import Normal, Truncated, Uniform


def drawn(latents, n=20_000, seed=0):
    return latents(n, torch.Generator().manual_seed(seed))


def spread_within(limit):
    """Give the standard deviation of a normal number that lies within `limit`."""
    density = math.exp(-(limit**2) / 2) / math.sqrt(2 * math.pi)
    return math.sqrt(1 - 2 * limit * density / math.erf(limit / math.sqrt(2)))


@pytest.mark.parametrize(
    ("latents", "spread", "limit"),
    [
        (Normal(dim=4), 1.0, math.inf),
        (Uniform(dim=4), 1 / math.sqrt(3), 1.0),
        (Truncated(dim=4), spread_within(2.0), 2.0),
        (Truncated(dim=4, limit=0.5), spread_within(0.5), 0.5),
    ],
    ids=repr,
)
def test_latents_have_the_moments_and_the_range_of_their_distribution(latents, spread, limit):
    z = drawn(latents)
    assert z.shape == (20_000, 4)
    assert float(z.mean()) == pytest.approx(0, abs=0.02)
    assert float(z.std()) == pytest.approx(spread, rel=0.02)
    assert float(torch.corrcoef(z.T).sub(torch.eye(4)).abs().max()) < 0.04
    assert float(z.abs().max()) <= limit
    if math.isfinite(limit):
        assert float(z.abs().max()) > 0.99 * limit


@pytest.mark.parametrize("latents", [Normal(), Uniform(), Truncated()], ids=repr)
def test_equal_seeds_give_equal_latents_whatever_was_drawn_elsewhere(latents):
    first = drawn(latents, 3)
    torch.rand(1)
    assert torch.equal(drawn(latents, 3), first)
    assert not torch.equal(drawn(latents, 3, seed=1), first)
    rng = torch.Generator().manual_seed(0)
    assert torch.equal(latents(3, rng), first)
    assert not torch.equal(latents(3, rng), first)
