"""The verbs that compare: study, compare."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gander.cli.options import Json
from gander.cli.progress import duration, say
from gander.cli.tables import add_row, make_table, print_table
from gander.errors import UsageError, did_you_mean, show
from gander.run import find_run

if TYPE_CHECKING:
    from gander.study.conduct import Forecast
    from gander.study.file import Study
    from gander.study.trials import Trial

_PLACES = ("local",)


def study(
    file: Annotated[
        Path, typer.Argument(metavar="STUDY.toml", help="Recipe, arms, seeds, length.", show_default=False)
    ],
    to: Annotated[Path, typer.Option("--to", help="The study's folder, new or begun.", show_default=False)],
    on: Annotated[str, typer.Option("--on", help="Where trials run: local.")] = "local",
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Trials at once.", show_default="as cores and memory allow"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare arms over seeds, and say which differences are real; the same command goes on.

    Example: gander study soft-labels.toml --to studies/soft-labels
    """
    from gander.launch.local import Local
    from gander.report.study import write_page
    from gander.study.conduct import Listener, conduct

    if on not in _PLACES:
        raise UsageError(f"--on {show(on)}: allowed are {', '.join(_PLACES)}{did_you_mean(on, _PLACES)}")
    more = [*(["--workers", str(workers)] if workers else []), *(["--json"] if as_json else [])]
    again = shlex.join(["gander", "study", str(file), "--to", str(to), *more])
    asked: list[Forecast] = []

    def planned(study: Study, forecast: Forecast) -> None:
        asked.append(forecast)
        if not as_json:
            _say_plan(study, forecast)

    listener = Listener(planned, (lambda *_: None) if as_json else _say_trial, write_page)
    results = conduct(file, to, Local, workers, listener, again)
    page = to / "report.html"
    if as_json:
        shows = asked[0].shows
        forecast = asdict(asked[0]) | {"shows": shows if math.isfinite(shows) else None}
        answer = {"study": str(to), "forecast": forecast, "verdicts": results.verdicts, "page": str(page)}
        say(json.dumps(answer))
        return
    print_verdicts(results.verdicts, results.study.score)
    for line in results.closing():
        say(f"note    {line}")
    say(f"page    {page}\nnext    more seeds or arms in {file}, then: {again}")


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN RUN...", help="Of two recipes or more.", show_default=False)
    ],
    score: Annotated[str, typer.Option("--score", help="That is compared.")] = "fd-judge",
    smallest: Annotated[
        float, typer.Option("--smallest", min=1e-6, help="Relative difference that matters.")
    ] = 0.03,
    as_json: Json = False,
) -> None:
    """Say which differences between runs are real; runs that differ in their seed alone are one arm."""
    from gander.study.existing import compare_runs

    compared = compare_runs([find_run(name) for name in runs], score, smallest)
    rows = [one.row() for one in compared.verdicts]
    if as_json:
        say(json.dumps(asdict(compared) | {"verdicts": rows}))
        return
    for name, of in compared.arms.items():
        values = ", ".join("diverged" if value is None else f"{value:.4g}" for value in of.values())
        say(f"{name:<40} {values}")
    print_verdicts(rows, score)
    say(f"after {compared.images:,} images; beside {next(iter(compared.arms))}")
    say("next    gander study FILE --to DIR runs more seeds; docs/studies.md says how")


def _say_plan(study: Study, forecast: Forecast) -> None:
    length = f"{study.images:,} images" if study.images else f"{duration(study.seconds or 0)}"
    arms = forecast.trials // len(study.seeds)
    say(f"study   {study.title}: {arms} arms, {len(study.seeds)} seeds, {forecast.trials} trials of {length}")
    threads = f"{forecast.threads} thread{'s' * (forecast.threads > 1)}"
    work = f"{forecast.workers} at once, each with {threads}"
    say(f"time    about {duration(forecast.seconds)} for the {forecast.left} that are left, {work}")
    known = "as it does" if forecast.measured else "which is assumed"
    varies = f"if a trial's {study.score} varies by {forecast.noise:.1%}, {known}"
    if math.isinf(forecast.shows):
        say("shows   nothing: with one seed no difference can be told")
    else:
        say(f"shows   differences under {forecast.shows:.0%} cannot be told, {varies}")
    enough = f"{forecast.seeds:,} seeds" if forecast.seeds else "more than 2,000 seeds"
    say(f"        {enough} would do for {100 * study.smallest:.3g}%, below which nothing matters")


def _say_trial(trial: Trial, row: dict[str, Any], left: int, seconds: float) -> None:
    said = f"{row['score']:.4g}" if "score" in row else row.get("error", "").partition("\n")[0]
    took = f", {duration(row['seconds'])}" if "seconds" in row else ""
    rest = f"{left} left, about {duration(seconds)}" if left else "the last"
    say(f"{trial.name:<28} {row['state']} {said}{took}; {rest}")


def print_verdicts(verdicts: Sequence[Mapping[str, Any]], score: str) -> None:
    """Print the table of what may be said."""
    table = make_table(
        "arm", "verdict", f"{score} by", "interval", "n", "wins", "failed", "seeds to settle", ""
    )
    for row in verdicts:
        effect = "" if row["effect"] is None else f"{row['effect']:+.1%}"
        interval = "" if row["low"] is None else f"{row['low']:+.1%} to {row['high']:+.1%}"
        name = f"{row['arm']} on {row['data']}" if row.get("data") else row["arm"]
        settles = str(row["seeds_to_settle"] or "")
        if row.get("hours_to_settle") is not None:
            settles += f" ({duration(3600 * row['hours_to_settle'])} more)"
        notes = "; ".join([*([row["failures"]] if row["failures"] else []), *row["notes"]])
        counts = (str(row["n"]), str(row["wins"]), str(row["failed"]))
        add_row(table, name, row["verdict"], effect, interval, *counts, settles, notes)
    print_table(table)
