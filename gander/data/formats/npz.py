"""NumPy's archives of plain arrays."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gander.data.formats.columns import choose_column, ignoring
from gander.data.formats.format import Batch, Layout, WrittenFormat
from gander.data.origins import Contents, Pixels, array_entries
from gander.errors import DataError

_IMAGE_KEYS = ("images", "x_{split}", "{split}_images", "arr_0", "image", "x", "pixels", "data")
_LABEL_KEYS = ("labels", "y_{split}", "{split}_labels", "arr_1", "label", "y", "target", "targets")
_OTHER_SPLITS = re.compile("train|test|val", re.IGNORECASE)


class Npz(WrittenFormat):
    """`images`, x_train, train_images, X ..., `labels`, y_train ..., `classes`; arr_0 is what is written."""

    reads = "an .npz"
    suffixes = (".npz",)
    names = ("npz",)
    about = "`arr_0` (N, S, S, C), `labels`, `classes`"
    png = False
    splits = True
    columns = True
    loading = Path(__file__).with_suffix(".md").read_text("utf-8")

    def read(self, path: Path, name: str, split: str) -> Contents:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            there = [*archive]
            keys = [[key.format(split=split) for key in known] for known in (_IMAGE_KEYS, _LABEL_KEYS)]
            image = choose_column(there, self.image, (), "image") or _first(there, keys[0])
            label = choose_column(there, self.label, (), "label") or _first(there, keys[1])
            if not image:
                raise ValueError(f"no array {', '.join(keys[0])}; it has: {', '.join(there) or 'none'}")
            images, labels = _channels_last(archive[image], image), archive[label] if label else None
            classes = tuple(str(name) for name in archive["classes"]) if "classes" in archive else ()
            others = {*there} - {image, label, "classes"}
            notes = ignoring([key for key in there if key in others and not _OTHER_SPLITS.search(key)])
        entries = array_entries(name, images, labels)
        return Contents(entries, labels is not None, classes, len(images), notes)

    def bytes_each(self, layout: Layout) -> int:
        return layout.values + 16

    def write(self, path: Path, batches: Iterator[Batch], layout: Layout) -> None:
        whole = [*batches]
        pixels = np.concatenate([batch.images.transpose(0, 2, 3, 1) for batch in whole])
        arrays = {"arr_0": pixels if layout.shape[0] > 1 else pixels[..., 0]}
        for name in ("labels", "confidence"):
            if getattr(whole[0], name) is not None:
                arrays[name] = np.concatenate([getattr(batch, name) for batch in whole])
        if layout.classes:
            arrays["classes"] = np.array(layout.classes)
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]


def _first(there: Sequence[str], keys: Sequence[str]) -> str:
    lower = {name.lower(): name for name in reversed(there)}
    return next((lower[key] for key in keys if key in lower), "")


def _channels_last(images: npt.NDArray[Any], key: str) -> Pixels:
    """Return pixels as (N, H, W, C), from (N, H, W), (N, H, W, C) or (N, C, H, W)."""
    if images.dtype != np.uint8:
        raise DataError(f"{key}: {images.dtype} values; allowed is uint8, 0 to 255{_converting(images, key)}")
    if images.ndim == 3:
        return images[..., None]
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return images
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images.transpose(0, 2, 3, 1)
    allowed = "(N, H, W), (N, H, W, C) and (N, C, H, W), with C 1 or 3"
    raise ValueError(f"{key}: shape {images.shape}; allowed are {allowed}")


def _converting(images: npt.NDArray[Any], key: str) -> str:
    """Give the line of Python that makes bytes of numbers, by where they lie; "" where they are none."""
    if images.dtype.kind not in "iuf" or not images.size:
        return ""
    low, high = images.min(), images.max()
    ranges = {f"({key} * 255)": (0, 1), f"({key} * 127.5 + 127.5)": (-1, 1), key: (0, 255)}
    fits = (line for line, (least, most) in ranges.items() if least <= low and high <= most)
    line = next(fits, f"(({key} - {low:g}) * 255 / {high - low:g})")
    return f'; these lie in {low:g} to {high:g}: {line}.round().astype("uint8")'
