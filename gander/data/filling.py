"""Decode a data set into the files of one folder of the store."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gander.data.decode import MOST_CLASSES, class_index, decode
from gander.data.origins import Contents, Entry, Image, Origin, Pixels, Problem, refusal
from gander.data.progress import progress

CHUNK, SLICE = 1024, 64
"""Images a write, and images that a thread takes at a time."""

CHUNK_BYTES = 256 << 20
"""Of encoded images that wait to be decoded: a small file may hold one image a million times."""


class _ColourAfterGrey(Exception):  # noqa: N818 - not an error: the set is read again as colour
    pass


def fill(folder: Path, origin: Origin, size: int | None, title: str) -> None:
    """Write pixels.bin, labels.npy (where there are labels) and meta.json into an empty folder.

    Raises: DataError where no image can be used.
    """
    try:
        filling = _fill(folder, origin, size, title, channels=0)
    except _ColourAfterGrey:
        filling = _fill(folder, origin, size, title, channels=3)
    meta = filling.meta()
    if filling.labelled:
        np.save(folder / "labels.npy", np.array(filling.labels, np.int64))
    (folder / "meta.json").write_text(json.dumps(meta))


def _fill(folder: Path, origin: Origin, size: int | None, title: str, channels: int) -> _Filling:
    contents = origin.read()
    with (folder / "pixels.bin").open("wb") as file:
        filling = _Filling(file, contents, channels)
        entries = iter(contents.entries)
        with (
            ThreadPoolExecutor(os.cpu_count()) as pool,
            progress(f"Decoding {title}", contents.count) as advance,
        ):
            while chunk := [*_next(entries)]:
                slices = [chunk[start : start + SLICE] for start in range(0, len(chunk), SLICE)]
                filling.add(
                    chunk, pool.map(lambda part: [_attempt(entry.image, size) for entry in part], slices)
                )
                advance(len(chunk))
    if not filling.hashes:
        raise refusal(title, filling.problems or [Problem(title, None, "there is no image in it")])
    return filling


def _next(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Take as many entries as are decoded together, and hardly more bytes than CHUNK_BYTES."""
    size = 0
    for entry in islice(entries, CHUNK):
        yield entry
        size += len(entry.image) if isinstance(entry.image, bytes) else 0
        if size >= CHUNK_BYTES:
            return


def _attempt(image: Image, size: int | None) -> Pixels | str:
    """Decode, or say why not: a damaged file may raise anything."""
    try:
        return decode(image, size)
    except Exception as error:
        return str(error) or type(error).__name__


class _Filling:
    """Images on their way into `file`; the shape of all is that of the first good one."""

    def __init__(self, file: BinaryIO, contents: Contents, channels: int) -> None:
        self.file = file
        self.channels, self.side = channels, 0
        self.labelled = contents.labelled
        self.classes = contents.classes if contents.labelled else ()
        self.named = bool(self.classes)
        self.words: dict[str, int] = {}  # labels that are names, where the files list no classes
        self.notes = contents.notes
        self.labels: list[int] = []
        self.hashes: list[bytes] = []
        self.problems: list[Problem] = []
        self.fingerprint = hashlib.sha256()

    def add(self, chunk: list[Entry], decoded: Iterable[list[Pixels | str]]) -> None:
        """Write the good images of a chunk, and note what is wrong with the others."""
        images = (image for part in decoded for image in part)
        kept = []
        for entry, image in zip(chunk, images, strict=True):
            reasons, label = [], 0
            try:
                pixels = self._fitted(image)
            except ValueError as error:
                reasons.append(str(error))
            try:
                label = self._label(entry.label) if self.labelled else 0
            except ValueError as error:
                reasons.append(str(error))
            if reasons:
                self.problems.append(Problem(entry.file, entry.index, "; ".join(reasons)))
                continue
            kept.append(pixels)
            self.labels.append(label)
            self.hashes.append(hashlib.sha256(pixels.data).digest())
        if kept:
            block = np.stack(kept)
            self.fingerprint.update(block.data)
            self.file.write(block.data)

    def _label(self, label: object) -> int:
        if isinstance(label, str) and self.classes:
            return self.classes.index(label) if label in self.classes else class_index(label, 0)
        if isinstance(label, str) and (self.words or not self.labels):
            if label not in self.words and len(self.words) == MOST_CLASSES:
                raise ValueError(f"the label {label} is one of more than {MOST_CLASSES:,}")
            return self.words.setdefault(label, len(self.words))
        if self.words:
            raise ValueError(f"the label {label} is no name, as the first is")
        return class_index(label, len(self.classes) or MOST_CLASSES)

    def _fitted(self, image: Pixels | str) -> Pixels:
        if isinstance(image, str):
            raise ValueError(image)
        channels, side = image.shape[:2]
        self.channels, self.side = self.channels or channels, self.side or side
        if side != self.side:
            raise ValueError(f"{side} x {side} pixels, where the first image has {self.side} x {self.side}")
        if channels > self.channels:
            raise _ColourAfterGrey
        return image if channels == self.channels else np.repeat(image, self.channels, axis=0)

    def meta(self) -> dict[str, Any]:
        """Describe the folder; mirrors differ in the order of images, so the digest does not depend on it."""
        if self.words:
            self.classes, self.named = tuple(sorted(self.words)), True
            places = {number: self.classes.index(word) for word, number in self.words.items()}
            self.labels = [places[label] for label in self.labels]
        elif self.labelled and not self.classes:
            self.classes = tuple(str(index) for index in range(max(self.labels) + 1))
        shape = (len(self.hashes), self.channels, self.side, self.side)
        pairs = zip(self.hashes, self.labels, strict=True)
        about = f"{self.channels}x{self.side}x{self.side}".encode()
        digest = hashlib.sha256(about + b"".join(sorted(pixels + b"%d" % label for pixels, label in pairs)))
        return {
            "shape": shape,
            "labelled": self.labelled,
            "classes": self.classes,
            "named": self.named,
            "fingerprint": fingerprint_of(
                self.fingerprint, self.labels if self.labelled else None, shape, self.classes
            ),
            "digest": digest.hexdigest(),
            "notes": self.notes,
            "duplicates": len(self.hashes) - len({*self.hashes}),
            "problems": [astuple(problem) for problem in self.problems],
        }


def fingerprint_of(pixels: Any, labels: Any, shape: Sequence[int], classes: Sequence[str]) -> str:
    """Go on from a hash of all pixels to that of the data set."""
    pixels.update(np.array([] if labels is None else labels, "<i8").tobytes())
    pixels.update(json.dumps([shape, classes]).encode())
    digest: str = pixels.hexdigest()
    return digest
