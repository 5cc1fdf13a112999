"""The verb that scores: evaluate."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gander.cli.options import Json
from gander.cli.progress import duration, say, say_next
from gander.cli.tables import add_row, make_table, print_table
from gander.errors import UsageError
from gander.files import check_free
from gander.run import Run, runs_root

if TYPE_CHECKING:
    from gander.scores.evaluation import Evaluation


def evaluate(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="RUN|IMAGES",
            help="A run (RUN/best.safetensors: its best generator), or a data set by name or path.",
            show_default=False,
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="DATA", help="Real images.", show_default="the run's own"),
    ] = None,
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="How many images.", show_default="10000, if there are")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of latents and samples.")] = 0,
    use: Annotated[
        bool, typer.Option("--use", help="Train a classifier on these images, test it on real ones.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="With --use: a fifth of the training.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="With --use: new images in each epoch.")] = False,
    mix: Annotated[bool, typer.Option("--mix", help="With --use: what they add to real images.")] = False,
    inception: Annotated[
        Path | None,
        typer.Option(
            "--inception", metavar="FILE", help="FID, KID: Inception's weights; 'download' fetches them."
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="The new folder.", show_default="RUN/evaluation-N")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score images beside real ones: a table, and numbers, pictures and a page in a new folder."""
    from gander.actions import evaluate as scores
    from gander.report.evaluation import write_evaluation

    _check_use(use, quick, fresh, mix)
    run = scores.find_subject(subject)
    folder = _folder(run, subject, to)
    device, report = os.environ.get("GANDER_DEVICE", "auto"), (lambda line: None) if as_json else say
    evaluation = scores.evaluate(
        run or subject, against, n, seed, "quick" if quick else use, inception, device, report, fresh, mix
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
        say(f"page    {folder / 'page.html'}\nscores  {folder / 'scores.json'}")
        say_next(*(("sample", run.path) if run else ("data", subject)))


def _check_use(use: bool, quick: bool, fresh: bool, mix: bool) -> None:
    options = {"--quick: shortens": quick, "--fresh: changes": fresh, "--mix: adds to": mix}
    for option, given in options.items():
        if given and not use:
            hint = f"--use {option.partition(':')[0]}"
            raise UsageError(f"{option} --use, which is not asked for", hint=hint)


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
        add_row(table, score.name, f"{score.value:.4g}", interval, floor, score.verdict)
    print_table(table)
    protocol = evaluation.protocol
    made = f"{protocol.n_fake:,} images of {facts['subject']} ({protocol.weights})"
    say(f"{made}, {protocol.n_real:,} of {facts['data']};")
    judge = f", right on {facts['judge']['accuracy']:.1%} of held-out images" if facts["judge"] else ""
    seconds = duration(evaluation.seconds)
    ancestry = "; ancestry unknown" if evaluation.ancestry == "unknown" else ""
    made_by = f"{protocol.features}{judge}{ancestry}; scores of version {protocol.version}"
    say(f"{made_by}; {protocol.split}; seed {protocol.seed}; {seconds}.")
    say("The floor is what real images get; the interval, 95 %, is for the mean over other draws of images.")
    for caveat in evaluation.caveats:
        say(f"note    {caveat}")
    if (use := evaluation.use) is not None:
        say(f"use     {use.sentence}")
        table = make_table("class", "learned from these", "learned from real", "from real, on these")
        for row in use.row()["classes"]:
            shares = (row[key] for key in ("from_these", "from_real", "on_these"))
            add_row(table, row["name"], *("" if share is None else f"{share:.1%}" for share in shares))
        print_table(table)
        for point in use.mix:
            say(f"mix     {point}")
