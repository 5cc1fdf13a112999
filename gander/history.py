"""Read the append-only JSON-lines files of a run, and look at them as columns over the clock."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gander.errors import StorageError


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read one object a line; a torn last line is left out, for its writer may still be at work or have died.

    A file that is not there yet has no rows.

    Raises: StorageError that names the first damaged line before the last.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror})") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        row = _row(line)
        if row is not None:
            rows.append(row)
        elif number < len(lines):
            raise StorageError(
                f"{path}, line {number}: is not a JSON object: {line[:60].decode(errors='replace')!r}",
                hint="open the file in an editor, and mend or delete that line",
            )
    return rows


def best_of(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Give the first row with the least fd-judge, of those that were made as the last one was."""
    same = [row for row in rows if row["protocol"] == rows[-1]["protocol"]]
    return min(same, key=lambda row: row["fd-judge"], default=None)


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


class History:
    """The rows of a log as columns of numbers, all as long as `images`."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows = [row for row in rows if "images" in row]
        self.images = [int(row["images"]) for row in self._rows]

    @property
    def names(self) -> list[str]:
        """List the columns that hold a number anywhere, in the order of first sight."""
        names = {name: None for row in self._rows for name, value in row.items() if _is_number(value)}
        return [name for name in names if name != "images"]

    def column(self, name: str) -> list[float]:
        """Give one number a row; nan where the row has none under this name."""
        return [float(row[name]) if _is_number(row.get(name)) else math.nan for row in self._rows]

    def last(self, name: str) -> float:
        """Give the newest finite number of a column; nan where there is none."""
        return next((value for value in reversed(self.column(name)) if math.isfinite(value)), math.nan)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
