"""What a study planned and tried: one object a line, only ever added to, the truth after any interruption."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gander.files import append_row, cut_rows, disk_refusals, sync
from gander.history import read_rows

QUEUED, RUNNING, LOST, COLLAPSED = "queued", "running", "lost", "collapsed"
FILE = "ledger.jsonl"
Row = Mapping[str, Any]


class Ledger:
    """The rows of a study; of each trial the last one counts.

    An `event` is plan (what was asked for), probe (what an arm costs), trial (its `state`) or look (verdicts
    were read).
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        self.rows: list[Row] = [*read_rows(self.file)]
        self._trials = {row["trial"]: row for row in self.rows if row["event"] == "trial"}

    def mend(self) -> None:
        """Drop a line that a kill tore, so that the next one is not joined to it."""
        with disk_refusals(self.file):
            if self.file.exists() and not self.file.read_bytes().endswith(b"\n"):
                with self.file.open("ab") as file:
                    file.write(b"\n")
            cut_rows(self.file, len(self.rows))

    def append(self, event: str, more: Row) -> None:
        """Add a row."""
        row = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "event": event, **more}
        with disk_refusals(self.file):
            append_row(self.file, row)
            sync(self.file)
        self.rows.append(row)
        if event == "trial":
            self._trials[row["trial"]] = row

    def note(self, trial: str, state: str, attempt: int, more: Row) -> None:
        """Say where a trial stands, and which process says so."""
        lease = {"host": platform.node(), "pid": os.getpid()}
        self.append("trial", {"trial": trial, "state": state, "attempt": attempt, **lease, **more})

    def of(self, event: str) -> list[Row]:
        """Give the rows of a kind, oldest first."""
        return [row for row in self.rows if row["event"] == event]

    def trial(self, name: str) -> Row:
        """Give the last row of a trial; one that was never begun is queued."""
        return self._trials.get(name, {"trial": name, "state": QUEUED, "attempt": 0})

    def spent(self, name: str) -> float:
        """Give the seconds that all attempts of a trial took."""
        return sum(row.get("seconds", 0.0) for row in self.of("trial") if row["trial"] == name)

    def probes(self) -> dict[str, Row]:
        """Give what each arm costs, by its folder."""
        return {row["arm"]: row for row in self.of("probe")}
