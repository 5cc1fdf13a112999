"""CSV files in the flat layout: a row an image, a label and then every pixel value."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from gander.data.origins import Contents, Entry, Origin, about_files, damaged, told_classes, unreadable
from gander.errors import DataError

LABEL, CONFIDENCE = "label", "confidence"
SUFFIXES = (".csv", ".csv.gz", ".csv.zst")

_FIRST_BYTES = 4 << 20  # in which the first line must end
_BLOCK = 16 << 20


def csv_origin(root: Path, files: list[Path]) -> Origin:
    """Read shards one after another, plain, .gz or .zst."""
    about = about_files(files[0].parent, files[0].name)
    return Origin(root, (*files, *about), "csv", lambda: _read(root, files, told_classes(about)))


def _read(root: Path, files: list[Path], classes: tuple[str, ...]) -> Contents:
    columns, _ = _columns(files[0])
    parts = (_entries(str(file.relative_to(root)), file) for file in files)
    return Contents(chain.from_iterable(parts), LABEL in columns, classes)


def _columns(path: Path) -> tuple[list[str], bool]:
    """Give the names of the columns, and whether the first line holds them; else, what they must be."""
    import pyarrow

    with damaged(path), pyarrow.input_stream(path, compression="detect") as stream:
        line = stream.read(_FIRST_BYTES).split(b"\n", 1)[0].decode().strip()
    names = [name.strip().strip('"') for name in line.split(",")]
    if not names[0].isdigit():
        return names, True
    labelled = _shape(len(names) - 1) is not None
    return [LABEL] * labelled + [f"pixel{index}" for index in range(len(names) - labelled)], False


def _shape(values: int) -> tuple[int, int, int] | None:
    """Give (S, S, C) for so many values: no number is both a square and three times a square."""
    for channels in (1, 3):
        side = isqrt(values // channels)
        if values and side * side * channels == values:
            return side, side, channels
    return None


def _entries(name: str, path: Path) -> Iterator[Entry]:
    import pyarrow.csv

    names, has_header = _columns(path)
    pixels = [column for column in names if column not in (LABEL, CONFIDENCE)]
    shape = _shape(len(pixels))
    if shape is None:
        allowed = "S x S, or S x S x 3 in the order of rows, columns and colours"
        raise DataError(f"{path}: {len(pixels):,} pixel columns; allowed are {allowed}")
    types: dict[str, Any] = dict.fromkeys(pixels, pyarrow.uint8()) | {LABEL: pyarrow.int64()}
    row = 0
    try:
        reader = pyarrow.csv.open_csv(
            path,
            pyarrow.csv.ReadOptions(block_size=_BLOCK, column_names=names, skip_rows=int(has_header)),
            convert_options=pyarrow.csv.ConvertOptions(column_types=types),
        )
        for batch in reader:
            values = np.stack([batch.column(column).to_numpy() for column in pixels], axis=1)
            images = values.reshape(-1, *shape)
            labels = batch.column(LABEL).to_pylist() if LABEL in names else [None] * len(images)
            for image, label in zip(images, labels, strict=True):
                yield Entry(name, row, image, label)
                row += 1
    except Exception as error:  # a damaged file may raise anything
        yield unreadable(name, f"damaged from here on: {error}", row)
