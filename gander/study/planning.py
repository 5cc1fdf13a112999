"""What a number of seeds can show, before anything runs, and the levels of planned looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy import special

LEVEL, POWER = 0.05, 0.8
_MOST_SEEDS = 2_000
_SIMULATED = 100_000


def least_difference(noise: float, seeds: int, arms: int, level: float = LEVEL) -> float:
    """Give the relative difference that is told apart four times in five, whichever of the arms has it.

    Args:
        noise: standard deviation of one trial's log score.
    """
    if seeds < 2 or arms < 2:
        return math.inf
    df = (arms - 1) * (seeds - 1)
    needed = special.nctdtrinc(df, 1 - POWER, special.stdtrit(df, 1 - level / 2 / (arms - 1)))
    return math.expm1(min(float(needed) * noise * math.sqrt(2 / seeds), 700.0))


def seeds_for(difference: float, noise: float, arms: int, level: float = LEVEL) -> int | None:
    """Give the least number of seeds that tells a relative difference; None beyond 2,000."""
    low, high = 1, _MOST_SEEDS
    if least_difference(noise, high, arms, level) > difference:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = least_difference(noise, middle, arms, level) <= difference
        low, high = (low, middle) if enough else (middle, high)
    return high


def seeds_to_settle(
    difference: float, smallest: float, noise: float, arms: int, had: int, level: float = LEVEL
) -> int | None:
    """Give the seeds after which a verdict would fall, were the difference what it now seems to be.

    Args:
        difference, smallest, noise: in log scores.
        had: the seeds that did not settle it.
    """
    seeds = np.arange(had + 1, _MOST_SEEDS + 1)
    df, error = (arms - 1) * (seeds - 1), noise * np.sqrt(2 / seeds)
    apart = special.stdtrit(df, 1 - level / 2 / (arms - 1)) * error <= abs(difference)
    alike = special.stdtrit(df, 1 - level / (arms - 1)) * error <= smallest - abs(difference)
    settled = np.flatnonzero(apart | alike)
    return int(seeds[settled[0]]) if settled.size else None


@cache
def level_at_looks(looks: Sequence[int], arms: int, level: float = LEVEL) -> float:
    """Give the level for each of several looks, so that all together err as often as `level` says.

    Simulated, with the same draws each time, for the t statistic of one comparison in a block model.

    Source: Pocock 1977.
    """
    if len(looks) < 2:
        return level
    rng = np.random.default_rng(70_607)
    total, squares, least = np.zeros(_SIMULATED), np.zeros(_SIMULATED), np.ones(_SIMULATED)
    others = np.zeros(_SIMULATED)  # sums of squares of the arms that are not compared
    for seed in range(1, looks[-1] + 1):
        drawn = rng.standard_normal(_SIMULATED)
        total, squares = total + drawn, squares + drawn**2
        if seed > 1 and arms > 2:
            others = others + rng.chisquare(arms - 2, _SIMULATED)
        if seed in looks and seed > 1:
            df = (arms - 1) * (seed - 1)
            noise = np.sqrt((squares - total**2 / seed + others) / df)
            least = np.minimum(least, 2 * special.stdtr(df, -np.abs(total) / noise / math.sqrt(seed)))
    return float(np.quantile(least, level))
