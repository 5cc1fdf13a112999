"""Look at a path and find the reader for what lies there."""

from __future__ import annotations

from pathlib import Path

from gander.data.origins import Origin
from gander.data.parquet import parquet_origin
from gander.errors import DataError

SUFFIXES = (".parquet", ".npz", ".zip", ".tar.gz")


def find_origin(path: Path, split: str) -> Origin:
    """Choose a reader by what is there.

    Raises: DataError where nothing is there, or nothing that can be read.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if path.is_file() and path.suffix == ".parquet":
        return parquet_origin(path.parent, [path], split="")
    shards = sorted(path.glob("*.parquet")) or sorted(path.glob("*/*.parquet"))
    if shards:
        return parquet_origin(path, shards, split)
    raise DataError(f"{path}: holds nothing that can be read")
