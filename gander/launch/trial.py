"""One trial, wherever it runs: a run, begun or gone on with, and a file beside it of what became of it."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gander.errors import GanderError, Interrupted, NumericsError
from gander.files import one_at_a_time, write_whole
from gander.run import Run
from gander.training.watcher import Watcher

DONE, DIVERGED, STOPPED, CRASHED, NO_MEMORY = "done", "diverged", "stopped", "crashed", "out of memory"
WARM, TIMED = 8, 32  # steps that are not timed, and the last one that is


@dataclass(frozen=True)
class Job:
    """A trial to run.

    Args:
        run: its directory, where all processes of the study can write.
        recipe: resolved, as TOML.
        attempt: of this trial, from 1.
    """

    run: str
    recipe: str
    attempt: int = 1

    @property
    def outcome_file(self) -> Path:
        """What became of it; a run directory holds nothing but the run."""
        return Path(f"{self.run}.json")

    def outcome(self) -> dict[str, Any] | None:
        """Read what became of this attempt; None while it is not known."""
        try:
            read: dict[str, Any] = json.loads(self.outcome_file.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return read if read.get("attempt") == self.attempt else None


class Launcher(Protocol):
    """Where trials run. All that is known of a trial is in its files: a launcher only starts and watches."""

    workers: int
    """Trials at once."""

    def start(self, job: Job) -> None:
        """Begin a trial, and return at once."""

    def running(self) -> set[str]:
        """Name the runs of the jobs whose workers are alive."""

    def stop(self) -> None:
        """Ask every worker to save and end."""

    def kill(self) -> None:
        """End every worker at once."""


@dataclass
class _Follower(Watcher):
    """Ends the run when whoever started it is gone, and times the first steps."""

    parent: int
    steps: list[tuple[float, int]] = field(default_factory=list)
    took: float = 0.0
    notes: list[str] = field(default_factory=list)

    def started(self, run: Run, images: int, total: int, notes: list[str]) -> None:
        self.notes = notes

    def stepped(self, images: int) -> bool:
        if len(self.steps) < TIMED:
            self.steps.append((time.monotonic(), images))
        return os.getppid() != self.parent

    def scored(self, row: dict[str, Any], best: bool) -> None:
        self.took = row["took"]

    def speed(self) -> float | None:
        """Give images a second, without the last step, which may have had chores."""
        if len(self.steps) < WARM + 3:
            return None
        (began, first), (ended, last) = self.steps[WARM], self.steps[-2]
        return (last - first) / max(ended - began, 1e-9)


def run_trial(job: Job, parent: int) -> None:
    """Begin or go on with a trial, and write what became of it.

    Args:
        parent: the process that started this one; when it is gone, the run is saved and ends.
    """
    began, follower = time.monotonic(), _Follower(parent)
    outcome: dict[str, Any] = {"attempt": job.attempt}
    # A worker whose study was killed may still be saving this run.
    with one_at_a_time(Path(f"{job.run}.lock")):
        try:
            _train(job, follower)
            outcome["state"] = DONE
        except Interrupted:
            outcome["state"] = STOPPED
        except NumericsError as error:
            outcome |= {"state": DIVERGED, "error": str(error)}
        except Exception as error:
            outcome |= _failure(error)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        took = time.monotonic() - began
        outcome |= {"seconds": round(took, 2), "memory": peak, "notes": follower.notes}
        outcome |= {"speed": follower.speed(), "score_took": follower.took}
        write_whole(job.outcome_file, json.dumps(outcome).encode() + b"\n")


def _train(job: Job, follower: _Follower) -> None:
    from gander.recipe.schema import build_recipe
    from gander.recipe.shipped import parse_recipe
    from gander.training import loop

    if (Path(job.run) / "recipe.toml").is_file():
        loop.resume(job.run, follower)
    else:
        loop.train(build_recipe(parse_recipe(job.recipe, job.run)), job.run, follower)


def _failure(error: Exception) -> dict[str, Any]:
    from torch import OutOfMemoryError

    causes = (error, error.__context__)
    if any(isinstance(each, OutOfMemoryError | MemoryError) for each in causes) or "allocate memory" in str(
        error
    ):
        return {"state": NO_MEMORY, "error": str(error)}
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = "" if isinstance(error, GanderError) else f" ({Path(last.filename).name}, line {last.lineno})"
    said = f"{type(error).__name__}: {error}"[:2000]
    return {"state": CRASHED, "error": said + where, "traceback": traceback.format_exc()[-8000:]}


def main() -> None:
    """Run the job that stands on the standard input, as a process of its own."""
    given = json.load(sys.stdin)
    run_trial(Job(**given["job"]), given["parent"])


if __name__ == "__main__":
    main()
