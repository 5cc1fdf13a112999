"""Look at a path, and choose the reader for what lies there."""

from __future__ import annotations

import glob
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
    """Choose a reader for a file, for one that lies there in shards, or for a folder.

    Raises: DataError where nothing is there, or nothing that can be read.
    """
    if path.is_dir():
        origin = _folder_origin(path, split)
    elif files := [path] if path.is_file() else shards_of(path):
        origin = _files_origin(path.parent, files, split)
    else:
        raise DataError(f"{path}: there is no such file or folder")
    if origin is None:
        raise DataError(f"{path}: nothing here can be read; allowed: {FORMATS}")
    return origin


def shards_of(path: Path) -> list[Path]:
    """List the files NAME-00000-of-00002.SUFFIX that a large NAME.SUFFIX is written as.

    Raises: DataError where some are missing.
    """
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), "")
    digits = "[0-9]" * 5
    stem = glob.escape(path.name.removesuffix(suffix))
    found = sorted(path.parent.glob(f"{stem}-{digits}-of-{digits}{suffix}")) if suffix else []
    wanted = [f"-{number:05d}-of-{len(found):05d}{suffix}" for number in range(len(found))]
    if not all(file.name.endswith(end) for file, end in zip(found, wanted, strict=True)):
        raise DataError(f"{path}: its files {found[0].name} ... {found[-1].name} are not a whole set")
    return found


def _files_origin(folder: Path, files: list[Path], split: str) -> Origin | None:
    name = files[0].name.lower()
    if name.endswith(".parquet"):
        return parquet_origin(folder, files)
    if name.endswith(CSV_SUFFIXES):
        return csv_origin(folder, files)
    if name.endswith((".tar.gz", ".tgz")):
        return cifar_archive_origin(files[0], split)
    if name.endswith(".tar"):
        return tar_origin(folder, files)
    readers = {".npz": lambda path: npz_origin(path, split), ".zip": zip_origin}
    reader = next((read for suffix, read in readers.items() if name.endswith(suffix)), None)
    if reader is None:
        return None
    return reader(files[0]) if len(files) == 1 else _joined(folder, [reader(file) for file in files])


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
    for suffix in (".npz", ".zip"):
        if shards := _within(folder, suffix):
            return _files_origin(folder, shards, split)
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
