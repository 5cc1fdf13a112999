"""Look at a path, and choose the reader for what lies there."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from gander.data.arrays import idx_files, idx_origin, npz_origin
from gander.data.flat import SUFFIXES as CSV_SUFFIXES
from gander.data.flat import csv_origin
from gander.data.folders import folder_origin, zip_origin
from gander.data.origins import Contents, Origin
from gander.data.parquet import of_split, parquet_origin
from gander.data.pickles import META, cifar_archive_origin, cifar_folder_origin
from gander.data.tars import tar_origin
from gander.errors import DataError

SUFFIXES = (".parquet", ".npz", ".zip", ".tar", ".tar.gz", ".tgz", *CSV_SUFFIXES)

FORMATS = (
    "a folder of parquet shards, cifar-10-batches-py or cifar-10-python.tar.gz, MNIST idx files, "
    "a folder of class folders or of images, an .npz, a .zip with dataset.json, flat CSV files (.gz, .zst), "
    "WebDataset .tar shards"
)


def find_origin(path: Path, split: str) -> Origin:
    """Choose a reader for a file or a folder.

    Raises: DataError where nothing is there, or nothing that can be read.
    """
    if path.is_file():
        origin = _file_origin(path, split)
    elif path.is_dir():
        origin = _folder_origin(path, split)
    else:
        raise DataError(f"{path}: there is no such file or folder")
    if origin is None:
        raise DataError(f"{path}: nothing here can be read; allowed: {FORMATS}")
    return origin


def _file_origin(path: Path, split: str) -> Origin | None:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return parquet_origin(path.parent, [path])
    if name.endswith(".npz"):
        return npz_origin(path, split)
    if name.endswith(".zip"):
        return zip_origin(path)
    if name.endswith((".tar.gz", ".tgz")):
        return cifar_archive_origin(path, split)
    if name.endswith(CSV_SUFFIXES):
        return csv_origin(path.parent, [path])
    if name.endswith(".tar"):
        return tar_origin(path.parent, [path])
    return None


def _within(folder: Path, *suffixes: str) -> list[Path]:
    """List the files of these kinds in a folder, or else in the folders of it."""
    for depth in ("*", "*/*"):
        if found := sorted(path for suffix in suffixes for path in folder.glob(f"{depth}{suffix}")):
            return found
    return []


def _folder_origin(folder: Path, split: str) -> Origin | None:
    if shards := _within(folder, ".parquet"):
        return parquet_origin(folder, of_split(shards, split))
    for inner in (folder, folder / "cifar-10-batches-py"):
        if (inner / META).exists():
            return cifar_folder_origin(inner, split)
    if (archive := folder / "cifar-10-python.tar.gz").exists():
        return cifar_archive_origin(archive, split)
    if idx := idx_files(folder, split):
        return idx_origin(folder, idx)
    if shards := _within(folder, *CSV_SUFFIXES):
        return csv_origin(folder, shards)
    if shards := _within(folder, ".tar"):
        return tar_origin(folder, shards)
    for suffix, reader in ((".npz", lambda path: npz_origin(path, split)), (".zip", zip_origin)):
        if shards := _within(folder, suffix):
            return _joined(folder, [reader(path) for path in shards])
    return folder_origin(folder, split)


def _joined(folder: Path, origins: list[Origin]) -> Origin:
    """Read several files one after another."""

    def read() -> Contents:
        parts = [origin.read() for origin in origins]
        count = sum(part.count or 0 for part in parts)
        entries = chain.from_iterable(part.entries for part in parts)
        return Contents(entries, any(part.labelled for part in parts), parts[0].classes, count)

    files = tuple(path for origin in origins for path in origin.files)
    return Origin(folder, files, origins[0].kind, read)
