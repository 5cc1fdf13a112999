"""A finding as a person reads it: what was seen, how sure, what to type, what would prove it wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gander.doctor.codes import codes
from gander.doctor.finding import Finding
from gander.patch import typed
from gander.run import Run


def command(finding: Finding, run: Run, patch: tuple[str, ...]) -> str:
    """Give what to type: a branch at the last state from before the finding, or a training anew."""
    good = [images for images in run.saved_images() if images < finding.since]
    source = f"--from {run.path}@{good[-1]}" if good else str(run.recipe_file)
    return f"gander train {source} {typed(patch)}"


def line(finding: Finding, run: Run, again: bool = False) -> str:
    """Write a finding in one line, with its likeliest cause, and with its first remedy where that is new."""
    cause = f"; likely {finding.causes[0]}" if finding.causes and finding.causes[0] != finding.code else ""
    tries = f"; try: {command(finding, run, finding.remedy[0])}" if finding.remedy and not again else ""
    return f"{finding.severity}  {finding.code} ({finding.confidence:.0%} sure): {finding.says}{cause}{tries}"


def by_cause(findings: Sequence[Finding], run: Run) -> Iterator[str]:
    """Write findings; those that the same cause explains follow the first of them in a line each."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        cause = finding.causes[0] if finding.causes and finding.alarms else finding.code
        groups.setdefault(cause, []).append(finding)
    for first, *others in groups.values():
        yield from lines(first, run)
        for each in others:
            yield f"  also    {each.code}, {each.confidence:.0%} sure, {_since(each)}: {each.says}"
        yield ""


def lines(finding: Finding, run: Run) -> Iterator[str]:
    """Write all of a finding."""
    yield f"{finding.severity}  {finding.code}, {finding.confidence:.0%} sure, {_since(finding)}"
    yield f"  {finding.says}"
    if finding.code in codes():
        yield f"  means   {codes()[finding.code].title}. {codes()[finding.code].why}"
    for each in finding.evidence:
        yield f"  seen    {each.column} {each.shown} (healthy: {each.healthy})"
    if finding.causes and finding.causes != (finding.code,):
        yield f"  likely  {', then '.join(finding.causes)}"
    elif not finding.causes and finding.alarms:
        yield "  likely  the cause is unknown: nothing in the log speaks for one more than for the others"
    for word, patch in zip(["try", *["or"] * 9], finding.remedy, strict=False):
        yield f"  {word:<6}  {command(finding, run, patch)}"
    if finding.prediction:
        yield f"  wrong   if this does not follow: {finding.prediction}"
    if finding.unknown:
        yield f"  unknown {', '.join(finding.unknown)}"


def _since(finding: Finding) -> str:
    return f"since {finding.since:,} images" if finding.since else "from the start"
