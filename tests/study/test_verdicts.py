"""Verdicts on simulated studies whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gander.study.effects import AnyTime, fit_blocks, paired_estimate, unpaired_estimate, wide_arms
from gander.study.planning import least_difference, level_at_looks, seeds_for, seeds_to_settle
from gander.study.verdicts import (
    BETTER,
    EQUIVALENT,
    UNSETTLED,
    WORSE,
    Judgement,
    clopper_pearson,
    fisher,
    judge_arms,
)

CLAIMS = (BETTER, WORSE)


def study(rng, effects, seeds, noise=0.05, skewed=False, by_seed=0.05):
    """Scores of arms whose logarithms lie so far from the first."""
    drawn = rng.standard_normal((len(effects), seeds))
    if skewed:
        drawn = np.exp(drawn)  # lognormal: skewness 6
        drawn = (drawn - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)
    logs = np.array(effects)[:, None] + by_seed * rng.standard_normal(seeds) + noise * drawn
    return {f"arm{a}": {s: math.exp(logs[a, s]) for s in range(seeds)} for a in range(len(effects))}


def judge(scores, smallest=0.02, **how):
    return judge_arms(scores, {}, Judgement(smallest, **how))[0]


def test_studies_of_equal_arms_claim_a_difference_in_at_most_one_of_twenty():
    rng = np.random.default_rng(1)
    said = [judge(study(rng, [0] * 4, seeds)) for seeds in (3, 5) for _ in range(300)]
    assert np.mean([any(one.verdict in CLAIMS for one in arms) for arms in said]) <= 0.05
    assert np.mean([one.verdict in CLAIMS for arms in said for one in arms]) <= 0.025


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("skewed", "least"), [(False, 0.93), (True, 0.87)])
@pytest.mark.parametrize("arms", [2, 5])
def test_intervals_cover_the_true_effect(seeds, skewed, least, arms):
    rng = np.random.default_rng(2)
    effects = np.linspace(0, -0.2, arms)
    covered = [
        math.log1p(one.low) <= effect <= math.log1p(one.high)
        for _ in range(400)
        for one, effect in zip(judge(study(rng, effects, seeds, skewed=skewed)), effects[1:], strict=True)
    ]
    assert np.mean(covered) >= least


def test_a_planted_better_arm_is_found_and_an_equal_one_is_not_told_apart():
    better, equal = judge(study(np.random.default_rng(3), [0, -0.3, 0.0], 5))
    assert (better.verdict, better.wins, better.seeds_to_settle) == (BETTER, 5, None)
    assert better.effect == pytest.approx(math.expm1(-0.3), abs=0.06)
    assert equal.verdict == UNSETTLED
    assert equal.seeds_to_settle > 5


def test_where_more_is_better_a_larger_score_is_better():
    scores = study(np.random.default_rng(3), [0, 0.3], 5)
    assert judge(scores, better="higher")[0].verdict == BETTER
    assert judge(scores)[0].verdict == WORSE


def test_many_seeds_of_equal_arms_are_equivalent_and_so_is_a_difference_too_small_to_matter():
    rng = np.random.default_rng(4)
    for effect in (0.0, 0.01):
        (one,) = judge(study(rng, [0, effect], 200, noise=0.02), smallest=0.05)
        assert one.verdict == EQUIVALENT
    assert "a difference, but smaller than what matters" in one.notes


def test_arms_of_equal_bytes_are_equivalent():
    scores = {arm: {0: 1.1, 1: 2.3} for arm in "ab"}
    (one,) = judge(scores)
    assert (one.verdict, one.effect) == (EQUIVALENT, 0)


def test_the_block_model_of_two_arms_is_the_paired_t_test():
    table = np.log(np.random.default_rng(5).uniform(1, 2, (2, 6)))
    block, paired = fit_blocks(table).estimate(1), paired_estimate(table, 1)
    assert (block.difference, block.error, block.df) == pytest.approx(
        (paired.difference, paired.error, paired.df)
    )


def test_the_block_model_is_the_textbooks_two_way_analysis_of_variance():
    table = np.random.default_rng(6).standard_normal((4, 5))
    fit = fit_blocks(table)
    left = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    sigma = math.sqrt((left**2).sum() / (3 * 4))
    assert fit.sigma == pytest.approx(sigma)
    one = fit.estimate(2)
    assert (one.difference, one.error, one.df) == pytest.approx(
        (table[2].mean() - table[0].mean(), sigma * math.sqrt(2 / 5), 12)
    )


def test_with_trials_missing_the_block_model_is_least_squares_by_brute_force():
    table = np.random.default_rng(7).standard_normal((3, 4))
    table[1, 0] = table[2, 3] = math.nan
    cells = [(a, s) for a in range(3) for s in range(4) if np.isfinite(table[a, s])]
    columns = [[s == k for k in range(4)] + [a == 1, a == 2] for a, s in cells]  # seeds, then effects
    design, y = np.array(columns, float), np.array([table[cell] for cell in cells])
    solved, rest, rank, _ = np.linalg.lstsq(design, y)
    variance = rest[0] / (len(cells) - rank) * np.linalg.inv(design.T @ design)
    for arm in (1, 2):
        one = fit_blocks(table).estimate(arm)
        assert (one.difference, one.error, one.df) == pytest.approx(
            (solved[3 + arm], math.sqrt(variance[3 + arm, 3 + arm]), len(cells) - rank)
        )


def test_arms_without_a_common_seed_are_not_compared_by_blocks():
    table = np.array([[1.0, 2.0, math.nan, math.nan], [math.nan, math.nan, 1.0, 2.0]])
    assert fit_blocks(table).estimate(1) is None
    assert unpaired_estimate(table, 1).difference == 0


def test_an_arm_with_wild_seeds_is_judged_by_its_own_pairs_and_the_others_without_it():
    rng = np.random.default_rng(8)
    table = 0.02 * rng.standard_normal((4, 6))
    table[3] *= 50
    assert wide_arms(fit_blocks(table)) == [3]
    scores = {f"arm{a}": dict(enumerate(np.exp(row))) for a, row in enumerate(table)}
    calm, _, wild = judge(scores)
    assert calm.high - calm.low < 0.1 < wild.high - wild.low
    assert any("its own pairs" in note for note in wild.notes)


def test_failures_are_an_outcome_of_their_own_and_no_score():
    scores = {"plain": dict.fromkeys(range(6), 2.0), "wild": {}}
    scores["plain"][0] = 2.1
    (one,), _ = judge_arms(scores, {"wild": range(6)}, Judgement(0.05))
    assert (one.verdict, one.failures, one.failed, one.n) == ("no verdict", "fails more often", 6, 0)
    assert one.failed_share == pytest.approx((0.54, 1.0), abs=0.01)


def test_exact_tests_of_shares_give_the_textbooks_values():
    assert fisher((1, 10), (11, 14)) == pytest.approx(0.002759, abs=1e-6)  # of the textbooks
    assert fisher((0, 5), (0, 5)) == 1
    assert clopper_pearson(1, 10) == pytest.approx((0.0025, 0.4450), abs=1e-4)
    assert clopper_pearson(0, 5) == pytest.approx((0, 0.5218), abs=1e-4)


def test_many_comparisons_cost_a_claim_that_one_alone_would_carry():
    others = study(np.random.default_rng(11), [0] * 12, 5)
    base, shift = others.pop("arm0"), (-0.03, -0.09, -0.06, -0.08, -0.07)
    arm = {seed: score * math.exp(shift[seed]) for seed, score in base.items()}
    (alone,) = judge({"base": base, "arm": arm})
    among = judge({"base": base, "arm": arm} | others)[0]
    assert (alone.verdict, among.verdict) == (BETTER, UNSETTLED)
    assert any("not among 12 comparisons" in note for note in among.notes)


def test_the_difference_that_seeds_can_show_is_that_of_the_tables():
    """Half a paired comparison's noise is of either arm, so the tables' unit is sqrt(2) of ours."""
    for seeds, units in ((3, 3.26), (5, 1.68), (8, 1.16), (10, 1.00), (20, 0.66)):
        shown = math.log1p(least_difference(0.01, seeds, 2)) / 0.01 / math.sqrt(2)
        assert shown == pytest.approx(units, abs=0.01)
    assert seeds_for(0.05, 0.03, 2) == 9
    assert math.isinf(least_difference(0.03, 1, 2))


def test_planned_studies_find_what_they_promise_four_times_in_five():
    rng = np.random.default_rng(12)
    effect = math.log1p(least_difference(0.05, 5, 4))
    found = [judge(study(rng, [0, effect, 0, 0], 5))[0].verdict == WORSE for _ in range(300)]
    assert 0.74 < np.mean(found) < 0.9


def test_the_seeds_that_would_settle_it_do():
    needed = seeds_to_settle(0.1, 0.02, 0.05, arms=2, had=3)
    assert needed == 5  # |d| = 2 sd: t(.975, 4) sqrt(2 / 5) = 1.76 is the first below 2
    assert seeds_to_settle(0.0, 0.05, 0.05, arms=2, had=3) == 8  # t(.95, 7) sqrt(2 / 8) = .947 < 1
    assert seeds_to_settle(0.03, 0.03, 1.0, arms=2, had=3) is None


@pytest.mark.parametrize(
    ("looks", "level"), [((3, 5, 10), 0.019), ((5, 10), 0.028), (tuple(range(3, 11)), 0.012)]
)
def test_planned_looks_share_the_error_as_the_tables_say(looks, level):
    assert level_at_looks(looks, 2) == pytest.approx(level, abs=0.0015)


def test_with_very_many_arms_the_noise_is_known_and_two_looks_have_pococks_level():
    assert level_at_looks((5, 10), 200) == pytest.approx(0.0294, abs=0.0015)


def test_one_look_costs_nothing():
    assert level_at_looks((5,), 4) == 0.05


@pytest.mark.parametrize(
    ("n", "half"), [(3, 7.6), (4, 3.27), (5, 2.42), (6, 2.00), (8, 1.56), (10, 1.32), (20, 0.85)]
)
def test_the_any_time_interval_has_the_tables_width(n, half):
    differences = np.random.default_rng(n).standard_normal(n)
    one = AnyTime(differences)
    assert one.half_width(0.05) / differences.std(ddof=1) == pytest.approx(half, rel=0.01)
    assert one.p(one.difference + one.half_width(0.05)) == pytest.approx(0.05)


def test_who_looks_after_every_seed_errs_seldom_with_the_any_time_interval():
    rng = np.random.default_rng(13)
    fooled = [
        any(AnyTime(differences[:n]).p(0) <= 0.05 for n in range(2, 11))
        for differences in rng.standard_normal((500, 10))
    ]
    assert np.mean(fooled) <= 0.05


@pytest.mark.parametrize("seeds", [0, 1])
def test_fewer_than_two_seeds_give_no_verdict(seeds):
    verdicts, noise = judge_arms(study(np.random.default_rng(0), [0, 0, 1], seeds), {}, Judgement(0.05))
    assert [(one.verdict, one.effect, one.n) for one in verdicts] == [("no verdict", None, seeds)] * 2
    assert math.isnan(noise)
