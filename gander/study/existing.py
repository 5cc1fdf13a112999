"""Runs that exist, compared as the trials of a study are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gander.errors import UsageError, did_you_mean, shorten, show
from gander.history import read_rows
from gander.patch import difference, show_patch
from gander.recipe.shipped import recipe_tree
from gander.run import Run
from gander.study.file import SCORES
from gander.study.results import check_protocols
from gander.study.verdicts import Judgement, Verdict, judge_arms

_ASIDE = ("title", "seed", "engine", "every", "samples", "evaluate")  # what does not make another arm


@dataclass
class _Arm:
    tree: dict[str, Any]
    runs: dict[int, Run] = field(default_factory=dict)  # by seed


@dataclass(frozen=True)
class Compared:
    """Verdicts on runs; of each arm its runs and scores, after `images` images; the first is the baseline."""

    score: str
    images: int
    arms: dict[str, dict[str, float | None]]  # None: it diverged
    verdicts: list[Verdict]


def compare_runs(runs: Sequence[Run], score: str, smallest: float) -> Compared:
    """Group runs that differ in their seed alone, and compare the groups with that of the first run.

    The scores are those of the newest moment that all have. Runs that diverged are failures.

    Raises: UsageError where runs cannot be compared: one arm alone, the same seed twice, other protocols.
    """
    if score not in SCORES:
        near = did_you_mean(score, SCORES)
        raise UsageError(f"--score {show(score)}: allowed are {', '.join(SCORES)}{near}")
    arms = _named(_grouped(runs))
    failed = {name: [seed for seed in arm.runs if _diverged(arm.runs[seed])] for name, arm in arms.items()}
    rows = {
        (name, seed): {row["images"]: row for row in read_rows(run.metrics_file) if score in row}
        for name, arm in arms.items()
        for seed, run in arm.runs.items()
        if seed not in failed[name]
    }
    common = set.intersection(*map(set, rows.values())) if rows else set()
    if not common:
        last = (
            f"{arms[name].runs[seed].path}: {max(own, default='none')}" for (name, seed), own in rows.items()
        )
        raise UsageError(
            f"there is no moment at which all of these runs have {score}; their last is, in images: "
            f"{shorten('; '.join(last), 300)}",
            hint="gander resume RUN where one is not finished",
        )
    moment = max(common)
    chosen = {place: own[moment] for place, own in rows.items()}
    check_protocols({str(arms[name].runs[seed].path): row for (name, seed), row in chosen.items()})
    if none := [place for place, row in chosen.items() if row[score] <= 0]:
        raise UsageError(f"{arms[none[0][0]].runs[none[0][1]].path}: its {score} is 0, which has no ratios")
    scores = {
        name: {seed: float(chosen[name, seed][score]) for seed in arm.runs if (name, seed) in chosen}
        for name, arm in arms.items()
    }
    verdicts, _ = judge_arms(scores, failed, Judgement(smallest, SCORES[score]))
    shown = {
        name: {str(run.path): scores[name].get(seed) for seed, run in arm.runs.items()}
        for name, arm in arms.items()
    }
    return Compared(score, moment, shown, verdicts)


def _grouped(runs: Sequence[Run]) -> list[_Arm]:
    groups: dict[str, _Arm] = {}
    for run in runs:
        tree = recipe_tree(str(run.recipe_file))
        seed = tree.get("seed", 0)
        tree = {key: value for key, value in tree.items() if key not in _ASIDE}
        arm = groups.setdefault(json.dumps(tree, sort_keys=True), _Arm(tree))
        if seed in arm.runs:
            raise UsageError(
                f"{arm.runs[seed].path} and {run.path}: are of one recipe and one seed, which is one trial",
                hint=f"gander train {run.recipe_file} seed={seed + 1}",
            )
        arm.runs[seed] = run
    if len(groups) < 2:
        raise UsageError(
            f"{len(runs)} runs of one recipe, and two are compared; name runs of another, too",
            hint="gander recipes A.toml B.toml shows how two recipes differ",
        )
    return [*groups.values()]


def _named(arms: Sequence[_Arm]) -> dict[str, _Arm]:
    """Name each arm by the edits that make it of the first; the first, by its first run."""
    base, *others = arms
    named = {str(next(iter(base.runs.values())).path): base}
    for arm in others:
        edits = shorten(show_patch(difference(base.tree, arm.tree)))
        named[edits if edits not in named else str(next(iter(arm.runs.values())).path)] = arm
    return named


def _diverged(run: Run) -> bool:
    state = run.state()
    return state["state"] == "failed" and str(state.get("error", "")).startswith("NumericsError")
