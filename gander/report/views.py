"""What the page shows of a run, as plain data: read from the run's files, without torch."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gander.errors import GanderError
from gander.history import History, parse_row, read_rows
from gander.recipe.shipped import recipe_text, recipe_tree
from gander.run import Run, in_use

_LARGEST = 64 << 20
"""Bytes of a file that are read at most: a run may be a stranger's."""


def summary(run: Run) -> dict[str, Any]:
    """Give a row of the list: what can be read without the log."""
    row: dict[str, Any] = {"name": run.name, "title": "", "data": "", "images": 0, "total": 0, "problem": ""}
    row |= {"began": "", "scores": [], "floor": None, "sheets": []}
    try:
        env, state, scores = run.env(), run.state(), read_rows(run.metrics_file)
        return row | {
            "title": str(recipe_tree(str(run.recipe_file)).get("title", "")),
            "data": Path(str(env["data"]["source"])).name,
            "images": max(run.trained_images(), int(state.get("images", 0))),
            "total": int(env["images_total"]),
            "began": str(env["started"]),
            "state": "running" if in_use(run) else str(state["state"]),
            "scores": [
                [each["images"], each["fd-judge"]] for each in scores if _finite(each.get("fd-judge"))
            ],
            "floor": next((each.get("fd-judge/floor") for each in reversed(scores)), None),
            "sheets": [sheet_images(sheet) for sheet in run.sheets()],
        }
    except (GanderError, KeyError, TypeError, ValueError, OSError) as error:  # it must not hide the others
        return row | {"state": "damaged", "problem": str(error)[:500]}


def view(run: Run) -> dict[str, Any]:
    """Give all but the log and the pictures: state, recipe and its edits, scores, findings, data, machine."""
    seen = summary(run)
    try:
        return seen if seen["state"] == "damaged" else seen | _details(run)
    except (GanderError, KeyError, TypeError, ValueError, OSError) as error:
        return seen | {"state": "damaged", "problem": str(error)[:500]}


def _details(run: Run) -> dict[str, Any]:
    env, recipe = run.env(), recipe_tree(str(run.recipe_file))
    kept = {name: env[name] for name in sorted(env) if isinstance(env[name], str | int | float | bool)}
    return {
        "place": str(run.path),
        "error": str(run.state().get("error", "")),
        "recipe": recipe_text(str(run.recipe_file)),
        "settings": dict(_settings(recipe)),
        "columns": columns(History(read_rows(run.metrics_file))),
        "findings": run.findings(),
        "facts": {**env.get("data", {}), "classes": ", ".join(map(str, env["data"].get("classes", ())))},
        "machine": kept,
    }


def log_after(run: Run, after: int) -> dict[str, Any]:
    """Give the columns of the log's whole rows from byte `after` on, and where to go on from."""
    try:
        with run.log_file.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            after = after if 0 <= after <= size else 0  # the log was cut: a resumed run begins anew there
            file.seek(after)
            content = file.read(_LARGEST)
    except FileNotFoundError:
        return {"after": 0, "size": 0, "columns": {}}
    whole = content[: content.rfind(b"\n") + 1]
    history = History(_rows(whole.splitlines()))
    return {"after": after + len(whole), "began": after, "columns": columns(history)}


def columns(history: Mapping[str, list[Any]]) -> dict[str, list[float | int | None]]:
    """Give a history's columns as JSON can hold them: five digits, and null where there is no number."""
    return {
        name: [*values] if name == "images" else [_short(value) for value in values]
        for name, values in history.items()
    }


def sheet_images(sheet: Path) -> int:
    """Tell how many images had been shown when a sheet was drawn."""
    return int(sheet.stem.removeprefix("images-"))


def _settings(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Give every setting of a recipe under its dotted path, as text, so that two can be set side by side."""
    if isinstance(tree, Mapping) and tree:
        for name, value in tree.items():
            yield from _settings(value, f"{path}.{name}" if path else str(name))
    else:
        yield path, json.dumps(tree, default=str)


def _rows(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for row in map(parse_row, lines):
        if row is not None and isinstance(row.get("images"), int):
            yield row  # the page shows what can be read; `gander resume` names a damaged line


def _short(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
