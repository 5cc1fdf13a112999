"""NumPy's archives of plain arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gander.data.formats.format import Batch, Layout, WrittenFormat
from gander.data.origins import Contents, Pixels, array_entries

_IMAGE_KEYS = ("images", "x_{split}", "arr_0")
_LABEL_KEYS = ("labels", "y_{split}", "arr_1")


class Npz(WrittenFormat):
    """`images`, x_train or arr_0, `labels`, y_train or arr_1, and `classes`; arr_0 is what is written."""

    reads = "an .npz"
    suffixes = (".npz",)
    names = ("npz",)
    about = "`arr_0` (N, S, S, C), `labels`, `classes`"
    png = False
    splits = True
    loading = Path(__file__).with_suffix(".md").read_text("utf-8")

    def read(self, path: Path, name: str, split: str) -> Contents:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            keys = [key.format(split=split) for key in _IMAGE_KEYS]
            image_key = next((key for key in keys if key in archive), None)
            if image_key is None:
                raise ValueError(f"no array {', '.join(keys)}; it has: {', '.join(archive) or 'none'}")
            images = _channels_last(archive[image_key], image_key)
            label_keys = (key.format(split=split) for key in _LABEL_KEYS)
            labels = next((archive[key] for key in label_keys if key in archive), None)
            classes = tuple(str(name) for name in archive["classes"]) if "classes" in archive else ()
        return Contents(array_entries(name, images, labels), labels is not None, classes, len(images))

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


def _channels_last(images: npt.NDArray[Any], key: str) -> Pixels:
    """Return pixels as (N, H, W, C), from (N, H, W), (N, H, W, C) or (N, C, H, W)."""
    if images.dtype != np.uint8:
        raise ValueError(f"{key}: {images.dtype} values; allowed is uint8, 0 to 255")
    if images.ndim == 3:
        return images[..., None]
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return images
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images.transpose(0, 2, 3, 1)
    allowed = "(N, H, W), (N, H, W, C) and (N, C, H, W), with C 1 or 3"
    raise ValueError(f"{key}: shape {images.shape}; allowed are {allowed}")
