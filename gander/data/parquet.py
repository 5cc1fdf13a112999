"""Parquet shards as the Hugging Face hub lays them out: an image struct {bytes, path} and a class label."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from gander.data.origins import Contents, Entry, Origin, unreadable
from gander.errors import DataError

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMN = "label"
ROWS = 1024


def parquet_origin(root: Path, files: list[Path]) -> Origin:
    """Read shards one after another."""
    return Origin(root, tuple(files), "parquet", lambda: _read(root, files))


def of_split(files: list[Path], split: str) -> list[Path]:
    """Choose the shards of a split by their names; shards that name no split belong to both.

    Raises: DataError where the names speak of other splits only.
    """
    named = {file: _split_of(file) for file in files}
    chosen = [file for file in files if named[file] == split] if any(named.values()) else files
    if not chosen:
        there = ", ".join(file.name for file in files[:8])
        raise DataError(f'{files[0].parent}: no parquet file of the split "{split}"; there is: {there}')
    return chosen


def _split_of(file: Path) -> str:
    word = file.name.split("-")[0].removesuffix(".parquet")
    return word if word in ("train", "test", "validation", "valid", "val") else ""


def _read(root: Path, files: list[Path]) -> Contents:
    import pyarrow.parquet

    shards, broken = [], []
    for file in files:
        name = str(file.relative_to(root))
        try:
            shard = pyarrow.parquet.ParquetFile(file)
        except Exception as error:  # a damaged file may raise anything
            broken.append(unreadable(name, f"not a whole parquet file: {error}"))
            continue
        columns = shard.schema_arrow.names
        image = next((column for column in IMAGE_COLUMNS if column in columns), "")
        if image:
            shards.append((name, shard, image))
        else:
            wanted = '" or "'.join(IMAGE_COLUMNS)
            broken.append(unreadable(name, f'no column "{wanted}"; it has: {", ".join(columns)}'))
    labelled = any(LABEL_COLUMN in shard.schema_arrow.names for _, shard, _ in shards)
    classes = next((names for _, shard, _ in shards if (names := _classes(shard))), ())
    count = sum(shard.metadata.num_rows for _, shard, _ in shards)
    return Contents(chain(broken, _entries(shards)), labelled, classes, count)


def _entries(shards: list[tuple[str, Any, str]]) -> Iterator[Entry]:
    for name, shard, image in shards:
        labelled = LABEL_COLUMN in shard.schema_arrow.names
        columns = [image, LABEL_COLUMN] if labelled else [image]
        row = 0
        try:
            for batch in shard.iter_batches(ROWS, columns=columns):
                labels = batch.column(LABEL_COLUMN).to_pylist() if labelled else [None] * len(batch)
                for cell, label in zip(batch.column(image).to_pylist(), labels, strict=True):
                    encoded = cell.get("bytes") if isinstance(cell, dict) else cell
                    yield Entry(name, row, encoded if isinstance(encoded, bytes) else b"", label)
                    row += 1
        except Exception as error:
            yield unreadable(name, f"damaged from here on: {error}", row)


def _classes(shard: Any) -> tuple[str, ...]:
    """Read the class names from the schema's metadata; () where there are none."""
    text = (shard.schema_arrow.metadata or {}).get(b"huggingface")
    try:
        names = json.loads(text)["info"]["features"][LABEL_COLUMN]["names"] if text else []
        return tuple(str(name) for name in names)
    except (ValueError, KeyError, TypeError):
        return ()
