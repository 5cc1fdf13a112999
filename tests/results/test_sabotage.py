"""The sabotage suite: its plan is balanced, breakages do what they say, verdicts count right."""

from __future__ import annotations

import json
import math

import pytest
import torch

from gander.doctor.codes import codes
from gander.doctor.finding import Finding
from results.sabotage import breakages, running, verdict
from results.sabotage.bases import base_recipe
from results.sabotage.calibration import fit
from results.sabotage.kinds import KINDS
from results.sabotage.plan import CASES, CELLS, plan
from results.sabotage.report import expected_error, share
from results.sabotage.verdict import Verdict, harm
from tests.training.test_step import step, trainer

PLAN = plan()
FIRST = [run for run in PLAN if run.round < 3]


def alarm(code, confidence=0.8, causes=()):
    return Finding(code, "warning", confidence, "", causes=causes)


def label(kind="g-rate-high", score=10.0, onset=0, cause=None, **more):
    cause = kind if cause is None else cause
    plain = {"name": f"{kind}{score}", "kind": kind, "cause": cause, "equal": ["rates-high"], "score": score}
    plain |= {"coverage": 0.5, "nearer": 0.2, "onset": onset, "base": "dcgan", "data": "shapes"}
    return plain | {"strength": "strong"} | more


def healthy(*scores):
    return [label("healthy", score, cause="") for score in scores]


def test_three_rounds_hold_every_kind_three_times_and_sixty_healthy_runs():
    for split in ("train", "test"):
        for kind in KINDS:
            if not kind.name.startswith("case") or split == "test":
                assert sum(run.kind == kind.name for run in FIRST if run.split == split) == 3, kind.name
    assert sum(run.healthy for run in FIRST) >= 60
    assert len({kind.cause for kind in KINDS}) >= 26
    assert {data for cells in CELLS.values() for _, data in cells} == {"shapes", "mnist", "cifar10"}


def test_every_cause_can_be_explained():
    assert {code for kind in KINDS for code in (kind.cause, *kind.equal)} <= {*codes()}


def test_no_test_run_has_the_seed_of_a_train_run():
    assert len({run.name for run in PLAN}) == len(PLAN)
    seeds = {split: {run.seed for run in PLAN if run.split == split} for split in CELLS}
    assert not seeds["train"] & seeds["test"]
    assert not {*CELLS["train"]} & {*CELLS["test"], *CASES}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_patch_makes_a_recipe(kind):
    recipe = base_recipe(kind.bases[0], "data.npz", 0)
    for sabotage in (kind.strong, kind.mild):
        if sabotage.patch is not None:
            assert recipe.diff(recipe.patched(sabotage.patch(recipe)))


def test_a_wrong_sign_makes_g_go_the_other_way():
    ways = []
    for breakage in (None, breakages.wrong_sign):
        made = trainer(train__beta1=0.0)
        before = [weight.detach().clone() for weight in made.g.weights]
        if breakage is not None:
            breakage(made)
        made.step_g()
        ways.append(torch.cat([(a - b).flatten() for a, b in zip(made.g.weights, before, strict=True)]))
    assert torch.allclose(ways[0], -ways[1], atol=1e-6)


@pytest.mark.parametrize("side", ["g", "d"])
def test_a_frozen_net_stays_as_it_is_and_the_other_moves(side):
    made = trainer()
    breakages.frozen(side)(made)
    still, other = getattr(made, side), made.d if side == "g" else made.g
    before = [[weight.detach().clone() for weight in each.weights] for each in (still, other)]
    step(made)
    assert all(torch.equal(*pair) for pair in zip(still.weights, before[0], strict=True))
    assert not all(torch.equal(*pair) for pair in zip(other.weights, before[1], strict=True))


def test_stale_batches_come_again():
    made = trainer()
    breakages.stale_batches(2)(made)
    taken = [made.batches.take(4 * place, 4)[0] for place in range(4)]
    assert torch.equal(taken[0], taken[2])
    assert torch.equal(taken[1], taken[3])
    assert not torch.equal(taken[0], taken[1])


def test_harm_is_counted_in_standard_errors_of_siblings_of_other_seeds():
    siblings = healthy(1.0, math.e)
    deviation = math.sqrt(0.5)  # of 0 and 1
    worse, times = harm(label(score=math.e**2), siblings)
    assert worse == pytest.approx((2 - 0.5) / (deviation * math.sqrt(1.5)))
    assert times == pytest.approx(math.e**1.5)
    assert harm(label(score=None), siblings) == (math.inf, math.inf)
    assert math.isnan(harm(label(base="r3"), siblings)[0])
    assert harm(siblings[0], siblings)[1] == pytest.approx(1 / math.e)  # not beside itself


def test_an_alarm_before_the_sabotage_is_false_and_detects_nothing():
    run = Verdict(
        label(onset=500), None, 1000, worse=9.0, said=[(100, alarm("noise")), (700, alarm("noise"))]
    )
    assert (run.detected, len(run.alarms), run.right(100), run.right(700)) == (200, 1, False, True)


def test_an_alarm_on_a_harmless_sabotage_is_false():
    run = Verdict(label(), None, 1000, worse=1.9, said=[(100, alarm("noise"))])
    assert run.harmless
    assert not run.broken
    assert run.alarms
    assert not run.right(100)


def test_equal_causes_count_and_others_do_not():
    assert Verdict(label(), None, 1, causes=("noise", "rates-high")).rank() == 1
    assert Verdict(label(), None, 1, causes=("noise",)).rank() is None


def test_shares_have_clopper_pearson_intervals():
    assert share(5, 5) == "5 of 5: 100% (48% to 100%)"
    assert share(0, 25) == "0 of 25: 0% (0% to 14%)"


def test_calibration_error_is_the_gap_between_said_and_right():
    said = [(1, alarm("noise", 0.8)), (2, alarm("d-wins", 0.8))]
    runs = [Verdict(label(), None, 9, worse=9.0, said=said), Verdict(label(), None, 9, worse=0.0, said=said)]
    assert expected_error(runs) == pytest.approx(0.3)


def test_confidence_follows_what_was_right():
    start, slope = fit([(0.0, False)] * 20 + [(4.0, True)] * 20, 0.5)
    few, _ = fit([(0.0, True)], 0.5)
    assert slope > 0
    assert start < -1 < 0 < start + 4 * slope
    assert abs(few) < 1  # one run says little


def test_done_runs_are_skipped_and_half_done_ones_made_anew(tmp_path, monkeypatch):
    runs, made = PLAN[:3], []
    (tmp_path / "runs" / runs[0].name).mkdir(parents=True)
    (tmp_path / "runs" / runs[0].name / "label.json").write_text(json.dumps({}))
    (tmp_path / "runs" / runs[1].name).mkdir()
    monkeypatch.setattr(running, "make", lambda run, work, data: made.append(run.name) or "made")
    running.make_all(runs, tmp_path, None, 1.0, print)
    assert made == [run.name for run in runs[1:]]


def test_labels_are_read_by_half(tmp_path):
    for name, split in (("a", "train"), ("b", "test")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "label.json").write_text(json.dumps(label(split=split)))
    assert [path.name for path, _ in verdict.labels(tmp_path, "test")] == ["b"]
