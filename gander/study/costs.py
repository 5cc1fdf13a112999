"""What an arm costs here, measured by a few steps of it, and what a study will take."""

from __future__ import annotations

import heapq
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gander.errors import GanderError, UsageError
from gander.history import read_rows
from gander.launch.trial import DIVERGED, DONE, TIMED, Job, Launcher
from gander.run import Run
from gander.study.ledger import Ledger
from gander.study.trials import Trial

_ROOM = 0.8  # of the machine's memory, for trials
_POLL = 0.1  # seconds


def usable_cores() -> int:
    """Give how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_by_memory(probes: Mapping[str, Mapping[str, Any]]) -> int:
    """Give how many trials fit into this machine's memory, by the largest that was measured; at least one."""
    room = _ROOM * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, int(room // max(probe["memory"] for probe in probes.values())))


def measure(trials: Sequence[Trial], folder: Path, launcher: Launcher, ledger: Ledger, score: str) -> None:
    """Run a few steps and one score of each arm, as many at once as trials will run; note what they cost.

    Raises: UsageError where an arm cannot be trained, or does not have the score.
    """
    place = folder / ".probe"
    waiting = [(trial, Job(str(place.absolute() / trial.arm.folder), trial.recipe)) for trial in trials]
    active: dict[str, tuple[Trial, Job]] = {}
    shutil.rmtree(place, ignore_errors=True)
    try:
        while waiting or active:
            while waiting and len(active) < launcher.workers:
                trial, job = waiting.pop(0)
                launcher.start(job)
                active[job.run] = trial, job
            time.sleep(_POLL)
            alive = launcher.running()
            for run in [run for run in active if run not in alive]:
                trial, job = active.pop(run)
                ledger.append("probe", {"arm": trial.arm.folder, **_cost(trial, job, score)})
    finally:
        launcher.kill()
        shutil.rmtree(place, ignore_errors=True)


def _cost(trial: Trial, job: Job, score: str) -> dict[str, Any]:
    outcome, name = job.outcome(), trial.arm.folder
    if outcome is None:
        raise GanderError(
            f'arm "{name}": its process died after {TIMED} steps or fewer', hint="dmesg says why"
        )
    if outcome["state"] not in (DONE, DIVERGED):
        raise UsageError(f'arm "{name}" cannot be trained: {outcome.get("error", outcome["state"])}')
    rows = read_rows(Run(Path(job.run)).metrics_file)
    if outcome["state"] == DONE and (not rows or score not in rows[-1]):
        has = ", ".join(key for key in rows[-1] if "/" not in key and key != "protocol") if rows else ""
        why = f"it has: {has}" if rows else "; ".join(outcome["notes"])
        raise UsageError(f'score = "{score}": arm "{name}" does not have it: {why}')
    speed = outcome["speed"] or 1.0
    images = read_rows(Run(Path(job.run)).log_file)[-1]["images"] if outcome["state"] == DONE else 0
    return {
        "speed": round(speed, 2),  # images a second
        "fixed": round(
            max(outcome["seconds"] - images / speed, 0.0), 2
        ),  # seconds: the start, one score, the end
        "score_took": outcome["score_took"],
        "memory": outcome["memory"],
    }


def seconds_of(probe: Mapping[str, Any], images: int, scores: int) -> float:
    """Give what a trial of so many images will take."""
    return float(probe["fixed"] + images / probe["speed"] + (scores - 1) * probe["score_took"])


def seconds_in_all(trials: Sequence[float], workers: int) -> float:
    """Give what trials of such lengths take, begun in this order, so many at once."""
    ends = [0.0] * workers
    for seconds in trials:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)
