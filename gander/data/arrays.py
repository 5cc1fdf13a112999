"""Files of plain arrays: NumPy .npz, and the IDX files of MNIST and its kin."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gander.data.origins import Contents, Entry, Origin, Pixels, damaged, unreadable
from gander.errors import DataError

IMAGE_KEYS = ("images", "x_{split}", "arr_0")
LABEL_KEYS = ("labels", "y_{split}", "arr_1")

IDX_WORDS = {"train": "train", "test": "t10k"}
IDX_UINT8 = 8
MOST_BYTES = 16 << 30


def npz_origin(path: Path, split: str) -> Origin:
    """Read the arrays `images` (or x_train, arr_0), `labels` (or y_train, arr_1) and `classes` of a file."""
    return Origin(path.parent, (path,), f"npz {split}", lambda: _read_npz(path, split))


def _read_npz(path: Path, split: str) -> Contents:
    with damaged(path), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        wanted, wanted_labels = (
            [key.format(split=split) for key in keys] for keys in (IMAGE_KEYS, LABEL_KEYS)
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
    """Give pixels as (N, H, W, C), from (N, H, W), (N, H, W, C) or (N, C, H, W)."""
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


def array_contents(
    file: str, images: Pixels, labels: npt.NDArray[Any] | None, classes: tuple[str, ...] = ()
) -> Contents:
    """Give images (N, H, W, C) and labels (N,), or (N, 1) as some save them."""
    if labels is not None and labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    entries = array_entries(file, images, [None] * len(images) if labels is None else labels)
    return Contents(entries, labels is not None, classes, len(images))


def array_entries(file: str, images: Pixels, labels: Sequence[Any] | npt.NDArray[Any]) -> Iterator[Entry]:
    """Pair images (N, H, W, C) with labels (N,)."""
    if len(images) != len(labels):
        yield unreadable(file, f"{len(images):,} images, but {len(labels):,} labels")
    for index, (image, label) in enumerate(zip(images, labels, strict=False)):
        yield Entry(file, index, image, label)


def idx_files(folder: Path, split: str) -> tuple[Path, ...]:
    """Find the images and, where they are, the labels of a split; () where there are none."""
    found = []
    for what in ("images", "labels"):
        # both spellings are about: train-images-idx3-ubyte and train-images.idx3-ubyte
        found += sorted(folder.glob(f"{IDX_WORDS[split]}-{what}?idx*"))[:1]
    return tuple(found) if found and "images" in found[0].name else ()


def idx_origin(folder: Path, files: tuple[Path, ...]) -> Origin:
    """Read IDX images, and labels where there are any, plain or .gz."""

    def read() -> Contents:
        images = _read_idx(files[0])
        if images.ndim != 3:
            raise DataError(f"{files[0]}: an array of {images.ndim} dimensions; images have 3")
        labels = _read_idx(files[1]) if len(files) > 1 else None
        return array_contents(files[0].name, images[..., None], labels)

    return Origin(folder, files, "idx", read)


def _read_idx(path: Path) -> Pixels:
    with damaged(path), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        zeros, kind, dimensions = file.read(2), *file.read(2)
        if (zeros, kind) != (b"\0\0", IDX_UINT8):
            raise ValueError("no IDX array of bytes")
        shape = tuple(int(size) for size in np.frombuffer(file.read(4 * dimensions), ">u4"))
        values = np.frombuffer(file.read(min(math.prod(shape), MOST_BYTES) + 1), np.uint8)
        return values.reshape(shape)
