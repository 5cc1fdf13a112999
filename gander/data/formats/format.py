"""What a format is: how its files are recognised and read and, where it can be written, how."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from gander.data.origins import Contents, Origin, Pixels, cards_in, class_names, unreadable
from gander.errors import DataError
from gander.pictures.sheet import encode_png

LABEL, CONFIDENCE = "label", "confidence"
"""Columns of formats that have columns, as they are written."""

MOST_BYTES = 64 << 20
"""Of one encoded image, or of one file in an archive."""


class Format(ABC):
    """A format that is read; its entry in `gander.data.formats.all` is all that there is to register.

    Attributes:
        reads: what it is, in the list of what can be read.
        suffixes: how its files' names end; () where they are known by something else.
        splits: whether one file holds both splits.
        columns: whether its parts have names that `data.image` and `data.label` choose among.
    """

    reads: str
    suffixes: tuple[str, ...] = ()
    splits: bool = False
    columns: bool = False

    def __init__(self, image: str = "", label: str = "") -> None:
        self.image, self.label = image, label

    def files_in(self, folder: Path, split: str) -> list[Path]:
        """List the files of this format in a folder, or else in the folders of it.

        Raises: DataError where there are some, but none of the split.
        """
        for depth in ("*", "*/*"):
            files = sorted(path for suffix in self.suffixes for path in folder.glob(f"{depth}{suffix}"))
            if files:
                return files
        return []

    def origin(self, root: Path, files: list[Path], split: str) -> Origin:
        """Return how files, one after another, are read; problems name them as they lie from `root`."""
        suffix = next((suffix for suffix in self.suffixes if files[0].name.endswith(suffix)), "")
        cards = cards_in(files[0].parent, files[0].name.removesuffix(suffix))

        def read_one(path: Path) -> Contents:
            name = str(path.relative_to(root))
            try:
                return self.read(path, name, split)
            except DataError:
                raise
            except Exception as error:  # a damaged file may raise anything
                reason = f"damaged, or not what its name says: {error or type(error).__name__}"
                return Contents([unreadable(name, reason)], False)

        def read() -> Contents:
            parts = [read_one(path) for path in files]
            labelled = any(part.labelled for part in parts)
            classes = next((part.classes for part in parts if part.classes), ()) or class_names(cards)
            count = sum(part.count or 0 for part in parts) or None
            entries = chain.from_iterable(part.entries for part in parts)
            notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
            return Contents(entries, labelled, classes, count, notes)

        kind = f"{type(self).__name__} {split if self.splits else ''}{self.image} {self.label}"
        return Origin(root, (*files, *cards), kind, read)

    def read(self, path: Path, name: str, split: str) -> Contents:
        """Return what is in one file, which problems call `name`; it may raise anything where that fails."""
        raise NotImplementedError


@dataclass(frozen=True)
class Layout:
    """What holds for all images of a set."""

    classes: tuple[str, ...]  # () where there are no labels
    shape: tuple[int, int, int]  # (C, S, S)
    confident: bool  # whether labels are the judge's, with its confidence

    @property
    def values(self) -> int:
        """Numbers an image."""
        return self.shape[0] * self.shape[1] * self.shape[2]


class Batch(NamedTuple):
    """Images in their order."""

    first: int  # number of the first
    images: Any  # (N, C, S, S) uint8, or (N) PNG where the format holds PNG
    labels: npt.NDArray[np.int64] | None
    confidence: npt.NDArray[np.float32] | None


class WrittenFormat(Format):
    """A format that is written, too.

    Attributes:
        names: what `--format` takes; each with a dot before it is the suffix that chooses it.
        about: what it is, for README and help.
        loading: Python that loads it with other packages, a template that the data card fills in.
        png: whether it holds encoded images.
        one_file: whether what reads it takes one file, however large.
    """

    names: tuple[str, ...]
    about: str
    loading: str = ""
    png: bool = True
    one_file: bool = False

    @staticmethod
    def suffix(name: str) -> str:
        """Return the end of its files' names, by the name of the format."""
        return f".{name}"

    def bytes_each(self, layout: Layout) -> int:
        """Return the most bytes that an image may take: here, as PNG that does not compress."""
        return layout.values + 1024

    @abstractmethod
    def write(self, path: Path, batches: Iterator[Batch], layout: Layout) -> None:
        """Write a file, or the folder, of the set; what an interruption left there is overwritten."""


def image_file(pixels: Pixels) -> bytes:
    """Encode one image (C, S, S) as PNG, sooner fast than small."""
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    # In so few pixels runs of equal bytes do as well as a search for matches.
    return encode_png(picture, compress_level=3, compress_type=zlib.Z_RLE)
