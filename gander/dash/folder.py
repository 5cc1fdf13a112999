"""The watched folder: which runs are in it, each known by an id that is no path."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from gander.report.views import summary
from gander.run import Run

_DEEPEST = 4  # folders below the watched one, so that a study's runs are found, and a whole disk is not
_MOST = 2_000  # runs


class Folder:
    """Finds runs under a folder, again and again, and keeps what has not changed since."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._runs: dict[str, Run] = {}
        self._summaries: dict[str, tuple[Any, dict[str, Any]]] = {}

    def runs(self) -> list[dict[str, Any]]:
        """Give a row for each run, newest first."""
        found = sorted(self._found(self.path, 0), key=lambda each: each[0], reverse=True)[:_MOST]
        self._runs = {_id_of(path): Run(path) for _, path in found}
        return [self._summary(each, run) for each, run in self._runs.items()]

    def run(self, id_: str) -> Run | None:
        """Give the run of an id that was listed; None where there is none."""
        if id_ not in self._runs:
            self.runs()
        return self._runs.get(id_)

    def _found(self, folder: Path, depth: int) -> list[tuple[float, Path]]:
        """List runs with the time they began; links are not followed, for they may lead out of the folder."""
        try:
            with os.scandir(folder) as entries:
                held = {entry.name: entry for entry in entries}
        except OSError:
            return []
        recipe = held.get("recipe.toml")
        if recipe is not None and "env.json" in held:
            if any(entry.is_symlink() for entry in held.values()):
                return []  # a stranger's run could show any file that way
            return [(recipe.stat(follow_symlinks=False).st_mtime, folder)]
        if depth == _DEEPEST:
            return []
        inside = [
            folder / name
            for name, entry in held.items()
            if not name.startswith(".") and entry.is_dir(follow_symlinks=False)
        ]
        return [run for each in inside for run in self._found(each, depth + 1)]

    def _summary(self, id_: str, run: Run) -> dict[str, Any]:
        stamp = [
            _stamp(path) for path in (run.state_file, run.metrics_file, run.path / "samples", run.env_file)
        ]
        before = self._summaries.get(id_)
        # A run at work may die without a word: whether it is held is looked up each time.
        if before is None or before[0] != stamp or before[1]["state"] == "running":
            row = summary(run) | {"id": id_, "name": str(run.path.relative_to(self.path))}
            self._summaries[id_] = before = (stamp, row)
        return before[1]


def _id_of(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:12]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
