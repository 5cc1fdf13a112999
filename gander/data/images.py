"""Open a data set by name or path as read-only uint8 arrays."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gander.data.decode import LARGEST, SMALLEST
from gander.data.formats.all import find_origin, shards_of, suffix_of
from gander.data.names import NAMED, SHAPES
from gander.data.origins import Pixels, refusal
from gander.data.shapes import shapes_origin
from gander.data.store import Stored, open_stored
from gander.errors import DataError, did_you_mean

SPLITS = ("train", "test")
_NAMES = (SHAPES, *NAMED)


@dataclass(frozen=True)
class Images:
    """A decoded data set.

    Args:
        pixels: (N, C, H, W) uint8, read-only and memory-mapped; C is 1 or 3, H equals W.
        labels: (N,) int64, or None.
        classes: the name of each class; () where there are no labels.
        fingerprint: sha256 in hex of pixels, labels, shape and class names.
        source: what was asked for, a name or a path, as it was written.
        digest: sha256 in hex of pixels and labels, whatever their order; "" for what is in no store.
        name, path: what finds them again from anywhere: a name or "", and an absolute path or "".
        notes: what of the files was passed over, or decided for them.
    """

    pixels: Pixels
    labels: npt.NDArray[np.int64] | None
    classes: tuple[str, ...]
    fingerprint: str
    source: str
    digest: str = ""
    name: str = ""
    path: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> int:
        """Pixels a side."""
        return int(self.pixels.shape[-1])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return int(self.pixels.shape[1])

    @cached_property
    def hashes(self) -> list[bytes]:
        """Return the sha256 of each image's pixels."""
        return hashes_of(self.pixels)

    def counts(self) -> npt.NDArray[np.int64]:
        """Count the images of each class, (K,); empty where there are no labels."""
        if self.labels is None:
            return np.zeros(0, np.int64)
        return np.bincount(self.labels, minlength=len(self.classes))

    def only(self, class_index: int) -> Images:
        """Keep the images of one class, with their labels and all class names.

        Raises: DataError where no image has that label.
        """
        chosen = np.zeros(0) if self.labels is None else np.flatnonzero(self.labels == class_index)
        if self.labels is None or not len(chosen):
            labels = f"0..{len(self.classes) - 1}" if self.classes else "there are none"
            raise DataError(f"{self.source}: no image of class {class_index}; labels: {labels}")
        fingerprint = hashlib.sha256(f"{self.fingerprint} class {class_index}".encode()).hexdigest()
        chosen_pixels, chosen_labels = self.pixels[chosen], self.labels[chosen]
        return replace(self, pixels=chosen_pixels, labels=chosen_labels, fingerprint=fingerprint, digest="")


def hashes_of(pixels: Pixels) -> list[bytes]:
    """Return the sha256 of each image (N, C, H, W)."""
    return [hashlib.sha256(image.tobytes()).digest() for image in np.asarray(pixels)]  # a memmap's rows cost


def open_images(
    source: str = "",
    path: str = "",
    size: int | None = None,
    split: str = "train",
    skip_bad: bool = False,
    columns: tuple[str, str] = ("", ""),
) -> Images:
    """Open a data set; the first time it is downloaded, where it is a name, and decoded.

    Args:
        source: a name (shapes, cifar10, mnist, fashion-mnist) or a path.
        path: where to read instead of downloading.
        size: pixels a side; crops to the centred square and resizes. None leaves images as they are.
        split: train or test; data on disk that names no splits is read whole for both.
        skip_bad: go on without images and labels that cannot be used.
        columns: of images and labels, in files that name them; "" for those of a known name.

    Raises: DataError, listing every bad image and label found in one pass; StorageError.
    """
    stored = find_stored(source, path, size, split, columns)
    if stored.problems and not skip_bad:
        place = path or source
        raise refusal(place, stored.problems, f"gander data {place} --json lists them all")
    return as_images(stored, source, path)


def as_images(stored: Stored, source: str, path: str) -> Images:
    """Return what a folder of the store holds, good images only."""
    name, place = _located(source, path)
    held = stored.pixels, stored.labels, stored.classes, stored.fingerprint
    return Images(*held, source or path, stored.digest, name, str(place or ""), stored.notes)


def is_data(source: str) -> bool:
    """Return whether a source is the name of a data set, or a path at which there is something."""
    name, place = _located(source, "")
    return name in _NAMES or bool(place and (place.exists() or shards_of(place)))


def _located(source: str, path: str) -> tuple[str, Path | None]:
    """Return which data set is meant, and where on disk it is; None where it is known by its name alone.

    This is the one rule for what is a path: a name of a data set never is, even where a folder has that name;
    anything else is one that exists, or that could be nothing but a path.
    """
    looks_like_one = source.startswith("~") or os.sep in source or bool(suffix_of(source))
    if not path and source and source not in _NAMES and (looks_like_one or Path(source).exists()):
        source, path = "", source
    return source, Path(path).expanduser().absolute() if path else None


def find_stored(
    source: str, path: str, size: int | None, split: str, columns: tuple[str, str] = ("", "")
) -> Stored:
    """Open a data set in the store, good images only, with the problems of the others beside them.

    Raises: DataError where there is no such data, or no image of it can be used.
    """
    if size is not None and not SMALLEST <= size <= LARGEST:
        raise DataError(f"data.size = {size}: allowed are {SMALLEST} to {LARGEST} pixels a side")
    if split not in SPLITS:
        raise DataError(f'split "{split}": allowed are {" and ".join(SPLITS)}{did_you_mean(split, SPLITS)}')
    name, place = _located(source, path)
    named = NAMED.get(name)
    if place is not None:
        stored = open_stored(find_origin(place, split, *columns), size, path or source)
    elif name == SHAPES:
        return open_stored(shapes_origin(split), size, source)
    elif named:
        from gander.data.download import open_named  # requests takes long to import

        stored = open_named(named, split, size)
    else:
        given = f'no data set is called "{source}"' if source else "no data set is named"
        raise DataError(
            f"{given}; allowed: {', '.join(_NAMES)}, or a path{did_you_mean(source, _NAMES)}",
            hint="data=shapes, or data.path=FOLDER",
        )
    return _renamed(stored, named.classes) if named else stored


def _renamed(stored: Stored, classes: tuple[str, ...]) -> Stored:
    """Name the classes of files that only number them."""
    if stored.labels is None or stored.named or len(stored.classes) > len(classes):
        return stored
    fingerprint = hashlib.sha256("\n".join([stored.fingerprint, *classes]).encode()).hexdigest()
    return replace(stored, classes=classes, fingerprint=fingerprint)
