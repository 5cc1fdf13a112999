"""A gander command in a process of its own: how long it takes, and the most memory that it holds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import NamedTuple


class Cost(NamedTuple):
    """What a command took."""

    seconds: float
    peak_mb: float


def cost_of(*words: object) -> Cost:
    """Run `gander WORDS`; SystemExit where it fails."""
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "gander", *map(str, words)], stdout=subprocess.DEVNULL
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"gander {words[0]} ended with {process.returncode}")
    return Cost(time.perf_counter() - began, usage.ru_maxrss / 1e3)
