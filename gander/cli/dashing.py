"""The verbs of the page: report, dash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gander.cli.options import Json
from gander.cli.progress import say
from gander.errors import UsageError
from gander.run import find_run, runs_root


def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...|STUDY", help="One to four runs, or a study.")],
    to: Annotated[Path | None, typer.Option("--to", help="The file.", show_default="RUN/report.html")] = None,
    as_json: Json = False,
) -> None:
    """Freeze the page of one or several runs into one HTML file, to share or to keep; renew a study's."""
    from gander.report.frozen import report as freeze
    from gander.report.study import write_page
    from gander.study.ledger import FILE as LEDGER
    from gander.study.results import last_look

    if len(runs) == 1 and (Path(runs[0]) / LEDGER).is_file():
        path = write_page(last_look(Path(runs[0])))
        say(json.dumps({"report": str(path)}) if as_json else f"report  {path}")
        return
    found = [find_run(name) for name in runs]
    if len(found) > 4:
        raise UsageError(f"{len(found)} runs: a page shows one to four side by side")
    path = freeze(found, to)
    say(json.dumps({"report": str(path)}) if as_json else f"report  {path}\nnext    open it in a browser")


def dash(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A folder of runs.", show_default="runs/")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")] = 0,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Look only: start and stop nothing.")
    ] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in the browser.")] = True,
) -> None:
    """Watch a folder of runs in the browser, while they train and afterwards."""
    from gander.dash.serving import serve

    place = folder or runs_root()
    if folder is not None and not place.is_dir():
        raise UsageError(f"{place}: there is no such folder", hint="gander dash runs")
    serve(place, host, port, read_only, browser)
