"""The verb that tries remedies."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gander.cli.options import Json, RunName
from gander.cli.progress import TrainingProgress, say
from gander.cli.tables import add_row, make_table, print_table
from gander.patch import typed

if TYPE_CHECKING:
    from gander.actions.cure import Arm, Cure


class _OneAfterAnother(TrainingProgress):
    def ended(self, state: str) -> None:
        self.__exit__()


def cure(
    run: RunName,
    every: Annotated[bool, typer.Option("--all", help="Try each remedy alone, not the first only.")] = False,
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="Of each training.", show_default="as predicted")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder of the new runs.", show_default="beside RUN")
    ] = None,
    as_json: Json = False,
) -> None:
    """Branch a run at its last good checkpoint, with the remedy and without, and see what was predicted.

    Interrupted, the same command goes on.
    """
    from gander.actions.cure import cure as try_remedies

    with _OneAfterAnother() as progress:
        watcher, report = (None, lambda line: None) if as_json else (progress, say)
        made = try_remedies(run, None, every, images, to, watcher, report)
    if as_json:
        say(json.dumps(made.as_dict()))
    else:
        _show(made)


def _show(made: Cure) -> None:
    finding = made.finding
    say(f"finding {finding.code}, since {finding.since:,} images: {finding.says}")
    say(f"predict {finding.prediction or 'nothing'}")
    table = make_table("remedy", "from", "prediction", "distance", "fd-judge", "beside none", "run")
    for arm, control in made.tried:
        name = typed(arm.remedy)
        add_row(
            table,
            name,
            _start(arm),
            made.verdict(arm, control),
            *_numbers(arm),
            arm.beside(control),
            str(arm.run.path),
        )
    for control in {arm.start: arm for _, arm in made.tried}.values():
        held = (
            control.failed or {True: "came true", False: "did not come true", None: "not known"}[control.held]
        )
        add_row(table, "none", _start(control), held, *_numbers(control), "", str(control.run.path))
    print_table(table)
    say("Distance: mean of the last third of each training, with its standard error; lower is better.")
    for why in {arm.anew for arm, _ in made.tried if arm.anew}:
        say(f"note    trained anew, not branched: {why}")
    good = [arm for arm, control in made.tried if arm.held and arm.beside(control) != "worse"]
    if not good:
        say(f"next    gander explain {finding.code}")
        return
    place = f"{made.run.recipe_file}" if good[0].anew else f"--from {made.run.path}@{good[0].start}"
    say(f"next    gander train {place} {typed(good[0].remedy)}")


def _start(arm: Arm) -> str:
    return f"{arm.start:,}" if arm.start else "the start"


def _numbers(arm: Arm) -> tuple[str, str]:
    mean, error = arm.quality
    distance = f"{mean:.3g} ± {error:.2g}" if math.isfinite(mean) else ""
    score = arm.scores.get("fd-judge", math.nan)
    return distance, f"{score:.3g}" if math.isfinite(score) else ""
