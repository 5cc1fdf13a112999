"""The page of runs frozen into one HTML file, which opens from disk and asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image

from gander.files import check_folder, check_free, disk_refusals, write_whole
from gander.pictures.template import render
from gander.report.views import log_after, sheet_images, view
from gander.run import Run

MOST_SHEETS = 12
MOST_ROWS = 1_200
_LARGEST_SIDE = 1_280  # pixels of a sheet, so that the file stays below 6 MB


def report(runs: Sequence[Run], to: Path | None = None) -> Path:
    """Write one self-contained HTML file of one to four runs; None renews `report.html` of the first.

    Raises: UsageError where the place is taken, StorageError where it cannot be written.
    """
    if to is None:
        to = runs[0].path / "report.html"
    else:
        check_free(to)
        check_folder(to)
    frozen = {"runs": [_frozen(run, str(number)) for number, run in enumerate(runs)]}
    with disk_refusals(to):
        write_whole(to, page(frozen).encode())
    return to


def page(frozen: dict[str, Any] | None = None) -> str:
    """Give the page: with what is frozen into it and all it needs, or for a server that has the rest."""
    files = resources.files("gander.report").joinpath("page")
    if frozen is None:
        return render("gander.report", "page/page.html", {"inline": None})
    parts = {
        name: files.joinpath(name).read_text("utf-8")
        for name in ("page.css", "uplot.css", "uplot.js", "page.js")
    }
    # What a run's files say is text: it must not be able to end the element that it stands in.
    data = (
        json.dumps(frozen, allow_nan=False)
        .replace("<", "\\u003c")
        .replace("\u2028", "")
        .replace("\u2029", "")
    )
    scripts = [parts["uplot.js"], parts["page.js"]]
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    style = parts["uplot.css"] + parts["page.css"]
    return render(
        "gander.report",
        "page/page.html",
        {"inline": {"data": data, "scripts": scripts, "style": style, "hashes": hashes}},
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _frozen(run: Run, number: str) -> dict[str, Any]:
    seen = view(run) | {"id": number}
    sheets = spread(run.sheets(), MOST_SHEETS)
    seen["sheets"] = [sheet_images(sheet) for sheet in sheets]
    seen["pictures"] = {str(sheet_images(sheet)): _picture(sheet) for sheet in sheets}
    if run.reals_file.is_file():
        seen["pictures"]["reals"] = _picture(run.reals_file)
    seen["log"] = thinned(log_after(run, 0)["columns"])
    return seen


def spread(sheets: Sequence[Path], most: int) -> list[Path]:
    """Choose some of a run's sheets, the first and the last among them, closer to one another early on."""
    if len(sheets) <= most:
        return [*sheets]
    places = [0]
    for step in range(1, most):
        places.append(max(places[-1] + 1, round(len(sheets) ** (step / (most - 1))) - 1))
    return [sheets[place] for place in places]


def thinned(columns: dict[str, list[Any]], most: int = MOST_ROWS) -> dict[str, list[Any]]:
    """Average neighbouring rows until at most `most` are left; the clock is that of the last of them."""
    rows = len(columns.get("images", ()))
    size = -(-rows // most) if rows else 1
    groups = [slice(start, start + size) for start in range(0, rows, size)]
    return {
        name: [values[group][-1] if name == "images" else _mean(values[group]) for group in groups]
        for name, values in columns.items()
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(f"{sum(known) / len(known):.5g}") if known else None


def _picture(path: Path) -> str:
    with Image.open(path) as file:
        image = file.convert("RGB")
    if max(image.size) > _LARGEST_SIDE:
        scale = _LARGEST_SIDE / max(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "webp", quality=80)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
