"""How a training shows itself: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gander.doctor.finding import Finding
from gander.doctor.telling import line
from gander.errors import printable
from gander.run import Run
from gander.scores.table import METRICS
from gander.training.watcher import Watcher

if TYPE_CHECKING:
    from rich.progress import Progress

_EVERY_SECONDS = 5.0  # at the most, between plain lines


def say(text: str) -> None:
    """Print a line; when nobody reads any more, go on without."""
    try:
        print(printable(text), flush=True)  # names in it may be a stranger's
    except BrokenPipeError:
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115 - lives as long as the process


def say_next(*words: object) -> None:
    """Print the next sensible command, as it is typed in a shell."""
    say(f"next    {shlex.join(['gander', *map(str, words)])}")


class TrainingProgress(Watcher):
    """Shows losses, D(real), D(fake), images a second and time left; a context manager."""

    def __init__(self) -> None:
        self._live: Progress | None = None
        self._run, self._tried = Run(Path()), set[str]()
        self._shown_at = -math.inf
        self._began = 0.0
        self._start = self._total = 0

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def started(self, run: Run, images: int, total: int, notes: list[str]) -> None:
        """Name the run and begin."""
        self._run = run
        self._began, self._start, self._total = time.monotonic(), images, total
        for note in notes:
            say(note)
        done = f", going on after {images:,}" if images else ""
        if images >= total:
            place = shlex.quote(str(run.path))
            done = f", finished; gander resume {place} train.images={2 * total} goes further"
        say(f"run {run.path}: {total:,} images{done}")
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            # The numbers come first: on a narrow terminal it is the bar that gives way.
            columns = (TextColumn("{task.percentage:3.0f}% {task.description}"), BarColumn(None))
            self._live = Progress(*columns, console=Console(highlight=False), expand=True)
            self._task = self._live.add_task("", total=total, completed=images)
            self._live.start()

    def stepped(self, images: int) -> None:
        """Move the bar."""
        if self._live is not None:
            self._live.update(self._task, completed=images)

    def logged(self, row: dict[str, Any]) -> None:
        """Show a row's numbers."""
        text = describe(row, self._left(row["images"]))
        if self._live is not None:
            self._live.update(self._task, description=text)
        elif time.monotonic() - self._shown_at >= _EVERY_SECONDS or row["images"] >= self._total:
            self._shown_at = time.monotonic()
            say(f"{row['images']:>11,} / {self._total:,}  {text}")

    def scored(self, row: dict[str, Any], best: bool) -> None:
        """Show the scores, each with its floor."""
        shown = [metric.name for metric in METRICS if metric.in_progress]
        parts = [f"{name} {row[name]:.3g} ({row[f'{name}/floor']:.3g})" for name in shown if name in row]
        text = "  ".join(parts) + ("  best so far" if best else "")
        n = row["protocol"]["n_fake"]
        say(f"{row['images']:>11,} scores  {text}  of {n:,} images")  # a live line lets it pass above itself

    def found(self, finding: Finding) -> None:
        """Show what is wrong, with what to type where that is new."""
        cause = (finding.causes or (finding.code,))[0]
        say(f"{finding.since:>11,} {line(finding, self._run, again=cause in self._tried)}")
        self._tried.add(cause)

    def _left(self, images: int) -> str:
        done = images - self._start
        seconds = (time.monotonic() - self._began) / max(done, 1) * (self._total - images)
        if images < self._total:
            return f"{duration(seconds)} left"
        return f"took {duration(time.monotonic() - self._began)}"


def duration(seconds: float) -> str:
    """Write a time span for a person: 9 s, 2 min 05 s, 3 h 20 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def describe(row: dict[str, Any], left: str) -> str:
    """Write a row of the log in one line."""
    parts = [
        f"loss D {row.get('loss/d', math.nan):.3f} G {row.get('loss/g', math.nan):.3f}",
        f"D(real) {row.get('score/real', math.nan):+.2f} D(fake) {row.get('score/fake', math.nan):+.2f}",
        f"{row['speed/images_per_second']:,.0f} images/s",
        left,
    ]
    return "  ".join([str(row["class"]), *parts] if "class" in row else parts)
