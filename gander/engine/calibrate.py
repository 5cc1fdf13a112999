"""Choose what is fast by trying it: a few seconds once, remembered by machine and net."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Self

from gander.engine.machine import CHOICES, Machine
from gander.errors import GanderError
from gander.files import write_whole

Speed = Callable[[Machine], float]
"""Runs one training step as a machine says; gives images a second."""

_GAIN = {"precision": 1.1, "compiled": 1.1, "memory": 1.08, "threads": 1.3}
"""How many times as fast as the usual another choice must be, beside winning every round. Half of the threads
win for a second wherever a neighbour takes a core, so they must win by more than that."""
_ROUNDS, _LEAST_ROUNDS = 5, 3
_SECONDS = 1.5  # after these, no further round
_BUSY = 0.15  # share of the CPU time that others had; above it, a result is not worth keeping
_BUSY_GAIN = 1.25  # times the above


@dataclass(frozen=True)
class Calibration:
    """What was measured: images a second by machine, the median of a few rounds; and what was chosen."""

    chosen: dict[str, Any]
    speeds: dict[str, float]
    seconds: float
    busy: float

    @property
    def quiet(self) -> bool:
        """Tell whether the machine was left alone enough for the result to be kept."""
        return self.busy <= _BUSY

    def apply(self, machine: Machine) -> Machine:
        """Give the machine with the choices of this calibration, in use."""
        machine = replace(machine, **self.chosen)
        machine.use()
        return machine

    def followed_by(self, other: Calibration) -> Calibration:
        """Give what another, which began with what this one chose, makes of both."""
        return Calibration(
            other.chosen,
            self.speeds | other.speeds,
            round(self.seconds + other.seconds, 2),
            max(self.busy, other.busy),
        )

    def save(self, path: Path) -> None:
        """Remember it, whole or not at all; a cache that cannot be written is no error."""
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Recall it; None where there is none, or none that can be read."""
        try:
            found = cls(**json.loads(path.read_text()))
            return found if set(found.chosen) == set(CHOICES) else None
        except (OSError, ValueError, TypeError):
            return None


def calibrate(machine: Machine, others: Mapping[str, tuple[Any, ...]], trial: Speed) -> Calibration:
    """Try the other values of one choice after another, in interleaved rounds, and keep the fastest.

    What cannot be run here is as slow as can be; the machine given is taken to run.
    """
    began, busy = time.monotonic(), _Busy()
    speeds: dict[str, float] = {}
    for choice, values in others.items():
        rivals = [machine, *(replace(machine, **{choice: value}) for value in values)]
        rounds = _interleaved(rivals, trial, _SECONDS / len(others))
        speeds |= {str(rival): round(median(own), 1) for rival, own in rounds.items()}
        # A round's speeds are compared with each other: what disturbs one rival disturbs its neighbour.
        gains = {
            rival: [theirs / max(ours, 1e-9) for theirs, ours in zip(own, rounds[machine], strict=True)]
            for rival, own in rounds.items()
        }
        fastest = max(rivals, key=lambda rival: median(gains[rival]))
        needed = _GAIN[choice] * (_BUSY_GAIN if busy.share() > _BUSY else 1)
        if median(gains[fastest]) > needed and min(gains[fastest]) > 1:
            machine = fastest
    machine.use()
    chosen = {choice: getattr(machine, choice) for choice in CHOICES}
    return Calibration(chosen, speeds, round(time.monotonic() - began, 2), round(busy.share(), 3))


def _interleaved(rivals: Sequence[Machine], trial: Speed, seconds: float) -> dict[Machine, list[float]]:
    for rival in rivals:
        _speed(trial, rival)  # the first time, much is set up
    ends = time.monotonic() + seconds
    rounds: dict[Machine, list[float]] = {rival: [] for rival in rivals}
    for number in range(_ROUNDS):
        if number < _LEAST_ROUNDS or time.monotonic() < ends:
            for rival in rivals:
                rounds[rival].append(_speed(trial, rival))
    return rounds


def _speed(trial: Speed, machine: Machine) -> float:
    machine.use()
    try:
        return trial(machine)
    except (RuntimeError, GanderError):  # no kernel, no compiler, no memory, no finite numbers
        return 0.0


class _Busy:
    """How much of the CPU time, since it was made, went to others: processes, or guests of the same host."""

    _STAT = Path("/proc/stat")

    def __init__(self) -> None:
        self._before = self._read()

    def share(self) -> float:
        """Give it, from 0 to 1; 0 where the system does not say."""
        own, used, total = (now - then for now, then in zip(self._read(), self._before, strict=True))
        own *= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # its peers are no others
        return max(0.0, used - own) / total if total > 0 else 0.0

    def _read(self) -> tuple[float, float, float]:
        """Give the seconds of this process, of all that was not idle, and of everything."""
        if not self._STAT.exists():
            return 0.0, 0.0, 0.0
        ticks = self._STAT.read_text().splitlines()[0].split()[1:9]
        seconds = [int(count) / os.sysconf("SC_CLK_TCK") for count in ticks]
        return time.process_time(), sum(seconds) - sum(seconds[3:5]), sum(seconds)
