"""What the doctor says of planted histories: nothing of healthy ones, the right thing of broken ones."""

from __future__ import annotations

import json
import math
import random
import re
from pathlib import Path

import pytest

from gander.doctor import symptoms
from gander.doctor.case import Case
from gander.doctor.codes import codes
from gander.doctor.diagnose import courses, diagnose, findings_over
from gander.doctor.finding import Finding
from gander.doctor.remedies import REMEDIES
from gander.doctor.suspects import SUSPECTS
from gander.doctor.symptoms import BOUNDS
from tests.doctor.planted import HEALTHY, TOTAL, Curve, planted, wobble

MIDDLE = 0.5


def alarms(case: Case) -> dict[str, Finding]:
    return {finding.code: finding for finding in findings_over(case) if finding.alarms}


def ever(case: Case) -> set[str]:
    return {finding.code for _, finding, gone in courses(case) if finding.alarms and not gone}


ODD: dict[str, dict[str, Curve]] = {
    "healthy": {},
    "D wins, G learns on": {"probe/auc": lambda t: 1.0, "loss/d": lambda t: 0.0, "loss/g": lambda t: 12.0},
    "Wasserstein losses": {"loss/d": lambda t: -500 * t, "loss/g": lambda t: 2_000 * wobble(t)},
    "rates that decay": dict.fromkeys(("probe/update_g", "probe/update_d"), lambda t: -2 - 4 * t),
    "a plateau after a fall": {"probe/distance": lambda t: 26 if t < 0.1 else 5.5 + 0.4 * wobble(t)},
    "a bad start": {"probe/distance": lambda t: 28 + 13 * (t < 0.06) if t < 0.12 else 1.5},
    "equilibrium": {"probe/distance": lambda t: 1.1 + 0.5 * wobble(t), "probe/auc": lambda t: 0.52},
    "alike at first": {"probe/diversity_features": lambda t: 0.02 + 3 * min(t, 0.3)},
    "an unlucky held-out set": {"probe/auc_held_out": lambda t: 0.56 + 0.05 * wobble(t)},
    "smooth fakes of rich images": {
        "probe/copies": lambda t: -12.0 + 6 * t,
        "probe/diversity_features": lambda t: 0.7,
    },
    "D content with its margin": {"probe/auc": lambda t: 1.0, "probe/frozen_d": lambda t: 1.0},
    "black that comes late": {
        "probe/distance": lambda t: 200 * 0.001**t,
        "probe/low": lambda t: -0.7 if t < 0.6 else -0.2,
    },
    "fine grain at first": {"probe/blur": lambda t: 1 + 300 * 1e-6**t},
    "one bad look": {"probe/distance": lambda t: 60 if 0.6 < t < 0.62 else 1.2 + 26 * 0.001**t},
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_nothing_is_said_of_a_healthy_run(name: str):
    assert not ever(planted(ODD[name]))


def test_first_steps_are_no_alarm():
    bad: dict[str, Curve] = {"probe/distance": lambda t: 28 + wobble(t), "probe/auc": lambda t: 0.5}
    assert not ever(planted(FAR, rows=5))
    assert not ever(planted(bad | {"step": lambda t: 199 * t}))
    assert ever(planted(bad | {"step": lambda t: 1_999 * t}))


def after(broken: Curve, column: str) -> Curve:
    return lambda t: HEALTHY[column](t) if t < MIDDLE else broken(t)


FAR = {"probe/distance": lambda t: 25 + wobble(t)}
BROKEN: dict[str, tuple[dict[str, Curve], str, str]] = {
    "D wins and nothing moves": (
        FAR | {"probe/auc": lambda t: 1.0, "probe/slope": lambda t: 20 * 0.001**t},
        "d-wins",
        "d-too-strong",
    ),
    "D learns nothing": (FAR | {"probe/auc": lambda t: 0.52}, "d-uninformed", "d-too-weak"),
    "D stands still": (
        FAR | {"probe/auc": lambda t: 0.5, "probe/update_d": lambda t: -12, "probe/frozen_d": lambda t: 1},
        "d-frozen",
        "d-frozen",
    ),
    "G stands still": (
        FAR | {"probe/auc": lambda t: 1.0, "probe/update_g": lambda t: -12, "probe/frozen_g": lambda t: 1},
        "g-frozen",
        "g-frozen",
    ),
    "G's steps are huge": (
        FAR | {"probe/update_g": lambda t: -0.4, "probe/diversity_features": lambda t: 0.5},
        "updates-large",
        "g-rate-high",
    ),
    "both learn too slowly": (
        FAR | {"probe/update_g": lambda t: -4.2, "probe/update_d": lambda t: -4.2},
        "updates-small",
        "rates-low",
    ),
    "fakes are one image": (
        {"probe/diversity": lambda t: 0.05, "probe/diversity_features": lambda t: 0.08},
        "mode-collapse",
        "",
    ),
    "fakes become alike in the middle": (
        {"probe/diversity_features": after(lambda t: 0.5, "probe/diversity_features")},
        "partial-collapse",
        "",
    ),
    "it goes wrong in the middle": (
        {"probe/distance": after(lambda t: 19 + wobble(t), "probe/distance")},
        "divergence",
        "",
    ),
    "D knows its images": (
        {"probe/auc_held_out": lambda t: 0.5 + 0.45 * min(2 * t, 1)},
        "d-memorises",
        "d-memorises",
    ),
    "nothing is learned, and nobody knows why": (FAR, "not-learning", ""),
    "the wrong way round": (
        {"probe/distance": lambda t: 60 + 90 * min(3 * t, 1), "probe/auc": lambda t: 1.0},
        "d-wins",
        "wrong-sign",
    ),
    "an average of long ago": (
        {"probe/distance_average": lambda t: 30 - 20 * t},
        "average-lags",
        "average-slow",
    ),
    "an average without its statistics": (
        {"probe/distance_average": lambda t: 30.0},
        "average-lags",
        "batch-norm-statistics",
    ),
    "statistics that lag": (
        {"probe/distance": lambda t: 12 + wobble(t), "probe/distance_train_mode": lambda t: 2.0},
        "eval-differs",
        "batch-norm-statistics",
    ),
    "copies": (
        {"probe/copies": lambda t: -12.0, "probe/repeats": lambda t: 0.4},
        "g-copies",
        "g-copies",
    ),
    "labels that D is not shown": (
        {"probe/label_agreement": lambda t: 0.15 + 0.05 * wobble(t), "probe/label_chance": lambda t: 0.13},
        "condition-unheard",
        "condition-ignored",
    ),
    "flat ends": (FAR | {"probe/low": lambda t: 0.45}, "saturated-images", "output-range"),
    "no black": (FAR | {"probe/low": lambda t: -0.6}, "range-unreached", ""),
    "grain": (FAR | {"probe/blur": lambda t: 200.0}, "noise", ""),
    "round in circles": (FAR | {"probe/recurrence": lambda t: 0.4}, "oscillation", ""),
    "G's rate is raised in the middle": (
        {
            "probe/distance": after(lambda t: 12 + wobble(t), "probe/distance"),
            "probe/update_g": after(lambda t: -1.3, "probe/update_g"),
        },
        "divergence",
        "g-rate-high",
    ),
    "dead": ({"probe/dead_g": lambda t: 0.9}, "dead-units", "dead-units"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_run_is_seen_and_its_cause_named(name: str):
    curves, code, cause = BROKEN[name]
    found = alarms(planted(curves))
    assert code in found
    assert found[code].causes[:1] == ((cause,) if cause else found[code].causes[:1])
    assert found[code].remedy or cause not in REMEDIES
    assert found[code].evidence


def test_where_nothing_speaks_for_a_cause_none_is_named():
    finding = alarms(planted(FAR))["not-learning"]
    assert finding.causes == ()
    assert finding.remedy == ()


def test_the_first_sight_is_kept_and_comes_soon_after_the_breakage():
    name = "it goes wrong in the middle"
    since = alarms(planted(BROKEN[name][0]))["divergence"].since
    assert MIDDLE * TOTAL <= since <= (MIDDLE + 0.1) * TOTAL


def test_a_finding_that_is_over_is_gone_again():
    case = planted({"probe/distance": lambda t: 20 if 0.5 < t < 0.7 else HEALTHY["probe/distance"](t)})
    said = [(finding.code, gone) for _, finding, gone in courses(case)]
    assert said == [("divergence", False), ("divergence", True)]
    assert not alarms(case)


def test_a_moment_of_a_replay_is_the_log_up_to_it():
    curves, code, _ = BROKEN["it goes wrong in the middle"]
    whole = planted(curves)
    first = next(at for at, finding, _ in courses(whole) if finding.code == code)
    rows = whole.history.images.index(first) + 1
    assert code in {finding.code for finding in diagnose(planted(curves, rows=rows))}
    assert code not in {finding.code for finding in diagnose(planted(curves, rows=rows - 1))}


def test_a_remedy_makes_the_steps_as_large_as_is_usual():
    finding = alarms(planted(BROKEN["G's steps are huge"][0]))["updates-large"]
    assert finding.remedy[0] == ("train.g_lr=5e-06",)  # 2e-4, and steps 10^1.6 times too large
    assert str(finding.prediction) == "probe/update_g below -1.2 within 80,000 images"


def test_a_rate_that_is_a_ramp_is_lowered_at_both_ends():
    ramp = {"from": 4e-4, "to": 1e-4, "over": 1_000}
    case = planted(BROKEN["G's steps are huge"][0], patch={"train.g_lr": ramp})
    assert alarms(case)["updates-large"].remedy[0] == ("train.g_lr.from=1e-05", "train.g_lr.to=3e-06")


def test_what_an_experiment_knows_moves_the_ranking():
    case = planted(FAR)
    told = next(each for each in findings_over(case, {"wrong-sign": 6.0}) if each.code == "not-learning")
    assert told.causes[0] == "wrong-sign"


def test_the_log_of_an_old_run_is_said_to_be_unknown():
    old = planted(dict.fromkeys(HEALTHY) | {"loss/d": HEALTHY["loss/d"]})
    ended = Case(old.recipe, old.data, old.history, old.total, {"state": "unknown"})
    findings = findings_over(ended)
    assert [finding.code for finding in findings] == ["unprobed"]
    assert not findings[0].alarms
    assert "probe/distance" in findings[0].unknown


def test_a_run_that_failed_with_its_numbers_is_an_error():
    healthy = planted()
    state = {"state": "failed", "error": "NumericsError: loss/g is nan at step 12"}
    ended = Case(healthy.recipe, healthy.data, healthy.history, healthy.total, state)
    worst = findings_over(ended)[0]
    assert (worst.code, worst.severity) == ("divergence", "error")
    assert "loss/g is nan" in worst.says


def test_of_one_gan_a_class_each_is_looked_at_by_itself():
    """The second GAN begins far from its images, which is no fall back of the first."""
    case = planted(
        {"probe/distance": lambda t: 1.2 + 26 * 0.001 ** (2 * t % 1), "stage": lambda t: int(t > MIDDLE)}
    )
    assert not ever(Case(case.recipe, {"classes": ["a", "b"]}, case.history, case.total))


def test_no_numbers_whatever_break_the_doctor():
    rng = random.Random(0)
    columns = [*HEALTHY, *(f"probe/{each.column}" for each in BOUNDS), "probe/distance_average", "r1/d"]
    columns += ["probe/distance_train_mode", "probe/diversity_class", "probe/sigma_g"]
    for _ in range(20):
        drawn = {
            name: [rng.choice((0.0, -1e30, 1e-30, 1e30, 0.5, math.nan)) for _ in range(41)]
            for name in columns
        }
        for finding in findings_over(
            planted({name: lambda t, v=drawn[name]: v[round(t * 40)] for name in columns})
        ):
            assert 0 <= finding.confidence <= 1
            json.dumps(finding.as_dict(), allow_nan=False)


def test_every_code_that_is_said_is_explained():
    written = "".join(
        Path(symptoms.__file__).with_name(name).read_text() for name in ("symptoms.py", "bounds.toml")
    )
    seen = set(re.findall(r'(?:Seen\(\s*|code = |_steps\(case, )"([a-z-]+)"', written)) | {
        "g-frozen",
        "d-frozen",
    }
    assert len(seen) > 15
    assert seen | SUSPECTS.keys() | {"unprobed"} <= codes().keys()
    assert REMEDIES.keys() <= SUSPECTS.keys()
    assert {code for each in SUSPECTS.values() for code in each["of"]} <= seen | {"bad"}
