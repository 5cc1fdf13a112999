"""What a reader of any format hands to the store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gander.errors import DataError, GanderError

Pixels = npt.NDArray[np.uint8]
"""Values 0..255; the shape is said where it is used."""

Image = bytes | Pixels | Callable[[], bytes]
"""An encoded file, pixels (H, W) or (H, W, C), or what reads an encoded file when it is called."""

_CARD = "dataset.json"

SHOWN = 20
"""Problems that an error lists before it only counts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image and its label as they were found; `label` is whatever stood there."""

    file: str
    index: int | None
    image: Image
    label: object


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one image, one label or one file cannot be used."""

    file: str
    index: int | None
    reason: str

    def __str__(self) -> str:
        place = self.file if self.index is None else f"{self.file}[{self.index}]"
        return f"{place}: {self.reason}"


@dataclass(frozen=True)
class Contents:
    """Everything in a data set, read as it is asked for.

    Args:
        classes: the names that the files carry; () where they carry none.
        count: how many entries are expected, for the progress line; None where that is not known.
    """

    entries: Iterable[Entry]
    labelled: bool
    classes: tuple[str, ...] = ()
    count: int | None = None


@dataclass(frozen=True)
class Origin:
    """Where a data set comes from.

    Args:
        root: the folder that file names are relative to.
        files: what the content depends on; empty for a data set that is drawn.
        kind: format, split and version; with the files it decides the content.
    """

    root: Path
    files: tuple[Path, ...]
    kind: str
    read: Callable[[], Contents]


def cards_in(folder: Path, stem: str = "") -> tuple[Path, ...]:
    """Find the cards of a data set: under its file's stem, in its folder, or a folder up."""
    stem = re.sub(r"-\d{5}-of-\d{5}$", "", stem)
    places = (folder / f"{stem}.{_CARD}", folder / _CARD, folder.parent / _CARD)
    return tuple(place for place in places if place.is_file())


def class_names(cards: Iterable[Path]) -> tuple[str, ...]:
    """Read the class names of the first card that has some; () where none has."""
    for path in cards:
        with damaged(path):
            card = json.loads(path.read_text("utf-8"))
        classes = card.get("classes") if isinstance(card, dict) else None
        if isinstance(classes, list) and classes:  # other programs have files of this name, too
            return tuple(str(name) for name in classes)
    return ()


def unreadable(file: str, reason: str, index: int | None = None) -> Entry:
    """Return an entry that says why a file, or what follows in it from `index` on, cannot be read."""

    def read() -> bytes:
        raise ValueError(reason)

    return Entry(file, index, read, 0)


def numbered(file: str, samples: Iterable[tuple[Image, object]]) -> Iterator[Entry]:
    """Number the images of a file; where it is damaged, the last entry says so."""
    row = 0
    try:
        for image, label in samples:
            yield Entry(file, row, image, label)
            row += 1
    except Exception as error:  # a damaged file may raise anything
        yield unreadable(file, f"damaged from here on: {error}", row)


def array_entries(
    file: str, images: Pixels, labels: Sequence[Any] | npt.NDArray[Any] | None
) -> Iterator[Entry]:
    """Pair images (N, H, W, C) with labels (N,), or (N, 1) as some save them."""
    if labels is None:
        labels = [None] * len(images)
    elif isinstance(labels, np.ndarray) and labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if len(images) != len(labels):
        yield unreadable(file, f"{len(images):,} images, but {len(labels):,} labels")
    yield from numbered(file, zip(images, labels, strict=False))


@contextmanager
def damaged(place: str | Path) -> Iterator[None]:
    """Turn what a reader raises at a damaged file, which may be anything, into one line."""
    try:
        yield
    except GanderError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{place}: damaged, or not what its name says: {reason}") from error


def refusal(place: str, problems: Iterable[Problem], hint: str = "") -> DataError:
    """Make the error that lists the first problems and counts the rest."""
    all_problems = [*problems]
    count = len(all_problems)
    lines = [f"{place}: {count:,} images, labels or files cannot be used:", *map(str, all_problems[:SHOWN])]
    if count > SHOWN:
        lines.append(f"and {count - SHOWN:,} more")
    return DataError(*lines, hint=hint)
