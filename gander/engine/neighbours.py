"""Give threads up while other processes keep the cores busy.

The threads of one operation wait for each other. Where one of them shares its core, all run at its pace, and
the switching between them makes two threads on two cores three to ten times as slow beside one busy process;
one thread is as fast as ever.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from pathlib import Path

import torch

_WINDOW = 0.5  # seconds
_CALM = 10  # windows: so long must the cores be free before a thread comes back
_BUSY = 0.5  # of a core that others use, in the mean of a window

_STAT = Path("/proc/stat")

_log = logging.getLogger("gander")


class Neighbours:
    """Sets how many of `most` threads torch computes with."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._wanted: deque[int] = deque(maxlen=_CALM)
        self._since, self._before = time.monotonic(), _seconds()

    def heed(self) -> None:
        """Look what others used, twice a second at most; give way at once, return late."""
        passed = time.monotonic() - self._since
        if passed < _WINDOW:
            return
        now = _seconds()
        own, used = now[0] - self._before[0], now[1] - self._before[1]
        self._since, self._before = self._since + passed, now
        others = max(0.0, used - own) / passed
        self._wanted.append(max(1, self.most - math.ceil(others - _BUSY)))
        threads, before = min(self._wanted), torch.get_num_threads()
        if threads != before:
            torch.set_num_threads(threads)
            why = "others use the cores" if threads < before else "the cores are free again"
            _log.info("engine  %d of %d threads: %s", threads, self.most, why)


_watched: Neighbours | None = None  # one a process, as torch's count of threads is


def watch(most: int | None) -> None:
    """Begin with `most` threads, or, with None, leave threads alone from now on."""
    global _watched
    _watched = Neighbours(most) if most is not None and most > 1 and _STAT.exists() else None


def heed() -> None:
    """Do it between two steps of any work."""
    if _watched is not None:
        _watched.heed()


def _seconds() -> tuple[float, float]:
    """Give the CPU seconds of this process, and of everybody on the cores that it may use."""
    own = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    lines = [line.split() for line in _STAT.read_text().splitlines() if line.partition(" ")[0] in own]
    ticks = sum(
        int(count) for _, *counts in lines for place, count in enumerate(counts[:8]) if place not in (3, 4)
    )
    return time.process_time(), ticks / os.sysconf("SC_CLK_TCK")  # without idle, and idle waiting for a disk
