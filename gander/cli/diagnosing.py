"""The verb that diagnoses a run."""

from __future__ import annotations

import json

import typer

from gander.cli.options import Json, RunName
from gander.cli.progress import say
from gander.doctor.telling import lines
from gander.run import find_run


def diagnose(run: RunName, as_json: Json = False) -> None:
    """Say what is wrong with a run, how sure, why, and what to type; the exit code is 1 with warnings."""
    from gander.actions.diagnose import diagnose as find

    place = find_run(run)
    findings = find(place)
    if as_json:
        said = [finding.as_dict() | {"alarms": finding.alarms} for finding in findings]
        say(json.dumps({"run": str(place.path), "findings": said}))
    else:
        for finding in findings:
            say("\n".join(lines(finding, place)) + "\n")
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
