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
"""Problems that are listed one by one, and causes if there are more."""

_OTHER_SIZE = re.compile("pixels is not square|, where the first image has|a side can be used")


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
        notes: what of the files was passed over, or decided for them.
    """

    entries: Iterable[Entry]
    labelled: bool
    classes: tuple[str, ...] = ()
    count: int | None = None
    notes: tuple[str, ...] = ()


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
    """Pair images (N, H, W, C) with labels (N,), (N, 1) or one-hot (N, K), as some save them."""
    if labels is None:
        labels = [None] * len(images)
    elif isinstance(labels, np.ndarray) and isinstance(labels := _plain_labels(labels), str):
        yield unreadable(file, labels)
        return
    if len(images) != len(labels):
        yield unreadable(file, f"{len(images):,} images, but {len(labels):,} labels")
    yield from numbered(file, zip(images, labels, strict=False))


def _plain_labels(labels: npt.NDArray[Any]) -> npt.NDArray[Any] | str:
    """Return labels (N,), or why there are none."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    elif labels.ndim == 2 and ((labels == 1).sum(1) == 1).all() and ((labels == 0) | (labels == 1)).all():
        labels = labels.argmax(1)
    elif labels.ndim == 2:
        return f"labels of {labels.shape[1]} numbers an image; allowed are one, or a 1 among 0s"
    return labels.astype(str) if labels.dtype.kind == "S" else labels


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


def refusal(place: str, problems: Sequence[Problem], hint: str = "") -> DataError:
    """Make the error that lists problems, and says what mends images of other sizes."""
    head = f"{place}: {len(problems):,} images, labels or files cannot be used:"
    if other_sizes(problems):
        hint = "data.size=32 (--size 32) crops images to a square and resizes them" + f"; {hint}" * bool(hint)
    return DataError(head, *listed(problems), hint=hint)


def other_sizes(problems: Iterable[Problem]) -> bool:
    """Say whether some of the problems are mended by `data.size`."""
    return any(_OTHER_SIZE.search(problem.reason) for problem in problems)


def listed(problems: Sequence[Problem]) -> list[str]:
    """List problems in at most `SHOWN` lines and one: where there are more, by their causes."""
    causes: dict[str, list[Problem]] = {}
    for problem in problems:
        cause = re.sub(r"\d[\d.]*", "0", problem.reason) if len(problems) > SHOWN else str(problem)
        causes.setdefault(cause, []).append(problem)
    alike = sorted(causes.values(), key=len, reverse=len(problems) > SHOWN)
    lines = [f"{same[0]}" + f"; and {len(same) - 1:,} like it" * (len(same) > 1) for same in alike[:SHOWN]]
    left = sum(map(len, alike[SHOWN:]))
    return lines + [f"and {left:,} more"] * bool(left)
