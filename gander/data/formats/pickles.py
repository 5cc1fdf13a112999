"""The official CIFAR-10 batches: pickles, read by an unpickler that makes arrays and nothing else."""

from __future__ import annotations

import codecs
import io
import pickle
import tarfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from gander.data.formats.format import MOST_BYTES, Format
from gander.data.origins import Contents, Entry, Origin, array_entries, damaged, unreadable

_BATCHES = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
_META = "batches.meta"
_SIDE = 32
_ARCHIVE = "cifar-10-python.tar.gz"


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
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data set needs; refused")
        return _ALLOWED[module, name]


def unpickle(encoded: bytes) -> Any:
    """Read a pickle of plain containers and arrays.

    Raises: pickle.UnpicklingError for anything else, before any of it runs; a damaged one may raise anything.
    """
    return _ArrayUnpickler(io.BytesIO(encoded), encoding="bytes").load()


class CifarPickles(Format):
    """The folder cifar-10-batches-py, or the archive of it as it stands: nothing is unpacked to disk."""

    reads = f"cifar-10-batches-py or {_ARCHIVE}"
    suffixes = (".tar.gz", ".tgz")

    def files_in(self, folder: Path, split: str) -> list[Path]:
        for inner in (folder, folder / "cifar-10-batches-py"):
            if (inner / _META).exists():
                names = (_META, *_BATCHES[split])
                return [path for name in names if (path := inner / name).exists()]
        return [path for path in (folder / _ARCHIVE,) if path.exists()]

    def origin(self, root: Path, files: list[Path], split: str) -> Origin:
        return Origin(root, tuple(files), f"cifar {split}", lambda: _read(files, split))


def _members(files: list[Path]) -> Iterator[tuple[str, bytes]]:
    if files[0].name == _META:
        yield from ((file.name, file.read_bytes()) for file in files)
        return
    with damaged(files[0]), tarfile.open(files[0], "r|gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file and member.size <= MOST_BYTES:
                yield PurePosixPath(member.name).name, file.read()


def _read(files: list[Path], split: str) -> Contents:
    wanted = (_META, *_BATCHES[split])
    held = {name: encoded for name, encoded in _members(files) if name in wanted}
    with damaged(_META):
        meta: Any = unpickle(held[_META]) if _META in held else {}
        classes = meta.get(b"label_names", meta.get("label_names", ()))
        classes = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in classes)
    names = [name for name in dict.fromkeys([*held, *wanted]) if name != _META]  # as they lie in the archive
    entries = chain.from_iterable(_batch(name, held.get(name)) for name in names)
    return Contents(entries, True, classes, len(names) * 10_000)


def _batch(name: str, encoded: bytes | None) -> Iterator[Entry]:
    if encoded is None:
        return iter([unreadable(name, "this file is missing")])
    try:
        batch = unpickle(encoded)
        flat, labels = (batch[key] if key in batch else batch[key.encode()] for key in ("data", "labels"))
        images = np.asarray(flat, np.uint8).reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    except Exception as error:  # a damaged pickle may raise anything
        return iter([unreadable(name, f"damaged: {error}")])
    return array_entries(name, images, labels)
