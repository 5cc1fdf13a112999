"""Bootstrap intervals are as wide as theory says, and a seed fixes them."""

import pytest
import torch

from gander.errors import DataError, UsageError
from gander.metrics.interval import bootstrap, bootstrap_mean


def mean(values: torch.Tensor) -> float:
    return float(values.mean())


@pytest.mark.parametrize(("level", "deviates"), [(0.95, 1.96), (0.5, 0.674)])
def test_the_interval_of_a_mean_is_that_of_the_normal_distribution(level, deviates):
    torch.manual_seed(0)
    values = torch.randn(400) + 5
    low, high = bootstrap_mean(values, repeats=4000, seed=0, level=level)
    assert (low + high) / 2 == pytest.approx(mean(values), abs=0.01)
    assert (high - low) / 2 == pytest.approx(deviates * float(values.std()) / 20, rel=0.07)
    assert bootstrap(mean, values, repeats=2000, seed=1, level=level) == pytest.approx((low, high), abs=0.01)


def test_a_mean_of_many_values_is_drawn_in_parts(monkeypatch):
    monkeypatch.setattr("gander.metrics.interval._DRAWS", 1000)
    low, high = bootstrap_mean(torch.arange(300.0), repeats=500, seed=0)
    assert (high - low) / 2 == pytest.approx(1.96 * 5, rel=0.1)  # 300 / sqrt(12) / sqrt(300)


def test_samples_are_drawn_apart_and_rows_stay_whole():
    torch.manual_seed(1)
    pairs = torch.randn(50, 1).repeat(1, 2)
    assert bootstrap(
        lambda rows: float((rows[:, 0] - rows[:, 1]).abs().sum()), pairs, repeats=20, seed=0
    ) == (
        0,
        0,
    )
    low, high = bootstrap(lambda a, b: mean(a) - mean(b), pairs, pairs, repeats=500, seed=0)
    assert low < 0 < high


def test_a_seed_fixes_the_interval():
    values = torch.arange(30.0)
    for interval in (
        lambda seed: bootstrap(mean, values, repeats=20, seed=seed),
        lambda seed: bootstrap_mean(values, repeats=20, seed=seed),
    ):
        assert interval(3) == interval(3) != interval(4)


def test_what_has_no_interval_is_refused():
    values = torch.arange(3.0)
    with pytest.raises(DataError, match="a sample is empty"):
        bootstrap(mean, values, values[:0], repeats=5, seed=0)
    with pytest.raises(DataError, match="not finite"):
        bootstrap_mean(values / 0, repeats=5, seed=0)
    with pytest.raises(UsageError, match="0 repeats"):
        bootstrap_mean(values, repeats=0, seed=0)
    with pytest.raises(UsageError, match="level 95"):
        bootstrap(mean, values, repeats=5, seed=0, level=95)
