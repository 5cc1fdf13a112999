"""The official CIFAR-10 batches: pickles, read by an unpickler that makes arrays and nothing else."""

from __future__ import annotations

import codecs
import io
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from gander.data.arrays import array_entries
from gander.data.origins import Contents, Entry, Origin, damaged, unreadable

BATCHES = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
META = "batches.meta"
SIDE = 32
MOST_BYTES = 64 << 20

Members = Callable[[], Iterator[tuple[str, bytes]]]
"""Gives file names and contents, one at a time."""


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes) -> np.ndarray[Any, Any]:
    """Begin an array as pickles of arrays do; its state sets everything else."""
    return np.ndarray((0,), np.uint8)


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Look a name up in the list of what is allowed, before anything can be called."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data set needs; refused")
        return _ALLOWED[module, name]


def unpickle(encoded: bytes) -> Any:
    """Read a pickle of plain containers and arrays.

    Raises: pickle.UnpicklingError for anything else, before any of it runs; a damaged one may raise anything.
    """
    return _ArrayUnpickler(io.BytesIO(encoded), encoding="bytes").load()


def cifar_folder_origin(folder: Path, split: str) -> Origin:
    """Read the folder cifar-10-batches-py."""
    files = tuple(path for name in (META, *BATCHES[split]) if (path := folder / name).exists())
    return Origin(folder, files, f"cifar {split}", lambda: _read(_from_folder(files), split))


def _from_folder(files: tuple[Path, ...]) -> Members:
    return lambda: ((file.name, file.read_bytes()) for file in files)


def cifar_archive_origin(path: Path, split: str) -> Origin:
    """Read cifar-10-python.tar.gz as it stands; nothing is unpacked to disk."""

    def members() -> Iterator[tuple[str, bytes]]:
        with damaged(path), tarfile.open(path, "r|gz") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name in (META, *BATCHES[split]) and member.size <= MOST_BYTES:
                    file = archive.extractfile(member)
                    yield name, file.read() if file else b""

    return Origin(path.parent, (path,), f"cifar {split}", lambda: _read(members, split))


def _read(members: Members, split: str) -> Contents:
    with damaged(META):
        meta: Any = next((unpickle(encoded) for name, encoded in members() if name == META), {})
        names = meta.get(b"label_names", meta.get("label_names", ()))
        classes = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)

    def entries() -> Iterator[Entry]:
        missing = {*BATCHES[split]}
        for name, encoded in members():
            if name != META:
                missing.discard(name)
                yield from _batch(name, encoded)
        for name in sorted(missing):
            yield unreadable(name, "this file is missing")

    return Contents(entries(), True, classes, len(BATCHES[split]) * 10_000)


def _batch(name: str, encoded: bytes) -> Iterator[Entry]:
    try:
        batch = unpickle(encoded)
        flat, labels = (batch[key] if key in batch else batch[key.encode()] for key in ("data", "labels"))
        images = np.asarray(flat, np.uint8).reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    except Exception as error:  # a damaged pickle may raise anything
        yield unreadable(name, f"damaged: {error}")
        return
    yield from array_entries(name, images, labels)
