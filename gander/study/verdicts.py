"""Better, worse, equivalent, or cannot tell apart: what the trials of a study allow to say."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import special

from gander.study.effects import (
    AnyTime,
    Estimate,
    Table,
    fit_blocks,
    paired,
    paired_estimate,
    unpaired_estimate,
    wide_arms,
)
from gander.study.planning import LEVEL, seeds_to_settle

BETTER, WORSE, EQUIVALENT, UNSETTLED, NONE = (
    "better",
    "worse",
    "equivalent",
    "cannot tell apart",
    "no verdict",
)

Scores = Mapping[str, Mapping[int, float]]
Failures = Mapping[str, Collection[int]]


@dataclass(frozen=True)
class Verdict:
    """What may be said of one arm beside the baseline.

    Args:
        effect: relative change of the score: -0.1 is a score that is 10 % less.
        low, high: its interval, for this comparison alone.
        n: seeds in which both gave a score.
        failed: trials that diverged or collapsed.
        seeds_to_settle: in all; None where it is settled, or not by 2,000.
        p: of no difference, corrected for all comparisons of the study.
        wins: of the n, those in which this arm was better.
        failures: "fails more often", "fails less often" or "".
        failed_share: 95 % interval of the share of trials that fail.
        notes: what else must be known.
    """

    arm: str
    verdict: str
    effect: float | None
    low: float | None
    high: float | None
    n: int
    failed: int
    seeds_to_settle: int | None
    p: float | None
    wins: int
    failures: str
    failed_share: tuple[float, float]
    notes: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """Give it as it is written to a file."""
        return {
            name: float(f"{value:.6g}") if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Judgement:
    """How to judge: the smallest relative difference that matters, which way is better, the level of error.

    `any_time` is for those who stop when they like.
    """

    smallest: float
    better: str = "lower"
    level: float = LEVEL
    any_time: bool = False

    @property
    def sign(self) -> int:
        """Tell which way a log score goes that gets worse."""
        return 1 if self.better == "lower" else -1


def judge_arms(scores: Scores, failed: Failures, how: Judgement) -> tuple[list[Verdict], float]:
    """Compare every arm with the first one.

    Args:
        scores: of each arm, by seed; positive.
        failed: of each arm, the seeds whose trials failed.
    Returns: a verdict for each arm but the first, and the noise of one trial's log score, nan where unknown.
    """
    seeds = sorted({seed for by_seed in scores.values() for seed in by_seed})
    logs = [[math.log(row.get(seed, math.nan)) for seed in seeds] for row in scores.values()]
    model = _Model(np.array(logs).reshape(len(scores), len(seeds)), how)
    places = range(1, len(scores))
    estimates = [model.estimate(arm) for arm in places]
    apart = _holm([None if one is None else one.p(0) for one in estimates])
    alike = _holm([None if one is None else model.equivalence(one) for one in estimates])
    counts = [(len(failed.get(arm, ())), len(failed.get(arm, ())) + len(scores[arm])) for arm in scores]
    fails = _holm([fisher(counts[arm], counts[0]) for arm in places])
    verdicts = []
    for arm, name, one in zip(places, [*scores][1:], estimates, strict=True):
        p, same, p_fails = apart[arm - 1], alike[arm - 1], fails[arm - 1] or 0.0
        verdict = model.verdict(one, p, same)
        more = counts[arm][0] * counts[0][1] > counts[0][0] * counts[arm][1]
        verdicts.append(
            Verdict(
                name,
                verdict,
                *_interval(one, how.level),
                n=len(paired(model.table, arm)),
                failed=counts[arm][0],
                seeds_to_settle=model.to_settle(arm, one) if one and verdict == UNSETTLED else None,
                p=p,
                wins=int((how.sign * paired(model.table, arm) < 0).sum()),
                failures="" if p_fails > how.level else f"fails {'more' if more else 'less'} often",
                failed_share=clopper_pearson(*counts[arm]),
                notes=tuple(model.notes(arm, one, p, verdict)),
            )
        )
    return verdicts, model.blocks.sigma


class _Model:
    """Log scores (arms, seeds), the baseline first, and what is fitted to them."""

    def __init__(self, table: Table, how: Judgement) -> None:
        self.table, self.how, self.smallest = table, how, math.log1p(how.smallest)
        self.blocks = fit_blocks(table)
        self.wide = wide_arms(self.blocks)
        if self.wide and 0 not in self.wide:
            self.blocks = fit_blocks(table, [arm for arm in self.blocks.used if arm not in self.wide])

    def by_itself(self, arm: int) -> bool:
        return arm in self.wide or 0 in self.wide

    def estimate(self, arm: int) -> Estimate | None:
        if self.how.any_time:
            differences = paired(self.table, arm)
            return AnyTime(differences) if len(differences) > 1 else None
        return paired_estimate(self.table, arm) if self.by_itself(arm) else self.blocks.estimate(arm)

    def equivalence(self, one: Estimate) -> float:
        """Give the p-value of two one-sided tests that the difference matters (Schuirmann 1987)."""
        if abs(one.difference) >= self.smallest:
            return 1.0
        return max(one.p(self.smallest), one.p(-self.smallest)) * (1 if self.how.any_time else 0.5)

    def verdict(self, one: Estimate | None, p: float | None, same: float | None) -> str:
        if one is None or p is None or same is None:
            return NONE
        if same <= self.how.level:
            return EQUIVALENT
        if p <= self.how.level:
            return BETTER if one.difference * self.how.sign < 0 else WORSE
        return UNSETTLED

    def to_settle(self, arm: int, one: Estimate) -> int | None:
        noise = self.blocks.sigma
        if self.by_itself(arm) or math.isnan(noise):
            noise = float(paired(self.table, arm).std(ddof=1)) / math.sqrt(2)
        arms = len(self.table)
        return seeds_to_settle(one.difference, self.smallest, noise, arms, one.n, self.how.level)

    def notes(self, arm: int, one: Estimate | None, p: float | None, verdict: str) -> Iterator[str]:
        level = self.how.level
        if one is None or p is None:
            yield "a verdict takes two seeds in which both arms gave a score"
            return
        if verdict == EQUIVALENT and p <= level:
            yield "a difference, but smaller than what matters"
        if self.by_itself(arm) and not self.how.any_time:
            yield "its seeds differ far more than other arms': judged by its own pairs alone"
        if one.p(0) <= level < p:
            yield f"alone it would be a difference; not among {len(self.table) - 1} comparisons"
        welch = unpaired_estimate(self.table, arm)
        if welch is not None and not self.how.any_time and (welch.p(0) <= level) != (one.p(0) <= level):
            yield f"without matching seeds, p = {welch.p(0):.2g}; with, {one.p(0):.2g}"


def _interval(one: Estimate | None, level: float) -> tuple[float | None, float | None, float | None]:
    """Give effect, low and high as relative changes."""
    if one is None:
        return None, None, None
    half = one.half_width(level)
    effect, low, high = (
        round(math.expm1(min(one.difference + reach, 700.0)), 9) for reach in (0.0, -half, half)
    )
    return effect, low, high


def _holm(ps: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for their number; None stays.

    Source: Holm 1979.
    """
    order = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    least = 0.0
    for rank, (p, place) in enumerate(order):
        least = adjusted[place] = min(1.0, max(least, (len(order) - rank) * p))
    return adjusted


def fisher(ours: tuple[int, int], base: tuple[int, int]) -> float:
    """Give the exact two-sided p-value that two shares, each (failed, of all), are the same.

    Source: Fisher 1935.
    """
    (failed, n), (base_failed, m) = ours, base
    total = failed + base_failed
    chances = {
        k: math.comb(n, k) * math.comb(m, total - k) for k in range(max(0, total - m), min(n, total) + 1)
    }
    return sum(c for c in chances.values() if c <= chances[failed]) / math.comb(n + m, total)


def clopper_pearson(failed: int, n: int) -> tuple[float, float]:
    """Give the exact 95 % interval of a share.

    Source: Clopper and Pearson 1934.
    """
    if not n:
        return 0.0, 1.0
    low = float(special.betaincinv(failed, n - failed + 1, 0.025)) if failed else 0.0
    high = float(special.betaincinv(failed + 1, n - failed, 0.975)) if failed < n else 1.0
    return low, high
