"""The verb that scores: evaluate."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gander.cli.progress import duration, say
from gander.cli.tables import make_table, print_table
from gander.errors import UsageError
from gander.files import check_free
from gander.run import Run, runs_root

if TYPE_CHECKING:
    from gander.scores.evaluation import Evaluation


@dataclass(frozen=True)
class Options:
    """What was asked of `gander evaluate` beside its subject."""

    against: str | None
    n: int | None
    seed: int
    use: bool
    quick: bool
    inception: Path | None
    to: Path | None


def evaluate_verb(subject: str, options: Options, as_json: bool) -> None:
    """Score what a run makes, or a data set, against real images; write numbers, pictures and a page."""
    from gander.actions.evaluate import evaluate, find_subject
    from gander.report.evaluation import write_evaluation

    if options.quick and not options.use:
        raise UsageError("--quick: shortens --use, which is not asked for", hint="--use --quick")
    run = find_subject(subject)
    folder = _folder(run, subject, options.to)
    evaluation = evaluate(
        run or subject,
        options.against,
        options.n,
        options.seed,
        "quick" if options.quick else options.use,
        options.inception,
        os.environ.get("GANDER_DEVICE", "auto"),
        (lambda line: None) if as_json else say,
    )
    facts = evaluation.facts(command=shlex.join(["gander", *sys.argv[1:]]))
    try:
        write_evaluation(folder, evaluation, facts)
    finally:  # numbers that took long are shown even where the disk is full
        if as_json:
            say(json.dumps({"folder": str(folder), **facts}))
        else:
            _show(evaluation, facts)
    if not as_json:
        say(f"page    {folder / 'page.html'}")
        say(f"scores  {folder / 'scores.json'}")
        say(f"next    gander sample {run.path}" if run else f"next    gander data {subject}")


def _folder(run: Run | None, subject: str, to: Path | None) -> Path:
    """Say where the answer goes, before any work: nothing is overwritten."""
    if to is not None:
        check_free(to)
        return to
    stem = run.path / "evaluation" if run else runs_root() / f"evaluation-{Path(subject).name}"
    names = (Path(f"{stem}-{number}") for number in itertools.count(1))
    return next(folder for folder in names if not folder.exists())


def _show(evaluation: Evaluation, facts: dict[str, Any]) -> None:
    table = make_table("score", "value", "95 %", "floor", "")
    for score in evaluation.scores:
        interval = "" if score.low is None else f"{score.low:.4g} to {score.high:.4g}"
        floor = "" if score.floor is None else f"{score.floor:.4g}"
        table.add_row(score.name, f"{score.value:.4g}", interval, floor, score.verdict)
    print_table(table)
    protocol = evaluation.protocol
    made = f"{protocol.n_fake:,} images of {facts['subject']} ({protocol.weights})"
    say(f"{made}, {protocol.n_real:,} of {facts['data']};")
    judge = f", right on {facts['judge']['accuracy']:.1%} of held-out images" if facts["judge"] else ""
    seconds = duration(evaluation.seconds)
    made_by = f"{protocol.features}{judge}; scores of version {protocol.version}"
    say(f"{made_by}; {protocol.split}; seed {protocol.seed}; {seconds}.")
    say("The floor is what real images get; the interval, 95 %, is for the mean over other draws of images.")
    for caveat in evaluation.caveats:
        say(f"note    {caveat}")
    if evaluation.use is not None:
        say(f"use     {evaluation.use.sentence}")
