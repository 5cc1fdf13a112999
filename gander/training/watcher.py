"""Who hears how a run goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gander.doctor.finding import Finding
from gander.run import Run

Row = dict[str, Any]


class Watcher:
    """Hears how a run goes, in the first process; what it does not override, it ignores.

    `stepped` and `logged` may give True, which saves the state and stops the run.
    """

    def started(self, run: Run, images: int, total: int, notes: list[str]) -> None:
        """Hear that the first step comes next; `images` are done already."""

    def stepped(self, images: int) -> bool | None:
        """Hear that a step ended."""

    def logged(self, row: Row) -> bool | None:
        """Hear a row of the log."""

    def scored(self, row: Row, best: bool) -> None:
        """Hear a row of the scores, and whether none before was better."""

    def found(self, finding: Finding) -> None:
        """Hear what the doctor sees to be wrong, once for each code."""

    def ended(self, state: str) -> None:
        """Hear that the run finished, stopped or failed."""


Callback = Callable[[Row], Any]
"""A plain function that hears each row of the log, and may give True to stop the run."""

Watching = Watcher | Callback | Sequence[Watcher | Callback] | None


class _Function(Watcher):
    def __init__(self, function: Callback) -> None:
        self._function = function

    def logged(self, row: Row) -> bool | None:
        return self._function(row) is True


def watchers(given: Watching) -> list[Watcher]:
    """Make watchers of what a caller gave: one, several, plain functions, or none."""
    if given is None:
        return []
    several = [*given] if isinstance(given, Sequence) else [given]
    # Whatever has the four methods is one, also where it inherits nothing.
    return [each if hasattr(each, "started") else _Function(each) for each in several]  # type: ignore[misc]
