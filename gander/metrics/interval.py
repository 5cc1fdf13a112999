"""Bootstrap intervals: how far a score would move, had the images been drawn anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gander.errors import DataError, UsageError

_DRAWS = 1 << 22  # indices held in memory at a time


class Interval(NamedTuple):
    """The lower and the upper end."""

    low: float
    high: float


def bootstrap(
    statistic: Callable[..., float], *samples: Tensor, repeats: int, seed: int, level: float = 0.95
) -> Interval:
    """Give the percentile interval of a statistic over samples whose rows are drawn again, with replacement.

    Each sample is drawn on its own: what belongs together row by row goes into one tensor. Repeated rows
    distort what depends on distances between rows (nearest neighbours, Fréchet); use this for means, shares
    and the like.

    Raises: DataError where a sample is empty, or the statistic is not finite for some draw.
    Source: Efron 1979; Efron and Tibshirani 1993, section 13.3.
    """
    _check(samples, repeats, level)
    rng = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(repeats):
        chosen = [torch.randint(len(sample), (len(sample),), generator=rng) for sample in samples]
        drawn = [sample[rows] for sample, rows in zip(samples, chosen, strict=True)]
        values.append(float(statistic(*drawn)))
    return _percentiles(torch.tensor(values, dtype=torch.float64), level)


def bootstrap_mean(values: Tensor, repeats: int, seed: int, level: float = 0.95) -> Interval:
    """Give the percentile interval of the mean of values (N,), as `bootstrap` does but all draws at once.

    Raises: DataError where there are no values, or some are not finite.
    Source: Efron 1979.
    """
    _check((values,), repeats, level)
    rng = torch.Generator().manual_seed(seed)
    at_once = max(_DRAWS // len(values), 1)
    means = [
        values.double()[torch.randint(len(values), (rows, len(values)), generator=rng)].mean(1)
        for rows in (min(at_once, repeats - done) for done in range(0, repeats, at_once))
    ]
    return _percentiles(torch.cat(means), level)


def _check(samples: tuple[Tensor, ...], repeats: int, level: float) -> None:
    if repeats < 1 or not 0 < level < 1:
        raise UsageError(f"bootstrap: {repeats} repeats at level {level} given; 1 or more, between 0 and 1")
    if not samples or not all(len(sample) for sample in samples):
        raise DataError("bootstrap: a sample is empty")


def _percentiles(values: Tensor, level: float) -> Interval:
    if not values.isfinite().all():
        raise DataError("bootstrap: the score is not finite for some draws")
    ends = values.new_tensor([(1 - level) / 2, (1 + level) / 2])
    low, high = torch.quantile(values, ends).tolist()
    return Interval(low, high)
