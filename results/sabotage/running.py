"""Making the runs: each a normal run of gander in DIR/runs, with `label.json` when it is done."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from gander.errors import Interrupted, NumericsError
from gander.recipe.schema import Recipe
from gander.training.loop import train
from gander.training.session import Session
from gander.training.trainer import Trainer

from .bases import base_recipe
from .changes import Sabotage
from .datasets import clean_file, spoilt_file
from .plan import Planned
from .scoring import Worth, score


def make(run: Planned, work: Path, data: Path | None) -> str:
    """Train one run, score it and label it; give a line on it, which says why where it is skipped."""
    clean = clean_file(work, run.data, data)
    if clean is None:
        return f"skipped: no {run.data}; give --data FOLDER that holds it"
    folder = work / "runs" / run.name
    shutil.rmtree(folder, ignore_errors=True)  # half done
    path = clean
    if run.sabotage.spoil is not None:
        path = spoilt_file(work, clean, f"{run.kind}-{run.strength}", run.sabotage.spoil)
    recipe = base_recipe(run.base, str(path), run.seed)
    onset = round(run.onset * (recipe.train.images or 0))
    if not onset and run.sabotage.patch is not None:
        recipe = recipe.patched(run.sabotage.patch(recipe))
    began = time.monotonic()
    ended, worth, onset = _train(recipe, folder, run, onset, work)
    label: dict[str, Any] = {
        "name": run.name,
        "kind": run.kind,
        "cause": run.cause,
        "equal": run.equal,
        "strength": run.strength,
        "onset": onset,
        "hidden": bool(onset) or run.sabotage.breakage is not None,
        "base": run.base,
        "data": run.data,
        "seed": run.seed,
        "split": run.split,
        "round": run.round,
        "ended": ended,
        "score": worth and worth.distance,
        "coverage": worth and worth.coverage,
        "nearer": worth and worth.nearer,
        "seconds": round(time.monotonic() - began, 1),
    }
    (folder / "label.json").write_text(json.dumps(label, indent=1))
    return f"{label['seconds']} s, {worth}, {ended}"


def done(work: Path, run: Planned) -> bool:
    """Tell whether a run was made."""
    return (work / "runs" / run.name / "label.json").exists()


def _train(
    recipe: Recipe, folder: Path, run: Planned, onset: int, work: Path
) -> tuple[str, Worth | None, int]:
    """Train; give how it ended, its score, and after how many images it was broken."""
    sessions: list[_Broken] = []

    def session(*given: Any) -> Session:
        sessions.append(_Broken(run.sabotage, onset, *given))
        return sessions[-1]

    with mock.patch("gander.training.loop.Session", session):
        try:
            train(recipe, folder)
        except NumericsError as error:
            return f"failed: {type(error).__name__}", None, sessions[-1].broke_at
    last = sessions[-1]
    return "finished", score(last.sampler(), work, run.data, last.images), last.broke_at


class _Broken(Session):
    """A session that breaks its trainer, at once or after so many images."""

    def __init__(self, sabotage: Sabotage, onset: int, *given: Any) -> None:
        self.sabotage, self.onset, self.broke_at = sabotage, onset, 0
        super().__init__(*given)

    def _begin(self, stage: int) -> None:
        super()._begin(stage)
        if not self.onset and self.sabotage.breakage is not None:
            self.sabotage.breakage(self.trainer)

    def tell(self, event: str, *given: Any) -> None:
        if event == "stepped" and self.onset and not self.broke_at and given[0] >= self.onset:
            self.broke_at = given[0]
            _break(self.trainer, self.sabotage)
        super().tell(event, *given)


def _break(trainer: Trainer, sabotage: Sabotage) -> None:
    if sabotage.patch is not None:
        trainer.apply(sabotage.patch(trainer.recipe))
    if sabotage.breakage is not None:
        sabotage.breakage(trainer)


def make_all(
    runs: list[Planned], work: Path, data: Path | None, minutes: float, say: Callable[[str], None]
) -> None:
    """Make what is not done yet, until the time is over."""
    end = time.monotonic() + 60 * minutes
    for place, run in enumerate(runs, 1):
        if done(work, run):
            continue
        if time.monotonic() > end:
            say("the time is over; the same command goes on")
            return
        try:
            said = make(run, work, data)
        except Interrupted:
            raise
        except Exception as error:  # a run that cannot be made must not end the night
            said = f"NOT MADE: {type(error).__name__}: {error}"
        say(f"{place} of {len(runs)}: {run.name}: {said}")
