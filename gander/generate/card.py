"""The data card: what a generated data set says of itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from gander.data.origins import Pixels
from gander.generate.dataset import Order, Target
from gander.generate.sheet import contact_sheet, save_png
from gander.generate.stream import Indices, Stream
from gander.generate.template import render
from gander.recipe.shipped import parse_recipe, recipe_text
from gander.run import BEST, Run

SHEET = 100
"""Images of the contact sheet."""

_COLUMNS = 10

_GANDER = """# torch, by way of gander, which reads every format that it writes
import torch; from gander.data import open_images
images = open_images("{path}"); pixels = torch.from_numpy(images.pixels.copy())  # uint8 (N, C, S, S)"""
_OTHERS = {
    "parquet": """# pandas: columns img (PNG bytes) and label
import pandas
frame = pandas.read_parquet("{file}")
# datasets
from datasets import load_dataset
data = load_dataset("parquet", data_files="{files}", split="train")""",
    "csv": """# pandas: label, then a column a pixel value, in the order of rows, columns and colours
import pandas
frame = pandas.read_csv("{file}")""",
    "npz": """# numpy
import numpy
arrays = numpy.load("{file}"); images, labels = arrays["arr_0"], arrays.get("labels")""",
    "folder": """# datasets
from datasets import load_dataset
data = load_dataset("imagefolder", data_dir="{path}", split="train")""",
    "zip": "",
    "tar": """# webdataset
import webdataset
data = webdataset.WebDataset("{file}").decode("pil").to_tuple("png", "cls")""",
}


def loading_lines(target: Target) -> str:
    """Give the lines of Python that read a data set, from the folder that it lies in."""
    path = target.path.name
    file = target.file(0, 1)
    place = str(file) if target.is_file else f"{path}/{file}"
    lines = (_OTHERS[target.format.split(".")[0]], _GANDER)
    told = {"path": path, "file": place, "files": place.replace("00000-of-00001", "*")}
    return "\n".join(text.format(**told) for text in lines if text)


def run_facts(run: Run) -> dict[str, Any]:
    """Say where a generator comes from."""
    env = run.env()
    recipe = parse_recipe(recipe_text(str(run.recipe_file)), str(run.recipe_file))
    data = env["data"]
    return {
        "run": run.name,
        "recipe_title": recipe.get("title", ""),
        "recipe_seed": recipe.get("seed", 0),
        "generator": file_digest(run.weights_file),
        "trained_images": _trained_images(run),
        "trained_on": {
            "source": Path(data["source"]).name,
            "images": data["images"],
            "fingerprint": data["fingerprint"],
        },
    }


def _trained_images(run: Run) -> int:
    """Say how many images a generator's training had been shown."""
    if run.weights == BEST:
        scores = run.scores()
        return min(zip(scores.column("fd-judge"), scores.images, strict=True))[1] if scores.images else 0
    history = run.history()
    return history.images[-1] if history.images else 0


def file_digest(path: Path) -> str:
    """Give the sha256 of a file in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def class_counts(order: Order) -> dict[str, int]:
    """Count the images of each class that has some."""
    if order.labels is None:
        return {}
    counts = np.bincount(order.labels, minlength=len(order.about.classes)).tolist()
    return {name: count for name, count in zip(order.about.classes, counts, strict=True) if count}


def first_images(stream: Stream, order: Order, count: int) -> tuple[Pixels, Indices | None]:
    """Make the first images of a set again."""
    count = min(count, order.n)
    places = np.arange(count) if order.places is None else order.places[:count]
    pixels = np.concatenate([pixels for _, pixels in stream.at(places)])
    return pixels, None if order.labels is None else order.labels[:count]


def write_card(
    folder: Path, target: Target, told: dict[str, Any], pixels: Pixels, labels: Indices | None
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
    about = json.dumps(told, indent=2) + "\n"
    (folder / target.beside("dataset.json")).write_text(about, "utf-8")
    (folder / target.beside("README.md")).write_text(_render(told, target), "utf-8")


def _render(told: dict[str, Any], target: Target) -> str:
    beside = {
        "sheet": target.beside("sheet.png"),
        "loading": loading_lines(target),
        "size_category": _size_category(told["images"]),
    }
    return render("gander.generate", "card.md", told | beside)


def _size_category(n: int) -> str:
    """Give the class of size that the Hugging Face hub sorts by."""
    names = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for most, name in names.items() if n < most), "n>1M")
