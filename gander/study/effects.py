"""How far two arms lie apart, in logarithms of the score, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Table = NDArray[np.float64]
"""Log scores (arms, seeds), the baseline first; nan where a trial gave none."""

_WIDE, _BY_CHANCE = 2.5, 0.01  # times the spread of the other arms, and a test that says so, too
_WIDEST_MIXTURE = 0.1  # c2 of the any-time interval; small is for large effects and few seeds


@dataclass(frozen=True)
class Student:
    """A difference of means over `n` seeds, with its standard error and degrees of freedom."""

    difference: float
    error: float
    df: float
    n: int

    def half_width(self, level: float) -> float:
        """Give the reach of the interval that misses the truth with probability `level`."""
        return float(special.stdtrit(self.df, 1 - level / 2)) * self.error

    def p(self, at: float) -> float:
        """Give the two-sided p-value of the hypothesis that the difference is `at`."""
        off = abs(self.difference - at)
        if off <= 1e-12 or not self.error:  # equal arms train to equal bytes
            return float(off <= 1e-12)
        return float(2 * special.stdtr(self.df, -off / self.error))


@dataclass(frozen=True)
class AnyTime:
    """Paired differences, judged so that one may stop at whatever seed one likes.

    Source: Lai 1976; Wang and Ramdas 2023: the mixture martingale of the t statistic.
    """

    differences: Table

    @property
    def n(self) -> int:
        return len(self.differences)

    @property
    def difference(self) -> float:
        return float(self.differences.mean())

    @property
    def _squares(self) -> float:
        return float(((self.differences - self.difference) ** 2).sum())

    def half_width(self, level: float) -> float:
        n, c = self.n, _WIDEST_MIXTURE
        ratio = (math.sqrt((n + c) / c) / level) ** (2 / n)
        room = n * (1 - ratio * c / (n + c))
        return math.sqrt((ratio - 1) * self._squares / room) if room > 0 else math.inf

    def p(self, at: float) -> float:
        n, c = self.n, _WIDEST_MIXTURE
        shift = n * (self.difference - at) ** 2
        if not self._squares:
            return float(shift <= 1e-12)
        ratio = (self._squares + shift) / (self._squares + shift * c / (n + c))
        return min(1.0, math.sqrt((n + c) / c) * ratio ** (-n / 2))


Estimate = Student | AnyTime


def paired(table: Table, arm: int) -> Table:
    """Give the differences (n,) of an arm from the baseline in the seeds that both have."""
    differences = table[arm] - table[0]
    return differences[np.isfinite(differences)]


def paired_estimate(table: Table, arm: int) -> Student | None:
    """Compare an arm with the baseline seed by seed; None with fewer than two seeds in common."""
    differences = paired(table, arm)
    n = len(differences)
    if n < 2:
        return None
    return Student(float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(n), n - 1, n)


def unpaired_estimate(table: Table, arm: int) -> Student | None:
    """Compare an arm with the baseline whatever the seeds; None where either has fewer than two.

    Source: Welch 1947.
    """
    ours, base = (row[np.isfinite(row)] for row in (table[arm], table[0]))
    if min(len(ours), len(base)) < 2:
        return None
    parts = np.array([side.var(ddof=1) / len(side) for side in (ours, base)])
    total = float(parts.sum())
    df = total**2 / float((parts**2 / [len(ours) - 1, len(base) - 1]).sum()) if total else len(ours) - 1
    return Student(float(ours.mean() - base.mean()), math.sqrt(total), df, min(len(ours), len(base)))


@dataclass(frozen=True)
class Blocks:
    """Score = arm + seed + noise, over all arms at once, fitted by least squares; trials may be missing."""

    table: Table
    used: list[int]  # arms in the fit
    effects: Table
    covariance: Table  # of the coefficients, over the noise's variance
    known: Table  # projects on what the trials determine
    residuals: Table
    df: int

    @property
    def sigma(self) -> float:
        """The noise of one trial; nan where nothing is left to estimate it from."""
        return math.sqrt(float(np.nansum(self.residuals**2)) / self.df) if self.df > 0 else math.nan

    def estimate(self, arm: int) -> Student | None:
        """Compare an arm with the baseline; None where the trials do not tell."""
        if arm not in self.used or 0 not in self.used or self.df < 1:
            return None
        contrast = np.zeros(len(self.effects))
        contrast[self.used.index(arm)], contrast[self.used.index(0)] = 1, -1
        if not np.allclose(contrast @ self.known, contrast, atol=1e-8):
            return None
        error = self.sigma * math.sqrt(float(contrast @ self.covariance @ contrast))
        return Student(float(contrast @ self.effects), error, self.df, len(paired(self.table, arm)))

    def spread(self, places: list[int]) -> tuple[float, float]:
        """Give the mean square of some arms' residuals, scaled to the noise's variance, and its freedom."""
        arms, seeds = self.residuals.shape
        some = self.residuals[places]
        count = int(np.isfinite(some).sum())
        scale = (1 - 1 / arms) * (1 - 1 / seeds)
        return float(np.nansum(some**2)) / max(count * scale, 1e-12), max(count * scale, 1.0)


def fit_blocks(table: Table, used: list[int] | None = None) -> Blocks:
    """Fit arms and seeds; `used` leaves out the other arms.

    Source: Fisher 1935, randomised blocks.
    """
    used = [*range(len(table))] if used is None else used
    part = table[used]
    arms, seeds = np.nonzero(np.isfinite(part))
    design = np.zeros((len(arms), part.shape[0] + part.shape[1]))
    design[np.arange(len(arms)), arms] = 1
    design[np.arange(len(arms)), part.shape[0] + seeds] = 1
    gram = design.T @ design
    covariance = np.linalg.pinv(gram, hermitian=True)
    effects = covariance @ design.T @ part[arms, seeds]
    residuals = np.full(part.shape, np.nan)
    residuals[arms, seeds] = part[arms, seeds] - design @ effects
    df = len(arms) - int(np.linalg.matrix_rank(gram, hermitian=True))
    return Blocks(table, used, effects, covariance, covariance @ gram, residuals, df)


def wide_arms(blocks: Blocks) -> list[int]:
    """Name the arms whose spread is far beyond that of the others: they say nothing of the others' noise."""
    places = range(len(blocks.used))
    wide = []
    for place in places if len(blocks.used) > 2 and blocks.df > 0 else ():
        (own, freedom), (rest, rest_freedom) = (
            blocks.spread([place]),
            blocks.spread([other for other in places if other != place]),
        )
        ratio = own / rest if rest else math.inf if own > 1e-12 else 0.0
        if ratio > _WIDE**2 and special.fdtrc(freedom, rest_freedom, ratio) < _BY_CHANCE:
            wide.append(blocks.used[place])
    return wide
