"""CSV files in the flat layout: a row an image, a label and then every pixel value."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from gander.data.formats.format import CONFIDENCE, LABEL, Batch, Layout, WrittenFormat, move_bytes
from gander.data.origins import Contents, Entry, Origin, cards_in, class_names, damaged, unreadable
from gander.errors import DataError

_FIRST_BYTES = 4 << 20  # in which the first line must end
_BLOCK = 16 << 20
_GZIP_LEVEL = 3


class Csv(WrittenFormat):
    """`label`, then every pixel value in the order of rows, columns and colours."""

    reads = "flat CSV files (.gz, .zst)"
    suffixes = (".csv", ".csv.gz", ".csv.zst")
    names = ("csv", "csv.gz", "csv.zst")
    about = "`label`, then a column a pixel value, in the order of rows, columns and colours"
    png = False
    loading = Path(__file__).with_suffix(".md").read_text("utf-8")

    def origin(self, root: Path, files: list[Path], split: str) -> Origin:
        cards = cards_in(files[0].parent, re.sub(r"\.csv(\.gz|\.zst)?$", "", files[0].name))
        return Origin(root, (*files, *cards), "csv", lambda: _read(root, files, class_names(cards)))

    def bytes_each(self, layout: Layout) -> int:
        return 4 * layout.values + 32  # three digits and a comma a value

    def write(self, path: Path, batches: Iterator[Batch], layout: Layout, first: bool) -> None:
        import pyarrow as pa
        import pyarrow.csv

        names = [f"pixel{index}" for index in range(layout.values)]
        names = [LABEL] * bool(layout.classes) + names + [CONFIDENCE] * layout.confident
        with _stream(path, "" if path.suffix == ".zst" else path.suffix) as sink:
            for number, batch in enumerate(batches):
                flat = batch.pixels.transpose(0, 2, 3, 1).reshape(len(batch.pixels), -1)
                columns = [pa.array(values) for values in np.ascontiguousarray(flat.T)]
                if batch.labels is not None:
                    columns.insert(0, pa.array(batch.labels))
                if batch.confidence is not None:
                    columns.append(pa.array(batch.confidence))
                header = pa.csv.WriteOptions(include_header=first and number == 0, quoting_style="none")
                pa.csv.write_csv(pa.Table.from_arrays(columns, names=names), sink, header)

    def join(self, parts: list[Path], path: Path, layout: Layout) -> None:
        # Streams of gzip may follow one another in a file. Of zstd pandas reads the first frame and no
        # further, so that parts are plain and the whole is one frame.
        with _stream(path, ".zst" if path.suffix == ".zst" else "") as whole:
            move_bytes(parts, whole)


@contextmanager
def _stream(path: Path, compression: str) -> Iterator[Any]:
    import pyarrow as pa

    if compression == ".gz":  # pyarrow's has one level, the slowest
        with path.open("wb") as file, gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as stream:
            yield stream
        return
    with pa.OSFile(str(path), "wb") as file:
        if compression == ".zst":
            with pa.CompressedOutputStream(file, "zstd") as stream:
                yield stream
        else:
            yield file


def _read(root: Path, files: list[Path], classes: tuple[str, ...]) -> Contents:
    columns, _ = _columns(files[0])
    parts = (_entries(str(file.relative_to(root)), file) for file in files)
    return Contents(chain.from_iterable(parts), LABEL in columns, classes)


def _columns(path: Path) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether the first line holds them; else, what they must be."""
    import pyarrow

    with damaged(path), pyarrow.input_stream(path, compression="detect") as stream:
        line = stream.read(_FIRST_BYTES).split(b"\n", 1)[0].decode().strip()
    names = [name.strip().strip('"') for name in line.split(",")]
    if not names[0].isdigit():
        return names, True
    labelled = _shape(len(names) - 1) is not None
    return [LABEL] * labelled + [f"pixel{index}" for index in range(len(names) - labelled)], False


def _shape(values: int) -> tuple[int, int, int] | None:
    """Return (S, S, C) for so many values: no number is both a square and three times a square."""
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
