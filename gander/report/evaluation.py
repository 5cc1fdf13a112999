"""An evaluation on disk: its numbers as JSON, its pictures as PNG, and one page that shows both."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL.Image import Image

from gander.files import made_whole
from gander.pictures.charts import draw_shares
from gander.pictures.sheet import contact_sheet, encode_png
from gander.pictures.template import render
from gander.scores.table import METRICS

if TYPE_CHECKING:
    from gander.data.origins import Pixels
    from gander.scores.evaluation import Evaluation
    from gander.scores.use import Mix

_EACH = 10  # images a row
_AS_THEY_CAME = {
    True: "As they came, not chosen; a row is the class that was asked for.",
    False: "As they came, not chosen; a row is what they are taken for.",
}
_PAIRS = (
    "The images that lie nearest to a training image, by their features, each above that training image. "
    "Copies would be found here."
)

_MIXED = (
    " All classifiers take as many steps. The generator itself learned from all of its training images: "
    "this does not say what a generator of few images would add."
)


@dataclass(frozen=True)
class Picture:
    """A picture of the page."""

    name: str  # of the file, without .png
    title: str
    caption: str
    image: Image


def draw_gallery(evaluation: Evaluation) -> list[Picture]:
    """Draw some of the scored images, and the real ones that they lie nearest to."""
    from gander.scores.gallery import choose_gallery

    gallery, pixels = choose_gallery(evaluation), evaluation.samples.pixels
    reals = evaluation.reference.images.pixels
    asked = "the class asked for" if gallery.labelled else "one of its classes"
    pictures = []
    if gallery.by_class:
        grid = np.concatenate([*gallery.by_class.values()])
        caption = _AS_THEY_CAME[gallery.labelled]
        pictures.append(_picture("classes", "A row a class", caption, pixels[grid], gallery.names))
    pictures += [
        _picture("best", "Best", f"What is most surely {asked}.", pixels[gallery.best]),
        _picture("worst", "Worst", f"What is least surely {asked}.", pixels[gallery.worst]),
    ]
    fakes, nearest = gallery.pairs
    if len(fakes):
        starts = range(0, len(fakes), _EACH)
        rows = [part[start : start + _EACH] for start in starts for part in (pixels[fakes], reals[nearest])]
        names = ("scored", "training") * len(starts)
        pictures.append(_picture("nearest", "Nearest training images", _PAIRS, np.concatenate(rows), names))
    if evaluation.use is not None and evaluation.use.mix:
        pictures.append(_mix_chart(evaluation.use.mix))
    return pictures


def _mix_chart(mix: Sequence[Mix]) -> Picture:
    lines = {
        "real and generated, half of each": [point.mixed for point in mix],
        "real only": [point.real_only for point in mix],
        "generated only": [point.fakes_only for point in mix],
    }
    chart = draw_shares([point.n_real for point in mix], lines, "real images")
    return Picture("mix", "Added to real images", " ".join(f"{point}." for point in mix) + _MIXED, chart)


def _picture(name: str, title: str, caption: str, pixels: Pixels, names: Sequence[str] = ()) -> Picture:
    return Picture(name, title, caption, contact_sheet(pixels, _EACH, row_names=names))


def write_evaluation(folder: Path, evaluation: Evaluation, facts: Mapping[str, Any]) -> None:
    """Write `scores.json`, a PNG for each picture, and `page.html`, which needs no other file.

    Args:
        facts: what `scores.json` is to hold, of `evaluation.facts()`.
    Raises: UsageError where the folder is there already, StorageError where it cannot be written.
    """
    pictures, network = draw_gallery(evaluation), evaluation.reference.extractor.network
    encoded = {picture.name: encode_png(picture.image) for picture in pictures}
    with made_whole(folder) as draft:
        for name, data in encoded.items():
            (draft / f"{name}.png").write_bytes(data)
        (draft / "scores.json").write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
        sources = {name: base64.b64encode(data).decode() for name, data in encoded.items()}
        meanings = {metric.name_with(network): metric.meaning for metric in METRICS}
        values = {"answer": facts, "meanings": meanings, "pictures": pictures, "sources": sources}
        page = render("gander.report", "evaluation.html", values)
        (draft / "page.html").write_text(page, "utf-8")
