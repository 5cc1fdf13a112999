"""Trials one after another and side by side, through crashes, kills and signals."""

from __future__ import annotations

import math
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gander.errors import GanderError, Interrupted
from gander.history import read_rows
from gander.launch.trial import CRASHED, DIVERGED, DONE, NO_MEMORY, STOPPED, Job, Launcher
from gander.run import Run
from gander.study.file import Arm
from gander.study.ledger import COLLAPSED, LOST, QUEUED, RUNNING, Ledger
from gander.study.trials import Trial, unfinished

FAILED = (DIVERGED, COLLAPSED)
"""Outcomes: they count, and are not tried again."""
FINAL = (DONE, *FAILED)
AGAIN = 2  # times that a trial is tried again whose worker died or had no memory
_POLL = 0.1  # seconds
_SAID = ("score", "protocol", "findings", "seconds", "memory", "error", "traceback")  # of an outcome
# The doctor's finding, and its confidence, that make a failure of a run.
_COLLAPSE, _SURE = "mode-collapse", 0.9


class Scheduler:
    """Runs what the ledger does not have.

    Args:
        folder: of the study.
        again: the command that goes on.
        heard: is told of each trial that ended.
    """

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        score: str,
        launcher: Launcher,
        again: str,
        heard: Callable[[Trial], None],
    ) -> None:
        self.folder, self.ledger, self.score, self.launcher = folder, ledger, score, launcher
        self.again, self.heard = again, heard
        self._active: dict[str, tuple[Trial, Job]] = {}
        self._died: dict[str, int] = {}
        self._crashed: dict[str, Arm] = {}
        self._crash: tuple[str, str] | None = None  # of two arms: a trial and its error

    def job(self, trial: Trial, attempt: int) -> Job:
        """Give what a launcher needs."""
        return Job(str(self.folder.absolute() / "runs" / trial.name), trial.recipe, attempt)

    def run(self, trials: Sequence[Trial]) -> None:
        """Run to the end; Interrupted by a signal, GanderError where two arms crash alike."""
        for trial in trials:  # whose end nobody wrote down, for the study itself was killed
            row = self.ledger.trial(trial.name)
            if row["state"] == RUNNING:
                self._settle(trial, self.job(trial, row["attempt"]), counted=False)
        queue = unfinished(trials, self.ledger, FINAL)
        with _signals(self.launcher) as asked:
            stopping = False
            while queue or self._active:
                if (asked or self._crash) and not stopping:
                    self.launcher.stop()
                    stopping, queue = True, []
                while queue and len(self._active) < self.launcher.workers:
                    self._start(queue.pop(0))
                time.sleep(_POLL)
                again = self._ended(counted=not stopping)
                queue = queue if stopping else [*again, *queue]
        if self._crash is not None:
            raise GanderError(
                f"two arms crash alike, and the study is stopped: {self._crash[1]}",
                hint=f"see {self.folder / 'runs' / self._crash[0]}.log, then: {self.again}",
            )
        if asked:
            left = len(unfinished(trials, self.ledger, FINAL))
            raise Interrupted(asked[0], f"stopped; {left} of {len(trials)} trials are left", hint=self.again)

    def _start(self, trial: Trial) -> None:
        attempt = self.ledger.trial(trial.name)["attempt"] + 1
        job = self.job(trial, attempt)
        self.ledger.note(trial.name, RUNNING, attempt, {"digest": trial.digest})
        self.launcher.start(job)
        self._active[job.run] = trial, job

    def _ended(self, counted: bool) -> list[Trial]:
        """Settle the trials whose workers ended, and give those that are to be tried again."""
        alive = self.launcher.running()
        ended = [self._active.pop(run) for run in [*self._active] if run not in alive]
        return [trial for trial, job in ended if self._settle(trial, job, counted)]

    def _settle(self, trial: Trial, job: Job, counted: bool) -> bool:
        """Write down how an attempt ended; say whether it is to be tried again."""
        outcome = job.outcome() or {"state": LOST, "error": "its process ended without a word"}
        again = outcome["state"] in (LOST, NO_MEMORY, STOPPED)
        if again:
            self._died[trial.name] = self._died.get(trial.name, 0) + counted
            again = self._died[trial.name] <= AGAIN
        if outcome["state"] == DONE:
            outcome |= self._scored(job)
        state = QUEUED if again else outcome["state"]
        said = {name: outcome[name] for name in _SAID if name in outcome}
        if again:
            said["ended"] = outcome["state"]
        self.ledger.note(trial.name, state, job.attempt, said | {"digest": trial.digest})
        if state == CRASHED:
            # Numbers and places differ where the fault does not.
            kind = re.sub(r"[\d.,]+", "#", outcome["error"].replace(job.run, "RUN"))
            if self._crashed.setdefault(kind, trial.arm) != trial.arm:
                self._crash = trial.name, outcome["error"]
        self.heard(trial)
        return again

    def _scored(self, job: Job) -> dict[str, Any]:
        """Read a finished run's last score and the doctor's findings; G of a single image has collapsed."""
        run, standing = Run(Path(job.run)), dict[str, Any]()
        rows = read_rows(run.metrics_file)
        value = rows[-1].get(self.score) if rows else None
        if value is None:
            return {"state": CRASHED, "error": f"the run has no {self.score}"}
        for row in read_rows(run.findings_file):
            standing[row["code"]] = None if row["gone"] or row["severity"] == "note" else row
        found = {code: row for code, row in standing.items() if row is not None}
        said: dict[str, Any] = {"findings": sorted(found)}
        if not math.isfinite(value) or value <= 0:
            return said | {"state": COLLAPSED, "error": f"{self.score} = {value:g}"}
        if _COLLAPSE in found and found[_COLLAPSE]["confidence"] >= _SURE:
            said |= {"state": COLLAPSED, "error": found[_COLLAPSE]["says"]}
        return said | {"score": value, "protocol": rows[-1]["protocol"]}


@contextmanager
def _signals(launcher: Launcher) -> Iterator[list[int]]:
    """Note the first SIGINT or SIGTERM; kill every worker at the second."""
    asked: list[int] = []

    def note(number: int, _: Any) -> None:
        if asked:
            launcher.kill()
            raise SystemExit(128 + number)
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        if launcher.running():
            launcher.kill()
        for number, handler in before.items():
            signal.signal(number, handler)
