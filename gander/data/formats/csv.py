"""CSV files in the flat layout: a row an image, a label and then every pixel value."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from gander.data.formats.format import CONFIDENCE, LABEL, Batch, Layout, WrittenFormat
from gander.data.origins import Contents, Pixels, numbered

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

    def read(self, path: Path, name: str, split: str) -> Contents:
        import pyarrow.csv

        names, has_header = _columns(path)
        pixels = [column for column in names if column not in (LABEL, CONFIDENCE)]
        shape = _shape(len(pixels))
        if shape is None:
            allowed = "S x S, or S x S x 3 in the order of rows, columns and colours"
            raise ValueError(f"{len(pixels):,} pixel columns; allowed are {allowed}")
        options = pyarrow.csv.ReadOptions(block_size=_BLOCK, column_names=names, skip_rows=int(has_header))
        return Contents(numbered(name, _samples(path, options, pixels, shape)), LABEL in names)

    def bytes_each(self, layout: Layout) -> int:
        return 4 * layout.values + 32  # three digits and a comma a value

    def write(self, path: Path, batches: Iterator[Batch], layout: Layout) -> None:
        import pyarrow as pa
        import pyarrow.csv

        names = [f"pixel{index}" for index in range(layout.values)]
        names = [LABEL] * bool(layout.classes) + names + [CONFIDENCE] * layout.confident
        with _stream(path) as sink:
            for number, batch in enumerate(batches):
                flat = batch.images.transpose(0, 2, 3, 1).reshape(len(batch.images), -1)
                columns = [pa.array(values) for values in np.ascontiguousarray(flat.T)]
                if batch.labels is not None:
                    columns.insert(0, pa.array(batch.labels))
                if batch.confidence is not None:
                    columns.append(pa.array(batch.confidence))
                header = pa.csv.WriteOptions(include_header=number == 0, quoting_style="none")
                pa.csv.write_csv(pa.Table.from_arrays(columns, names=names), sink, header)


@contextmanager
def _stream(path: Path) -> Iterator[Any]:
    if path.suffix != ".gz":
        import pyarrow as pa

        with pa.output_stream(path, compression="detect") as stream:
            yield stream
    else:  # pyarrow's has one level, the slowest
        with path.open("wb") as file, gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as stream:
            yield stream


def _columns(path: Path) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether the first line holds them; else, what they must be."""
    import pyarrow

    with pyarrow.input_stream(path, compression="detect") as stream:
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


def _samples(
    path: Path, options: Any, pixels: list[str], shape: tuple[int, int, int]
) -> Iterator[tuple[Pixels, object]]:
    import pyarrow.csv

    types: dict[str, Any] = dict.fromkeys(pixels, pyarrow.uint8()) | {LABEL: pyarrow.int64()}
    converted = pyarrow.csv.ConvertOptions(column_types=types)
    for batch in pyarrow.csv.open_csv(path, options, convert_options=converted):
        values = np.stack([batch.column(column).to_numpy() for column in pixels], axis=1)
        labelled = LABEL in options.column_names
        labels = batch.column(LABEL).to_pylist() if labelled else [None] * len(values)
        yield from zip(values.reshape(-1, *shape), labels, strict=True)
