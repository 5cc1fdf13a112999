"""A finding as a person reads it: what was seen, how sure, what to type, what would prove it wrong."""

from __future__ import annotations

from collections.abc import Iterator

from gander.doctor.codes import codes
from gander.doctor.finding import Finding
from gander.patch import parse_patch, show_patch
from gander.run import Run


def command(finding: Finding, run: Run, patch: tuple[str, ...]) -> str:
    """Give what to type: a branch at the last state from before the finding, or a training anew."""
    saved = [int(folder.name.removeprefix("images-")) for folder in run.saved()]
    good = [images for images in saved if images < finding.since]
    source = f"--from {run.path}@{good[-1]}" if good else str(run.recipe_file)
    return f"gander train {source} {show_patch(parse_patch(patch))}"


def line(finding: Finding, run: Run) -> str:
    """Write a finding in one line, with its first remedy."""
    tries = f"; try: {command(finding, run, finding.remedy[0])}" if finding.remedy else ""
    return f"{finding.severity}  {finding.code} ({finding.confidence:.0%} sure): {finding.says}{tries}"


def lines(finding: Finding, run: Run) -> Iterator[str]:
    """Write all of a finding."""
    since = f"since {finding.since:,} images" if finding.since else "from the start"
    yield f"{finding.severity}  {finding.code}, {finding.confidence:.0%} sure, {since}"
    yield f"  {finding.says}"
    if finding.code in codes():
        yield f"  means   {codes()[finding.code].title}. {codes()[finding.code].why}"
    for each in finding.evidence:
        value = f"{each.value:.3g}" if isinstance(each.value, float) else each.value
        yield f"  seen    {each.column} {value} (healthy: {each.healthy})"
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
