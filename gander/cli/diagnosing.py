"""The verb that diagnoses a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from gander.cli.options import Json, RunName
from gander.cli.progress import say
from gander.doctor.telling import by_cause
from gander.run import find_run


def diagnose(
    run: RunName,
    experiments: Annotated[
        bool, typer.Option("--examine", help="Make small experiments on the newest checkpoint, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what is wrong with a run, how sure, why, and what to type; the exit code is 1 with warnings."""
    from gander.actions.diagnose import diagnose as find

    place = find_run(run)
    made, known = [], None
    if experiments:
        from gander.actions.examine import examine, log_odds_of

        made = examine(place)
        known = log_odds_of(made)
    findings = find(place, known)
    if as_json:
        said = [finding.as_dict() | {"alarms": finding.alarms} for finding in findings]
        told = {"experiments": [asdict(each) for each in made]} if experiments else {}
        say(json.dumps({"run": str(place.path), "findings": said} | told))
    else:
        for line in by_cause(findings, place):
            say(line)
        for each in made:
            say(f"examined {each.says}")
        alarms = [finding for finding in findings if finding.alarms]
        if not alarms:
            say(f"{place.path}: nothing is wrong that the doctor knows")
        say(
            f"next    gander explain {findings[0].code}"
            if findings
            else f"next    gander evaluate {place.path}"
        )
    if any(finding.alarms for finding in findings):
        raise typer.Exit(1)
