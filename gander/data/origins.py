"""What a reader of any format hands to the store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gander.errors import DataError, GanderError

Pixels = npt.NDArray[np.uint8]
"""Values 0..255; the shape is said where it is used."""

Image = bytes | Pixels | Callable[[], bytes]
"""An encoded file, pixels (H, W) or (H, W, C), or what reads an encoded file when it is called."""

_ABOUT = "dataset.json"

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


def about_files(folder: Path, file: str = "") -> tuple[Path, ...]:
    """Find what a data set says of itself: under its file's name, in its folder, or a folder up."""
    stem = re.sub(r"(-\d{5}-of-\d{5})?\.(csv|tar)(\.gz|\.zst)?$", "", file)
    places = (folder / f"{stem}.{_ABOUT}", folder / _ABOUT, folder.parent / _ABOUT)
    return tuple(place for place in places if place.is_file())


def told_classes(about: Iterable[Path]) -> tuple[str, ...]:
    """Read the class names that a data set gives of itself; () where it gives none."""
    for path in about:
        with damaged(path):
            told = json.loads(path.read_text("utf-8"))
        classes = told.get("classes") if isinstance(told, dict) else None
        if isinstance(classes, list) and classes:  # other programs have files of this name, too
            return tuple(str(name) for name in classes)
    return ()


def unreadable(file: str, reason: str, index: int | None = None) -> Entry:
    """Give an entry that says why a file, or what follows in it from `index` on, cannot be read."""

    def read() -> bytes:
        raise ValueError(reason)

    return Entry(file, index, read, 0)


@contextmanager
def damaged(place: str | Path) -> Iterator[None]:
    """Say in one line what a reader made of a damaged file, which may raise anything."""
    try:
        yield
    except GanderError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{place}: damaged, or not what its name says: {reason}") from error


def refusal(place: str, problems: Iterable[Problem], hint: str = "") -> DataError:
    """Make the error that lists the first problems and counts the rest."""
    found = [*problems]
    lines = [f"{place}: {len(found):,} images, labels or files cannot be used:", *map(str, found[:SHOWN])]
    if len(found) > SHOWN:
        lines.append(f"and {len(found) - SHOWN:,} more")
    return DataError(*lines, hint=hint)
