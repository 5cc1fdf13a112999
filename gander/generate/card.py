"""The data card: what a generated data set says of itself."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from gander.data.names import NAMED, SHAPES
from gander.data.origins import Pixels
from gander.generate.dataset import Order, Target
from gander.generate.stream import Indices, Stream
from gander.generate.writers import About
from gander.pictures.sheet import contact_sheet, save_png
from gander.pictures.template import render
from gander.recipe.shipped import recipe_tree
from gander.run import Run

SHEET = 100
"""Images of the contact sheet."""

_COLUMNS = 10


def run_facts(run: Run) -> dict[str, Any]:
    """Say where a generator comes from."""
    env = run.env()
    recipe = recipe_tree(str(run.recipe_file))
    data = env["data"]
    return {
        "run": run.name,
        "recipe_title": recipe.get("title", ""),
        "recipe_seed": recipe.get("seed", 0),
        "generator": file_digest(run.weights_file),
        "trained_images": run.trained_images(),
        "trained_on": {
            "source": Path(data["source"]).name,
            "images": data["images"],
            "fingerprint": data["fingerprint"],
        },
    }


def file_digest(path: Path) -> str:
    """Give the sha256 of a file in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def first_images(stream: Stream, order: Order, count: int) -> tuple[Pixels, Indices | None]:
    """Make the first images of a set again."""
    count = min(count, order.n)
    places = np.arange(count) if order.places is None else order.places[:count]
    pixels = np.concatenate([pixels for _, pixels in stream.at(places)])
    return pixels, None if order.labels is None else order.labels[:count]


def write_card(
    folder: Path,
    target: Target,
    about: About,
    told: dict[str, Any],
    pixels: Pixels,
    labels: Indices | None,
) -> None:
    """Write `README.md`, `dataset.json` and a contact sheet, class by class where each has a row."""
    if labels is not None:
        by_class = np.argsort(labels, kind="stable")
        pixels, labels = pixels[by_class], labels[by_class]
    names: tuple[str, ...] = ()
    if labels is not None and len(labels) == SHEET:
        rows = labels.reshape(-1, _COLUMNS)
        if (rows == rows[:, :1]).all():
            names = tuple(told["classes"][label] for label in rows[:, 0])
    sheet = contact_sheet(pixels, min(_COLUMNS, len(pixels)), row_names=names)
    save_png(sheet, folder / target.beside("sheet.png"))
    (folder / target.beside("dataset.json")).write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    (folder / target.beside("README.md")).write_text(_render(told, target, about), "utf-8")


def _render(told: dict[str, Any], target: Target, about: About) -> str:
    files, source, license = told["files"], told["trained_on"]["source"], told["license"]
    last = f"{len(files) - 1:05d}"
    beside = {
        "sheet": target.beside("sheet.png"),
        "size_category": _size_category(told["images"]),
        "license": license if re.fullmatch(r"[\w.+-]*", license) else json.dumps(license),
        "against": source if source in (*NAMED, SHAPES) else "DATA",
        "kind": target.format.split(".")[0],
        "path": target.path.name,
        "first": files[0],
        "several": len(files) > 1,
        "every": re.sub(r"\d{5}(?=-of-)", "*", files[0]),
        "shards": re.sub(r"\d{5}(?=-of-)", f"{{00000..{last}}}" if len(files) > 1 else last, files[0]),
        "channels": about.shape[0],
        "size": about.shape[1],
    }
    return render("gander.generate", "card.md", told | beside)


def _size_category(n: int) -> str:
    """Give the class of size that the Hugging Face hub sorts by."""
    steps = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    place = max(0, min(len(str(n)) - 3, len(steps) - 1))
    return f"{steps[place - 1]}<n<{steps[place]}" if place else "n<1K"
