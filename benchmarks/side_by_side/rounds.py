"""Time several programs side by side: in turns, in one run, so that what disturbs one disturbs all."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gander.errors import UsageError


@dataclass
class Result:
    """What one side said, and the seconds of a step in each round."""

    said: dict[str, Any]
    seconds: list[float] = field(default_factory=list)
    peak_mib: float = 0.0

    @property
    def name(self) -> str:
        """Give what the side calls itself."""
        return str(self.said["name"])

    @property
    def rates(self) -> list[float]:
        """Give the images a second of each round."""
        return [self.said["images_per_step"] / seconds for seconds in self.seconds]

    @property
    def rate(self) -> float:
        """Give the median of the rounds, in images a second."""
        return statistics.median(self.rates)

    @property
    def gflops(self) -> float:
        """Give the rate of arithmetic, in 10^9 operations a second; 0 where the side counts none."""
        return self.rate * float(self.said.get("gflop_per_image", 0))

    def times(self, other: Result) -> float:
        """Give the median, over the rounds, of how many times as fast as another side this one was."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.rates, other.rates, strict=True))


class _Side:
    def __init__(self, command: Sequence[str]) -> None:
        self._command = " ".join(command)
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, text=True
            )
        except OSError as error:
            self._complaints.close()
            raise UsageError(f"{self._command}: cannot be started: {error.strerror}") from None
        self.result = Result(self._hear("name", "images_per_step"))

    def run(self, steps: int) -> float:
        """Let it run so many steps; give the seconds of one."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        heard = self._hear("seconds")
        self.result.peak_mib = float(heard.get("peak_mib", 0.0))
        return float(heard["seconds"]) / steps

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.communicate()
        self._complaints.close()

    def _hear(self, *needed: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        with contextlib.suppress(ValueError):
            heard = json.loads(line)
            if isinstance(heard, dict) and heard.keys() >= {*needed}:
                return heard
        self._process.kill()
        self._process.wait()
        self._complaints.seek(0)
        last = (self._complaints.read().strip().splitlines() or ["nothing on stderr"])[-1]
        self.end()
        raise UsageError(
            f"{self._command}: a side says JSON with {' and '.join(needed)}, not {line.strip()!r}; {last}"
        )


def side(*words: str) -> list[str]:
    """Give the command of one of gander's own sides."""
    return [sys.executable, str(Path(__file__).with_name("side.py")), *words]


def side_by_side(commands: Sequence[Sequence[str]], rounds: int, seconds: float) -> list[Result]:
    """Run every side for about `seconds` in each of the rounds, one after another.

    Raises: UsageError where a side cannot be started, or does not speak as `side.py` does.
    """
    sides: list[_Side] = []
    try:
        for command in commands:
            sides.append(_Side(command))
        steps = [max(1, round(seconds / each.run(1))) for each in sides]
        for _ in range(rounds):
            for each, count in zip(sides, steps, strict=True):
                each.result.seconds.append(each.run(count))
    finally:
        for each in sides:
            each.end()
    return [each.result for each in sides]
