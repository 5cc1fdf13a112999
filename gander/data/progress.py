"""A progress line on stderr: moving on a terminal, plain elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PLAIN_SECONDS = 10.0
"""How often a plain line is written."""


@contextmanager
def progress(title: str, total: int | None, unit: str = "images") -> Iterator[Callable[[int], None]]:
    """Show how much of `total` is done; gives a function that takes the count done since its last call."""
    if sys.stderr.isatty():
        with _moving(title, total) as advance:
            yield advance
        return
    done, spoken = 0, time.monotonic()
    whole = "" if total is None else f" of {total:,}"

    def advance_plainly(count: int) -> None:
        nonlocal done, spoken
        done += count
        if time.monotonic() - spoken >= PLAIN_SECONDS:
            spoken = time.monotonic()
            print(f"{title}: {done:,}{whole} {unit}", file=sys.stderr, flush=True)

    yield advance_plainly
    print(f"{title}: {done:,} {unit}, done", file=sys.stderr, flush=True)


@contextmanager
def _moving(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)
