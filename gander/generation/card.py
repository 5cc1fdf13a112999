"""The data card: what a generated data set says of itself."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gander.data.images import Images
from gander.data.names import NAMED, SHAPES
from gander.data.origins import Pixels
from gander.errors import DataError
from gander.files import file_digest
from gander.generation.ancestry import Ancestry, each_once, find_independent_judge, of_judge
from gander.generation.stream import Indices
from gander.generation.target import Target
from gander.pictures.sheet import contact_sheet, encode_png
from gander.pictures.template import render, render_text
from gander.recipe.read import read_recipe
from gander.recipe.schema import Recipe
from gander.recipe.write import portable_toml
from gander.run import Run
from gander.scores.evaluation import LEAST, Reference, Samples, score_samples
from gander.scores.judge import Judge

_SHEET, _COLUMNS = 100, 10  # images


def run_facts(run: Run, chosen_by: Judge | None = None) -> dict[str, Any]:
    """Return where a generator comes from, and what images descend from that a judge chose among its own."""
    data, recipe = run.env()["data"], read_recipe(run)
    source, images, digest = Path(data["source"]).name, run.trained_images(), file_digest(run.weights_file)
    own = {"kind": "run", "source": run.name, "digest": digest, "images": images}
    judges = [of_judge(chosen_by)] if chosen_by else []
    return {
        "run": run.name,
        "recipe_title": recipe.title,
        "recipe_seed": recipe.seed,
        "generator": digest,
        "trained_images": images,
        "trained_on": {"source": source, "images": data["images"], "fingerprint": data["fingerprint"]},
        "ancestry": each_once([own, *run.ancestry(), *judges]),
    }


def score_card(judge: Judge, images: Images, ancestry: Ancestry, made: Samples, seed: int) -> dict[str, Any]:
    """Score generated images, the labels of which are the real images' classes, if any.

    Where the judge is one of their ancestors, another one does it, or none.
    """
    n = min(len(made.pixels), len(images) // 2)
    try:
        if n < LEAST:
            raise DataError(f"scores need at least {LEAST} images")
        judge, note = find_independent_judge(images, ancestry, judge.device)
    except DataError as error:
        unscored = "; ".join(filter(None, [error.problems[0], error.hint]))
        unscored = unscored.replace(images.source, Path(images.source).name)
        return {"scores": [], "caveats": [], "unscored": unscored}
    first = replace(made, pixels=made.pixels[:n], labels=None if made.labels is None else made.labels[:n])
    evaluation = score_samples(first, Reference(images, judge, n, seed, whole=False))
    rows = [score.row(digits=6) for score in evaluation.scores]
    return {"scores": rows, "caveats": [*evaluation.caveats, *filter(None, [note])], "unscored": ""}


def write_card(
    folder: Path,
    target: Target,
    facts: dict[str, Any],
    recipe: Recipe,
    pixels: Pixels,
    labels: Indices | None,
) -> None:
    """Write the page, its facts, the recipe, and a contact sheet, class by class where each has a row.

    Args:
        folder: where.
        facts: what `dataset.json` holds.
        pixels, labels: the first images and, with classes, what they show.
    """
    pixels, labels = pixels[:_SHEET], None if labels is None else labels[:_SHEET]
    if labels is not None:
        by_class = np.argsort(labels, kind="stable")
        pixels, labels = pixels[by_class], labels[by_class]
    names: tuple[str, ...] = ()
    if labels is not None and len(labels) == _SHEET:
        rows = labels.reshape(-1, _COLUMNS)
        if (rows == rows[:, :1]).all():
            names = tuple(facts["classes"][label] for label in rows[:, 0])
    sheet = contact_sheet(pixels, min(_COLUMNS, len(pixels)), row_names=names)
    (folder / target.card_file("sheet.png")).write_bytes(encode_png(sheet))
    texts = {
        "dataset.json": json.dumps(facts, indent=2) + "\n",
        "README.md": _page(facts, target),
        "recipe.toml": portable_toml(recipe),
    }
    for name, text in texts.items():
        (folder / target.card_file(name)).write_text(text, "utf-8")


def _page(facts: dict[str, Any], target: Target) -> str:
    files, source, license = facts["files"], facts["trained_on"]["source"], facts["license"]
    last = f"{len(files) - 1:05d}"
    values = facts | {
        "sheet": target.card_file("sheet.png"),
        "size_category": _size_category(facts["images"]),
        "license": license if re.fullmatch(r"[\w.+-]*", license) else json.dumps(license),
        "against": source if source in (*NAMED, SHAPES) else "DATA",
        "path": target.path.name,
        "first": files[0],
        "several": len(files) > 1,
        "every": re.sub(r"\d{5}(?=-of-)", "*", files[0]),
        "shards": re.sub(r"\d{5}(?=-of-)", f"{{00000..{last}}}" if len(files) > 1 else last, files[0]),
        "channels": facts["shape"][0],
        "size": facts["shape"][1],
    }
    values["loading"] = render_text(target.format.loading, values).rstrip()
    return render("gander.generation", "card.md", values)


def _size_category(n: int) -> str:
    """Return the class of size that the Hugging Face hub sorts by."""
    steps = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    place = max(0, min(len(str(n)) - 3, len(steps) - 1))
    return f"{steps[place - 1]}<n<{steps[place]}" if place else "n<1K"
