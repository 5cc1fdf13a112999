"""Read the append-only JSON-lines files of a run, and look at them as columns over the clock."""

from __future__ import annotations

import hashlib
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
    rows = [parse_row(line) for line in lines]
    if rows and rows[-1] is None:
        rows.pop()
    for number, row in enumerate(rows, start=1):
        if row is None:
            raise StorageError(
                f"{path}, line {number}: is not a JSON object: "
                f"{lines[number - 1][:60].decode(errors='replace')!r}",
                hint="open the file in an editor, and mend or delete that line",
            )
    return [row for row in rows if row is not None]


def best_of(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Give the first row with the least fd-judge, of those that were made as the last one was."""
    same = [row for row in rows if row["protocol"] == rows[-1]["protocol"]]
    return min(same, key=lambda row: row["fd-judge"], default=None)


def chained(digest: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """Hash rows that follow those of `digest`, but for what the clock decides in them."""
    for row in rows:
        kept = {name: row[name] for name in row if not name.startswith(("seconds", "took", "speed/"))}
        digest = hashlib.sha256((digest + json.dumps(kept, sort_keys=True)).encode()).hexdigest()
    return digest


def parse_row(line: bytes) -> dict[str, Any] | None:
    """Read one object; None where the line is none."""
    try:
        row = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


class History(dict[str, list[float]]):
    """A log as columns of equal length: `images`, the clock, then what holds a number in any row.

    A missing number is nan. `pandas.DataFrame(history)` takes it as it is, which it does of no other mapping.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self.images: list[int] = []
        super().__init__(images=self.images)  # type: ignore[arg-type]
        for row in rows:
            self.append(row)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row of the log; one without a clock is no part of a history."""
        if "images" not in row:
            return
        for name, value in row.items():
            if name != "images" and _is_number(value):
                self.setdefault(name, [math.nan] * len(self.images)).append(float(value))
        self.images.append(int(row["images"]))
        for column in self.values():
            if len(column) < len(self.images):
                column.append(math.nan)

    def __repr__(self) -> str:
        span = f" to {self.images[-1]:,} images" if self.images else ""
        last = ", ".join(f"{name} {self.last(name):.3g}" for name in self.names)
        return f"History of {len(self.images):,} rows{span}" + (f"; last {last}" if last else "")

    @property
    def names(self) -> list[str]:
        """The columns beside the clock, in the order of first sight."""
        return [name for name in self if name != "images"]

    def column(self, name: str) -> list[float]:
        """Give a column; all nan where no row has a number under this name."""
        return self.get(name, [math.nan] * len(self.images))

    def last(self, name: str) -> float:
        """Give the newest finite number of a column; nan where there is none."""
        values = reversed(self.get(name, []))
        return next((value for value in values if math.isfinite(value)), math.nan)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
