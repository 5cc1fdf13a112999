"""CSV files in the flat layout: a row an image, a label and then every pixel value."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gander.data.formats.columns import LABELS, choose_column, ignoring
from gander.data.formats.format import CONFIDENCE, LABEL, Batch, Layout, WrittenFormat
from gander.data.origins import Contents, Pixels, numbered
from gander.errors import DataError

_FIRST_BYTES = 4 << 20  # in which the first line must end
_BLOCK = 16 << 20
_MOST_COLUMNS = 3 * 256**2 + 64
_GZIP_LEVEL = 3
_MOST_CLASSES = 200  # beyond, whole numbers from 0 on are grey levels
_PIXEL = re.compile(r"(pixel|px|p|x)?[ _]?\d+([x_]\d+)*")


class Csv(WrittenFormat):
    """Every pixel value in the order of rows, columns and colours, beside a label, which a header names.

    Without a header, the first or the last column is the label: the one that counts from 0 or 1 on.
    """

    reads = "flat CSV files (.gz, .zst)"
    suffixes = (".csv", ".csv.gz", ".csv.zst")
    names = ("csv", "csv.gz", "csv.zst")
    about = "`label`, then a column a pixel value, in the order of rows, columns and colours"
    png = False
    columns = True
    loading = Path(__file__).with_suffix(".md").read_text("utf-8")

    def read(self, path: Path, name: str, split: str) -> Contents:
        import pyarrow.csv

        names, has_header, whole = _columns(path)
        if len(names) > _MOST_COLUMNS:
            raise ValueError(f"{len(names):,} columns; at most {_MOST_COLUMNS:,} are read")
        options = pyarrow.csv.ReadOptions(block_size=_BLOCK, column_names=names, skip_rows=int(has_header))
        label = choose_column(names, self.label, LABELS, "label")
        rest = [column for column in names if column not in (label, CONFIDENCE)]
        pixels = [column for column in rest if _PIXEL.fullmatch(column.lower())]
        notes: tuple[str, ...] = ()
        if not has_header or not _shape(len(pixels)):
            pixels = rest
        if not label and not _shape(len(pixels)) and _shape(len(pixels) - 1):
            label = _label_at_an_end(path, options, pixels)
            pixels.remove(label)
            notes = (f"no header names the labels: by their values, they are in the {label} column",)
        shape = _shape(len(pixels))
        if shape is None:
            allowed = "S x S, or S x S x 3 in the order of rows, columns and colours, separated by commas"
            raise ValueError(f"{len(pixels):,} pixel columns; allowed are {allowed}")
        notes += ignoring([column for column in rest if column not in pixels and column != label])
        samples = _samples(path, options, pixels, label, shape, whole)
        return Contents(numbered(name, samples), bool(label), notes=notes)

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


def _columns(path: Path) -> tuple[list[str], bool, bool]:
    """Return the names of the columns, whether the first line holds them, and whether values are integers.

    Columns without names are called first, 1, 2 ... and last. A line of numbers that count the columns, which
    is what pandas writes for a frame without names, is a header without names.
    """
    import pyarrow

    with pyarrow.input_stream(path, compression="detect") as stream:
        lines = stream.read(_FIRST_BYTES).decode(errors="replace").split("\n")
    cells, second = ([cell.strip().strip('"') for cell in line.split(",")] for line in [*lines, ""][:2])
    numbers = [cell for cell in cells if _is_number(cell)]
    counted = numbers in ([str(place + first) for place in range(len(numbers))] for first in (0, 1))
    # A label may be a word: a line of values holds one such cell at most.
    has_header = len(cells) - len(numbers) > 1 or (len(cells) > 2 and counted)
    values = second if has_header else cells
    whole = not any("." in cell or "e" in cell for cell in values if _is_number(cell))
    if not has_header or len(numbers) == len(cells):
        cells = ["first", *map(str, range(1, len(cells) - 1)), "last"]
    return cells, has_header, whole


def _is_number(cell: str) -> bool:
    try:
        return bool(cell) and float(cell) == float(cell)
    except ValueError:
        return False


def _label_at_an_end(path: Path, options: Any, names: list[str]) -> str:
    """Choose the first or the last column by its values; DataError where both or none may be labels."""
    import pyarrow.csv

    ends, found = [names[0], names[-1]], [set[object](), set[object]()]
    wanted = pyarrow.csv.ConvertOptions(include_columns=ends)
    for batch in pyarrow.csv.open_csv(path, options, convert_options=wanted):
        for values, column in zip(found, batch.columns, strict=True):
            values |= {*column.unique().to_pylist()}
    likely = [end for end, values in zip(ends, found, strict=True) if _are_labels(values)]
    if len(likely) == 1:
        return likely[0]
    raise DataError(
        f"{path}: nothing says whether the first or the last column is the label: no header names it, and "
        f"{'both' if likely else 'neither'} of them count{'' if likely else 's'} from 0 or 1 on",
        hint="data.label=first, or data.label=last (gander data PATH --label last)",
    )


def _are_labels(values: set[Any]) -> bool:
    if any(isinstance(value, str) for value in values):
        return True
    numbers = sorted(value for value in values if value is not None)
    few = 2 <= len(numbers) <= _MOST_CLASSES
    return few and numbers[0] in (0, 1) and numbers[-1] == numbers[0] + len(numbers) - 1


def _shape(values: int) -> tuple[int, int, int] | None:
    """Return (S, S, C) for so many values: no number is both a square and three times a square."""
    for channels in (1, 3):
        side = isqrt(values // channels)
        if values and side * side * channels == values:
            return side, side, channels
    return None


def _samples(
    path: Path, options: Any, pixels: list[str], label: str, shape: tuple[int, int, int], whole: bool
) -> Iterator[tuple[Pixels, object]]:
    import pyarrow.csv

    kind = pyarrow.uint8() if whole else pyarrow.float32()
    converted = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(pixels, kind), include_columns=[*pixels, *[label] * bool(label)]
    )
    for batch in pyarrow.csv.open_csv(path, options, convert_options=converted):
        values = np.stack([batch.column(column).to_numpy() for column in pixels], axis=1)
        labels = batch.column(label).to_pylist() if label else [None] * len(values)
        if not whole:
            values = _bytes_of(values)
        yield from zip(values.reshape(-1, *shape), labels, strict=True)


def _bytes_of(values: npt.NDArray[np.float32]) -> Pixels:
    """Return floats that are whole, as numpy.savetxt writes them, as bytes; ValueError for others."""
    if not (values == values.clip(0, 255).round()).all():
        raise ValueError(
            "pixel values that are not whole, 0 to 255; if they lie in 0..1: (values * 255).round()"
        )
    return values.astype(np.uint8)
