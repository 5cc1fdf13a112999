"""The verb that looks for what is wrong before a training."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from gander.cli.options import Json
from gander.cli.progress import say
from gander.doctor.codes import codes
from gander.doctor.finding import Finding
from gander.patch import typed


def check(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped name or a .toml file.")],
    edits: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH=VALUE]...", help="Edits of the recipe.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong with a recipe and its data, and what to type; the exit code is 1 with warnings."""
    from gander.actions.check import check as find

    findings = find(recipe, edits or [])
    alarms = [finding for finding in findings if finding.alarms]
    command = _train(recipe, edits or [])
    if as_json:
        say(json.dumps({"recipe": recipe, "findings": [finding.as_dict() for finding in findings]}))
    else:
        for finding in findings:
            say("\n".join(_lines(finding, recipe, edits or [])) + "\n")
        if not alarms:
            say(f"{recipe}: {'no warning' if findings else 'nothing is wrong'} by recipe and data")
        say(f"next    {f'gander explain {alarms[0].code}' if alarms else command}")
    if alarms:
        raise typer.Exit(1)


def _train(recipe: str, edits: Sequence[str]) -> str:
    return f"gander train {shlex.quote(recipe)} {typed(edits)}".rstrip()


def _lines(finding: Finding, recipe: str, edits: Sequence[str]) -> Iterator[str]:
    sure = "" if finding.confidence == 1 else f" ({finding.confidence:.0%} sure)"
    yield f"{finding.severity:<7} {finding.code}{sure}: {finding.says}"
    for each in finding.evidence:
        yield f"  seen  {each.column} = {each.shown}; healthy: {each.healthy}"
    for word, patch in zip(["type", *["or"] * 9], finding.remedy, strict=False):
        yield f"  {word:<5} {_train(recipe, [*edits, *patch])}"
    why = codes()[finding.code].why if finding.code in codes() else ""
    yield from textwrap.wrap(why, 100, initial_indent="  why   ", subsequent_indent=" " * 8)
