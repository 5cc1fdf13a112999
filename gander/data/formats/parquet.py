"""Parquet shards as the Hugging Face hub lays them out: an image struct {bytes, path} and a class label."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gander.data.formats.columns import IMAGES, LABELS, choose_column, ignoring
from gander.data.formats.format import CONFIDENCE, LABEL, Batch, Layout, WrittenFormat
from gander.data.origins import Contents, Image, numbered
from gander.errors import DataError

_ROWS = 1024
_MOST_BYTES = 1 << 30
_HINT = "data.image=NAME, or gander data PATH --image NAME"


class Parquet(WrittenFormat):
    """`img` or `image` {bytes, path} and `label`, or those chosen; features in the schema's metadata."""

    reads = "a folder of parquet shards"
    suffixes = (".parquet",)
    columns = True
    names = ("parquet",)
    about = "shards with `img` and `label`, as `datasets` reads them"
    loading = Path(__file__).with_suffix(".md").read_text("utf-8")

    def files_in(self, folder: Path, split: str) -> list[Path]:
        return _of_split(super().files_in(folder, split), split)

    def read(self, path: Path, name: str, split: str) -> Contents:
        import pyarrow.parquet

        shard = pyarrow.parquet.ParquetFile(path)
        columns = shard.schema_arrow.names
        image = choose_column(columns, self.image, IMAGES, "image")
        label = choose_column(columns, self.label, LABELS, "label")
        if not image:
            raise DataError(f'{name}: no column "img" or "image"; it has: {", ".join(columns)}', hint=_HINT)
        kind = shard.schema_arrow.field(image).type
        if not pyarrow.types.is_struct(kind) and "binary" not in str(kind):
            line = f'numpy.savez("data.npz", images=numpy.array(frame["{image}"].tolist(), "uint8"))'
            raise DataError(f'{name}: column "{image}" holds {kind}, and no encoded images', hint=line)
        entries, rows = numbered(name, _samples(shard, image, label)), shard.metadata.num_rows
        notes = ignoring([column for column in columns if column not in (image, label)])
        return Contents(entries, bool(label), _classes(shard, label), rows, notes)

    def write(self, path: Path, batches: Iterator[Batch], layout: Layout) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        schema = _schema(layout)
        options = {"compression": "none", "use_dictionary": False}
        with pyarrow.parquet.ParquetWriter(path, schema, **options) as writer:
            for batch in batches:
                names = [f"{batch.first + place:08d}.png" for place in range(len(batch.images))]
                cells = [pa.array([*batch.images], pa.binary()), pa.array(names)]
                columns = [pa.StructArray.from_arrays(cells, fields=[*schema.field("img").type])]
                columns += [pa.array(part) for part in (batch.labels, batch.confidence) if part is not None]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=_ROWS)


def _schema(layout: Layout) -> Any:
    import pyarrow as pa

    features: dict[str, Any] = {"img": {"_type": "Image"}}
    fields = [pa.field("img", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    if layout.classes:
        features[LABEL] = {"names": [*layout.classes], "_type": "ClassLabel"}
        fields.append(pa.field(LABEL, pa.int64()))
    if layout.confident:
        features[CONFIDENCE] = {"dtype": "float32", "_type": "Value"}
        fields.append(pa.field(CONFIDENCE, pa.float32()))
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _of_split(files: list[Path], split: str) -> list[Path]:
    """Choose the shards of a split by their names; shards that name no split belong to both.

    Raises: DataError where the names speak of other splits only.
    """
    named = {file: _split_of(file) for file in files}
    chosen = [file for file in files if named[file] == split] if any(named.values()) else files
    if files and not chosen:
        there = ", ".join(file.name for file in files[:8])
        raise DataError(f'{files[0].parent}: no parquet file of the split "{split}"; there is: {there}')
    return chosen


def _split_of(file: Path) -> str:
    word = file.name.split("-")[0].removesuffix(".parquet")
    return word if word in ("train", "test", "validation", "valid", "val") else ""


def _samples(shard: Any, image: str, label: str) -> Iterator[tuple[Image, object]]:
    columns = [image, label] if label else [image]
    for batch in shard.iter_batches(_rows(shard, columns), columns=columns):
        labels = batch.column(label).to_pylist() if label else [None] * len(batch)
        for cell, given in zip(batch.column(image).to_pylist(), labels, strict=True):
            encoded = cell.get("bytes") if isinstance(cell, dict) else cell
            yield encoded if isinstance(encoded, bytes) else b"", given


def _rows(shard: Any, columns: list[str]) -> int:
    """Choose how many rows are read at once: they take a GiB at most, though each were the same large one.

    Raises: ValueError where the file says that a little of it unpacks to more.
    """
    largest = 1
    for group in range(shard.num_row_groups):
        row_group = shard.metadata.row_group(group)
        parts = [row_group.column(number) for number in range(row_group.num_columns)]
        for part in parts:
            size = part.total_uncompressed_size
            if part.path_in_schema.split(".")[0] not in columns:
                continue
            if size > max(_MOST_BYTES, 100 * part.total_compressed_size):
                raise ValueError(f"{part.total_compressed_size:,} bytes of it unpack to {size:,}")
            if any("DICTIONARY" in encoding for encoding in part.encodings):
                largest = max(largest, size)
    return max(1, min(_ROWS, _MOST_BYTES // 8 // largest))  # Arrow and Python hold copies


def _classes(shard: Any, label: str) -> tuple[str, ...]:
    """Read the class names from the schema's metadata; () where there are none."""
    text = (shard.schema_arrow.metadata or {}).get(b"huggingface")
    try:
        names = json.loads(text)["info"]["features"][label]["names"] if text else []
        return tuple(str(name) for name in names)
    except (ValueError, KeyError, TypeError):
        return ()
