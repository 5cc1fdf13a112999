"""A progress line on stderr: moving on a terminal, plain elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(title: str, total: int | None, unit: str = "images") -> Iterator[Callable[[int], None]]:
    """Show how much of `total` is done; gives a function that takes the count done since its last call."""
    if not sys.stderr.isatty():
        print(f"{title}: {'' if total is None else f'{total:,} '}{unit} ...", file=sys.stderr, flush=True)
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)
