"""How far a long work is: a line that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_EVERY_SECONDS = 30.0  # between plain lines


@contextmanager
def progress(
    title: str, total: int | None, unit: str = "images", quiet: bool = False
) -> Iterator[Callable[..., object]]:
    """Show on stderr how much of `total` is done.

    Gives a function that takes the count done since its last call and, where it has changed, the total.
    """
    if quiet:
        yield lambda count, total=None: None
        return
    if not sys.stderr.isatty():
        yield _Plain(title, total, unit).advance
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count, total=None: bar.update(task, advance=count, total=total)


class _Plain:
    def __init__(self, title: str, total: int | None, unit: str) -> None:
        self._title, self._total, self._unit, self._done = title, total, unit, 0
        self._say("...")

    def _say(self, how_far: str) -> None:
        self._said_at = time.monotonic()
        total = f"{self._total:,} " if self._total else ""
        print(f"{self._title}: {total}{self._unit} {how_far}", file=sys.stderr, flush=True)

    def advance(self, count: int, total: int | None = None) -> None:
        self._done, self._total = self._done + count, total or self._total
        if time.monotonic() - self._said_at >= _EVERY_SECONDS:
            self._say(f"({self._done:,} done)")
