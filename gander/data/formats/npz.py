"""NumPy's archives of plain arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gander.data.formats.format import EPOCH, Batch, Layout, WrittenFormat
from gander.data.origins import Contents, Origin, Pixels, array_contents, damaged, joined
from gander.errors import DataError

_IMAGE_KEYS = ("images", "x_{split}", "arr_0")
_LABEL_KEYS = ("labels", "y_{split}", "arr_1")


class Npz(WrittenFormat):
    """`images`, x_train or arr_0, `labels`, y_train or arr_1, and `classes`; arr_0 is what is written."""

    reads = "an .npz"
    suffixes = (".npz",)
    names = ("npz",)
    about = "`arr_0` (N, S, S, C), `labels`, `classes`"
    png = False
    loading = Path(__file__).with_suffix(".md").read_text("utf-8")

    def origin(self, root: Path, files: list[Path], split: str) -> Origin:
        kind = f"npz {split}"
        return joined(root, [Origin(root, (file,), kind, partial(_read, file, split)) for file in files])

    def bytes_each(self, layout: Layout) -> int:
        return layout.values + 16

    def write(self, path: Path, batches: Iterator[Batch], layout: Layout, first: bool) -> None:
        whole: list[Batch] = [*batches]
        arrays = {"pixels": np.concatenate([batch.pixels for batch in whole])}
        for name in ("labels", "confidence"):
            values = [getattr(batch, name) for batch in whole]
            if values[0] is not None:
                arrays[name] = np.concatenate(values)
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def join(self, parts: list[Path], path: Path, layout: Layout) -> None:
        small: dict[str, list[Any]] = {"labels": [], "confidence": []}
        count = 0
        for part in parts:
            with np.load(part) as arrays:
                for name, values in small.items():
                    values += [arrays[name]] if name in arrays else []
                count += arrays["pixels"].shape[0]
        channels, height, width = layout.shape
        shape = (count, height, width) + ((channels,) if channels > 1 else ())
        with zipfile.ZipFile(path, "w") as archive:
            with archive.open(zipfile.ZipInfo("arr_0.npy", EPOCH), "w", force_zip64=True) as file:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for part in parts:  # a part in memory at a time
                    with np.load(part) as arrays:
                        file.write(np.ascontiguousarray(arrays["pixels"].transpose(0, 2, 3, 1)).data)
                    part.unlink()
            named = {name: np.concatenate(values) for name, values in small.items() if values}
            if layout.classes:
                named["classes"] = np.array(layout.classes)
            for name, array in named.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy", EPOCH), "w") as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)


def _read(path: Path, split: str) -> Contents:
    with damaged(path), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        wanted, wanted_labels = (
            [key.format(split=split) for key in keys] for keys in (_IMAGE_KEYS, _LABEL_KEYS)
        )
        image_key = next((key for key in wanted if key in archive), None)
        label_key = next((key for key in wanted_labels if key in archive), None)
        if image_key is None:
            raise DataError(f"{path}: no array {', '.join(wanted)}; it has: {', '.join(archive) or 'none'}")
        images = _channels_last(archive[image_key], f"{path}, {image_key}")
        labels = archive[label_key] if label_key else None
        classes = tuple(str(name) for name in archive["classes"]) if "classes" in archive else ()
    return array_contents(path.name, images, labels, classes)


def _channels_last(images: npt.NDArray[Any], place: str) -> Pixels:
    """Return pixels as (N, H, W, C), from (N, H, W), (N, H, W, C) or (N, C, H, W)."""
    if images.dtype != np.uint8:
        raise DataError(f"{place}: {images.dtype} values; allowed is uint8, 0 to 255")
    if images.ndim == 3:
        return images[..., None]
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return images
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images.transpose(0, 2, 3, 1)
    allowed = "(N, H, W), (N, H, W, C) and (N, C, H, W), with C 1 or 3"
    raise DataError(f"{place}: shape {images.shape}; allowed are {allowed}")
