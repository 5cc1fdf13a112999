"""Which causes explain what is seen: each gets log-odds from signals, from settings and from facts."""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from gander.doctor.case import Case
from gander.doctor.finding import Finding
from gander.doctor.symptoms import LAST, smooth

SUSPECTS: Mapping[str, Mapping[str, Any]] = tomllib.loads(
    Path(__file__).with_name("suspects.toml").read_text("utf-8")
)
"""Of each cause: `prior`, log-odds; `of`, the symptoms it explains; `by`, log-odds for each sign in full."""

_BAD = (
    "not-learning",
    "divergence",
    "noise",
    "mode-collapse",
    "partial-collapse",
    "d-wins",
    "range-unreached",
    "class-collapse",
)
"""Symptoms of any training that goes wrong, which `bad` stands for."""
_FACT = {"note": 2.0, "warning": 3.0, "error": 4.0}
_LEAST = 0.0  # log-odds below which a cause is not named


def rise(value: float, low: float, high: float) -> float:
    """Give 0 at `low`, 1 at `high`, and between them what lies between; 0 where the value is unknown."""
    return min(1.0, max(0.0, (value - low) / (high - low))) if math.isfinite(value) else 0.0


def signs(case: Case) -> dict[str, float]:
    """Give what speaks for causes, each from 0, not there, to 1."""

    def now(column: str) -> float:
        last = case.probed(column)[-LAST:]
        return median(last) if last else math.nan

    def change(column: str, first: int = 3) -> float:
        """Give the log10 of how much a column has grown since the first rows."""
        values = [abs(value) for value in case.probed(column)]
        return (
            math.log10((median(values[-LAST:]) + 1e-9) / (median(values[:first]) + 1e-9))
            if values
            else math.nan
        )

    found: dict[str, float] = {}
    for side in "gd":
        steps = case.probed(f"update_{side}")
        step = now(f"update_{side}")  # and at first: large steps make large weights, of which they are less
        largest = max(step, median(steps[:3])) if steps else math.nan
        jump = rise(step - min(smooth(steps)), 0.3, 0.7) * (step > -1.7) if steps else 0.0
        found |= {
            f"{side}_steps_large": max(rise(largest, -1.5, -0.8), jump),
            f"{side}_steps_small": rise(-step, 2.6, 3.4) * (step > -11),
            f"{side}_frozen": rise(now(f"frozen_{side}"), 0.3, 0.6) * (side == "g" or not now("auc") > 0.98),
            f"{side}_dead": rise(now(f"dead_{side}"), 0.4, 0.8),
            f"{side}_grown": rise(change(f"sigma_{side}"), 0.3, 1),
        }
    auc, held_out, slope = now("auc"), now("auc_held_out"), change("slope")
    found |= {
        "d_sure": rise(auc, 0.97, 0.999),
        "d_blind": rise(-abs(auc - 0.5), *((-0.32, -0.18) if now("distance") > 8 else (-0.25, -0.1))),
        "d_wrong": rise(-auc, -0.3, -0.1),
        "d_knows": rise(held_out, 0.54, 0.7),
        "slope_gone": rise(-slope, 0.5, 1.5),
        "slope_huge": rise(slope, 0.7, 1.7),
        "narrow": rise(-now("diversity_features"), -0.6, -0.2),
        "worse": rise(change("distance", 1), 0.05, 0.2),
        "far": rise(now("distance"), 3, 12),
        "grainy": rise(now("blur"), 1.5, 4),
        "saturated": max(rise(now("low"), 0.1, 0.4), rise(now("high"), 0.1, 0.4)),
        "unheard": rise(-now("condition"), -0.4, -0.1),
        "mislabelled": rise(now("label_chance") - now("label_agreement"), -0.4, -0.1),
        "repeats": rise(now("repeats"), 0.05, 0.3),
        "eval_differs": rise(now("distance") / (now("distance_train_mode") or math.nan), 1.5, 3),
        "average_lost": rise(now("distance_average") / (now("distance") or math.nan), 3, 9)
        * bool(case.probed("distance_train_mode")),
        "average_stays": rise(change("distance_average"), -0.15, -0.05)
        * rise(now("distance_average") / (now("distance") or math.nan), 1.5, 3),
        "copies": rise(-now("copies"), 5, 9),
        "swapped": rise(-now("colour_swapped"), -0.6, -0.3),
        "penalised": max((rise(_weight(case, column), 0.3, 2) for column in _penalties(case)), default=0.0),
        "momentum": rise(float(case.setting("train.beta1", 0) or 0), 0.7, 0.9),
        "d_steps": rise(float(case.setting("train.d_steps", 1) or 1), 5, 10),
    }
    return found


def _penalties(case: Case) -> list[str]:
    return [name for name in case.history.names if name.endswith("/d") and name not in ("loss/d", "grad/d")]


def _weight(case: Case, column: str) -> float:
    """Give a penalty's share of D's loss, as it is in the newest rows."""
    penalty, loss = case.probed(column)[-LAST:], case.probed("loss/d")[-LAST:]
    return abs(median(penalty)) / (abs(median(loss)) + 0.1) if penalty and loss else math.nan


def weigh(
    found: Mapping[str, float], facts: Iterable[Finding] = (), known: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Give the log-odds of every cause.

    Args:
        found: signs.
        facts: of recipe and data; their causes are no guesses.
        known: log-odds by experiments.
    """
    exact: Counter[str] = Counter()
    for fact in facts:
        exact.update({cause: _FACT[fact.severity] / len(fact.causes) for cause in fact.causes})
    return {
        cause: suspected.get("prior", -2.0)
        + exact[cause]
        + (known or {}).get(cause, 0.0)
        + math.fsum(weight * found.get(sign, 0.0) for sign, weight in suspected["by"].items())
        for cause, suspected in SUSPECTS.items()
    }


def suspects(code: str, odds: Mapping[str, float]) -> tuple[str, ...]:
    """Give the causes that explain a symptom, the likeliest first; none where nothing speaks for any."""
    wanted = {code, "bad"} if code in _BAD else {code}
    explains = [cause for cause, suspected in SUSPECTS.items() if wanted.intersection(suspected["of"])]
    return tuple(sorted((each for each in explains if odds[each] > _LEAST), key=lambda each: -odds[each]))
