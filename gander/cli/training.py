"""The verbs that train: train, resume."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gander.cli.options import Json, RunName
from gander.cli.progress import TrainingProgress, say, say_next
from gander.errors import UsageError
from gander.recipe.shipped import recipe_tree
from gander.run import Run


def train(
    recipe: Annotated[
        str, typer.Argument(metavar="[RECIPE]", help="A shipped name or a .toml file.")
    ] = "quickstart",
    edits: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH=VALUE]...", help="Edits of the recipe: train.batch=32"),
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="The new run's directory.", show_default="runs/RECIPE-N")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="RUN[@IMAGES]", help="Branch a run at a checkpoint, in place of a RECIPE."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a recipe from the start, or branch a run.

    Examples: gander train; gander train cifar10-dcgan train.epochs=5; gander train --from @last@50000 seed=1
    """
    is_edit = "=" in recipe or recipe.partition(".")[2][:1] in ("+", "-")
    name, patch = ("quickstart", [recipe, *(edits or [])]) if is_edit else (recipe, edits or [])
    if source is not None and name != "quickstart":
        raise UsageError(
            f'"{name}": with --from, the recipe is that of the run; give edits only',
            hint=f"gander train --from {source} train.images=200000",
        )
    from gander.training import loop

    def work(progress: TrainingProgress | None) -> Run:
        if source is None:
            return loop.train(name, run, progress, patch=patch)
        return loop.branch(source, patch, run, progress)

    _follow(work, as_json)


def resume(
    run: RunName,
    edits: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH=VALUE]...", help="Go on in a new run, so edited.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Go on with a run exactly where it stopped; with train.images=N, train it longer, in a new run."""
    from gander.training import loop

    go_on = partial(loop.branch, run, edits) if edits else partial(loop.resume, run)
    _follow(lambda progress: go_on(watcher=progress), as_json)


def _follow(work: Callable[[TrainingProgress | None], Run], as_json: bool) -> None:
    speaks = os.environ.get("RANK", "0") == "0"
    with TrainingProgress() as progress:
        run = work(progress if speaks and not as_json else None)
    if speaks:
        _close(run, as_json)


def _close(run: Run, as_json: bool) -> None:
    from gander.pictures.charts import draw_curves, terminal_curves
    from gander.scores.table import METRICS

    history = run.history()
    scores = run.scores()
    charted = {metric.name: metric.better for metric in METRICS if metric.in_chart}
    draw_curves(history, run.curves_file, run.name, scores, charted)
    sheets = run.sheets()
    if as_json:
        answer = {
            "run": str(run.path),
            "images": history.images[-1] if history.images else 0,
            "sheet": str(sheets[-1]) if sheets else None,
            "curves": str(run.curves_file),
            "last": {name: history.last(name) for name in history.names},
            "scores": {name: scores.last(name) for name in scores.names},
        }
        say(json.dumps(answer))
        return
    if sys.stdout.encoding.lower().startswith("utf"):
        say(terminal_curves(history, min(shutil.get_terminal_size().columns, 100)))
    say(f"samples {sheets[-1] if sheets else 'none yet'}")
    say(f"curves  {run.curves_file}")
    best = run.best_score()
    if best is not None and run.best_file.exists():
        say(f"best    {run.best_file}: fd-judge {best['fd-judge']:.3g} after {best['images']:,} images")
    if not scores.images and history.images and recipe_tree(str(run.recipe_file))["evaluate"]["every"]:
        say("scores  none: they want a judge of the data, and time (evaluate.every, evaluate.share)")
    say_next("sample", run.path, "--walk")
