"""Look at a path, and choose the reader for what lies there."""

from __future__ import annotations

from pathlib import Path

from gander.data.arrays import idx_files, idx_origin, npz_origin
from gander.data.folders import folder_origin, zip_origin
from gander.data.origins import Origin
from gander.data.parquet import of_split, parquet_origin
from gander.data.pickles import META, cifar_archive_origin, cifar_folder_origin
from gander.errors import DataError

SUFFIXES = (".parquet", ".npz", ".zip", ".tar.gz", ".tgz")

FORMATS = (
    "a folder of parquet shards, cifar-10-batches-py or cifar-10-python.tar.gz, MNIST idx files, "
    "a folder of class folders or of images, an .npz, a .zip with dataset.json"
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
    return None


def _folder_origin(folder: Path, split: str) -> Origin | None:
    if shards := sorted(folder.glob("*.parquet")) or sorted(folder.glob("*/*.parquet")):
        return parquet_origin(folder, of_split(shards, split))
    for inner in (folder, folder / "cifar-10-batches-py"):
        if (inner / META).exists():
            return cifar_folder_origin(inner, split)
    if (archive := folder / "cifar-10-python.tar.gz").exists():
        return cifar_archive_origin(archive, split)
    if files := idx_files(folder, split):
        return idx_origin(folder, files)
    return folder_origin(folder, split)
