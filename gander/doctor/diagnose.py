"""From a case to findings: at a moment, over a whole run, and as they come and go."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gander.doctor.case import Case
from gander.doctor.facts import facts
from gander.doctor.finding import Finding, in_order
from gander.doctor.remedies import predict, remedies
from gander.doctor.suspects import signs, suspects, weigh
from gander.doctor.symptoms import AT_ONCE, FIRST_STEPS, SYMPTOMS, Seen

_CALIBRATION = Path(__file__).with_name("calibration.json")
_PRIOR = (1.0, 0.5)
"""Where a code is not calibrated: log-odds at its bound, and for each doubling beyond."""
_CAUSES = 3  # that are named
_STAYS = 3  # moments that a finding is kept after it was seen last


def diagnose(case: Case, known: Mapping[str, float] | None = None) -> list[Finding]:
    """Give what is wrong at a moment, the worst first.

    Args:
        known: log-odds of causes by experiments.
    """
    exact = facts(case)
    spoken = signs(case)
    seen: dict[str, Seen] = {}
    for look in SYMPTOMS if case.steps >= FIRST_STEPS else AT_ONCE:
        found = look(case)
        if found is not None and found.strength > seen.get(found.code, found).strength - 1e-9:
            seen[found.code] = found
    said_already = {fact.code for fact in exact}  # of a fact, what is seen of it is no news
    odds = weigh(spoken, exact, known)
    said = [_finding(case, each, odds, exact) for each in seen.values() if each.code not in said_already]
    exact = [
        replace(fact, causes=tuple(sorted(fact.causes, key=lambda x: -odds.get(x, 0)))) for fact in exact
    ]
    unknown = [] if case.looks or not case.ended else [_unprobed(case)]
    return in_order([*exact, *said, *unknown])


def _finding(case: Case, seen: Seen, odds: Mapping[str, float], exact: Sequence[Finding]) -> Finding:
    causes = suspects(seen.code, odds)[:_CAUSES]
    fixed = {cause: fact.remedy for fact in exact for cause in fact.causes}
    patches = [patch for cause in causes for patch in (fixed.get(cause) or remedies(case, [cause]))]
    return Finding(
        seen.code,
        seen.severity,
        confidence(seen),
        seen.says,
        case.images,
        seen.evidence,
        causes,
        tuple(dict.fromkeys(patches)),
        predict(case, seen) if patches else None,
    )


def confidence(seen: Seen) -> float:
    """Give the share of findings of this code and strength that are right."""
    start, slope = _calibration().get(seen.code, _PRIOR)
    return round(1 / (1 + math.exp(-(start + slope * seen.strength))), 2)


def _calibration() -> Mapping[str, tuple[float, float]]:
    return json.loads(_CALIBRATION.read_text("utf-8")) if _CALIBRATION.exists() else {}


def _unprobed(case: Case) -> Finding:
    says = "the log has no probes (of an older gander, or every.probe=0), and what they show is unknown"
    missing = tuple(
        f"probe/{name}" for name in ("auc", "distance", "diversity_features", "update_g", "update_d")
    )
    return Finding("unprobed", "note", 1.0, says, 0, unknown=missing)


class Course:
    """The findings of a run as they come and go, told one moment after another."""

    def __init__(self) -> None:
        self.standing: dict[str, Finding] = {}
        self._absent: dict[str, int] = {}
        self._stage = math.nan

    def hear(self, case: Case, known: Mapping[str, float] | None = None) -> Iterator[tuple[Finding, bool]]:
        """Give what is new or worse at this moment, and what is gone again, with True."""
        now = {finding.code: finding for finding in diagnose(case, known)}
        for code, finding in now.items():
            old = self.standing.get(code)
            self._absent[code] = 0
            self.standing[code] = replace(finding, since=old.since) if old else finding
            if old is None or (finding.alarms and not old.alarms):
                yield self.standing[code], False
        for code in [code for code in self.standing if code not in now]:
            self._absent[code] += 1
            if self._absent[code] >= _STAYS:
                yield self.standing.pop(code), True


def courses(case: Case, course: Course | None = None) -> Iterator[tuple[int, Finding, bool]]:
    """Replay a run: at so many images a finding came, or is gone."""
    course = course or Course()
    for moment in case.moments():
        yield from ((moment.images, *said) for said in course.hear(moment))


def saying(images: int, finding: Finding, gone: bool) -> dict[str, Any]:
    """Give a row of `findings.jsonl`."""
    return {"images": images, "gone": gone, **finding.as_dict()}


def findings_over(case: Case, known: Mapping[str, float] | None = None) -> list[Finding]:
    """Replay a run and give what is wrong at its end, each with when it was first seen."""
    course = Course()
    for _ in courses(case, course):
        pass
    for _ in course.hear(case, known):  # how it ended, and the experiments, are known now
        pass
    return in_order(course.standing.values())
