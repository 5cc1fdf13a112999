"""The IDX files of MNIST and its kin."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np

from gander.data.formats.format import Format
from gander.data.origins import Contents, Origin, Pixels, array_entries, damaged
from gander.errors import DataError

_WORDS = {"train": "train", "test": "t10k"}
_UINT8 = 8
_MOST_BYTES = 16 << 30


class Idx(Format):
    """IDX images, and labels where there are any, plain or .gz."""

    reads = "MNIST idx files"

    def files_in(self, folder: Path, split: str) -> list[Path]:
        files = []
        for what in ("images", "labels"):
            # both spellings are about: train-images-idx3-ubyte and train-images.idx3-ubyte
            files += sorted(folder.glob(f"{_WORDS[split]}-{what}?idx*"))[:1]
        return files if files and "images" in files[0].name else []

    def origin(self, root: Path, files: list[Path], split: str) -> Origin:
        def read() -> Contents:
            images, *labels = map(_read, files)
            if images.ndim != 3:
                raise DataError(f"{files[0]}: an array of {images.ndim} dimensions; images have 3")
            entries = array_entries(files[0].name, images[..., None], labels[0] if labels else None)
            return Contents(entries, bool(labels), count=len(images))

        return Origin(root, tuple(files), "idx", read)


def _read(path: Path) -> Pixels:
    with damaged(path), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        zeros, kind, dimensions = file.read(2), *file.read(2)
        if (zeros, kind) != (b"\0\0", _UINT8):
            raise ValueError("no IDX array of bytes")
        shape = tuple(int(size) for size in np.frombuffer(file.read(4 * dimensions), ">u4"))
        values = np.frombuffer(file.read(min(math.prod(shape), _MOST_BYTES) + 1), np.uint8)
        return values.reshape(shape)
