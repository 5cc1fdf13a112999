"""The verbs that train: train, resume."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gander.cli.progress import TrainingProgress, say
from gander.run import Run, find_run


def train_verb(name: str, edits: Sequence[str], directory: Path | None, as_json: bool) -> None:
    """Train a recipe with edits into a new run."""
    from gander.recipe.read import load_recipe
    from gander.training.loop import train

    recipe = load_recipe(name, edits)
    _follow(lambda progress: train(recipe, directory, progress, name), as_json)


def branch_verb(source: str, edits: Sequence[str], directory: Path | None, as_json: bool) -> None:
    """Branch a run with edits into a new one."""
    from gander.training.loop import branch

    _follow(lambda progress: branch(source, edits, directory, progress), as_json)


def resume_verb(name: str, as_json: bool) -> None:
    """Go on with a run."""
    from gander.training.loop import resume

    run = find_run(name)
    _follow(lambda progress: resume(run, progress), as_json)


def _follow(work: Callable[[TrainingProgress], Run], as_json: bool) -> None:
    speaks = os.environ.get("RANK", "0") == "0"
    with TrainingProgress(quiet=as_json or not speaks) as progress:
        run = work(progress)
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
    say(f"next    gander sample {run.path} --walk")
