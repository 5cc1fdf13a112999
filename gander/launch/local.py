"""Trials as processes on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from gander.launch.trial import Job


class Local:
    """Starts each trial as a process of a session of its own, which Ctrl-C does not reach but by `stop`."""

    def __init__(self, workers: int, threads: int) -> None:
        self.workers, self._threads = workers, threads
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, job: Job) -> None:
        Path(job.run).parent.mkdir(parents=True, exist_ok=True)
        with open(f"{job.run}.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gander.launch.trial"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"OMP_NUM_THREADS": str(self._threads)},
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as given:
            given.write(json.dumps({"job": asdict(job), "parent": os.getpid()}).encode())
        self._processes[job.run] = process

    def running(self) -> set[str]:
        self._processes = {run: each for run, each in self._processes.items() if each.poll() is None}
        return {*self._processes}

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        for run in self.running():
            with suppress(ProcessLookupError):
                os.killpg(self._processes[run].pid, number)
