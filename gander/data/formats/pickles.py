"""The official CIFAR-10 batches: pickles, read without running anything that they name."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from gander.data.formats.format import MOST_BYTES, Format
from gander.data.origins import Contents, Entry, Origin, Pixels, array_entries, damaged, unreadable

_BATCHES = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
_META = "batches.meta"
_SIDE = 32
_ARCHIVE = "cifar-10-python.tar.gz"

_CODES = (  # marks, containers, texts, whole numbers, the memo, and the five below; the rest is not read
    b"\x80\x95(.})]lt\x85\x86\x87dasueUTCBSVX\x8cN\x88\x89KMJIpqrghj\x94cR\x93b"
)
_RECONSTRUCT, _ARRAY, _TYPE, _ENCODE = "reconstruct", "array", "type", "encode"
_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): _ARRAY,
    ("numpy", "dtype"): _TYPE,
    ("_codecs", "encode"): _ENCODE,
}


class _Named(str):
    """What a pickle names to be called; it is a word, and nothing can be called."""


class _Made:
    """An array or its type in the making."""

    values: Pixels | None = None


def _refused(reader: _Reader) -> None:
    raise pickle.UnpicklingError("it does what no data set needs; refused")


_Python: Any = pickle._Unpickler


class _Reader(_Python):  # type: ignore[misc]
    """Read containers of texts, whole numbers and arrays of uint8; nothing that a pickle names is ever run.

    It is the unpickler in Python, so that no number in a file is an address or a length of memory.
    """

    dispatch: ClassVar[dict[int, Any]] = dict.fromkeys(range(256), _refused)
    dispatch |= {code: _Python.dispatch[code] for code in _CODES}

    def find_class(self, module: str, name: str) -> _Named:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data set needs; refused")
        return _Named(_KNOWN[module, name])

    def load_reduce(self) -> None:
        given, called = self.stack.pop(), self.stack.pop()
        match called, given:
            case _Named(), (str() as text, "latin1") if called == _ENCODE:
                self.made = getattr(self, "made", 0) + len(text)
                if self.made > MOST_BYTES:
                    raise pickle.UnpicklingError(f"more than {MOST_BYTES >> 20} MiB; refused")
                made: Any = text.encode("latin1")
            case _Named(), (_Named(), (0,), _) if (called, given[0]) == (_RECONSTRUCT, _ARRAY):
                made = _Made()
            case _Named(), ("u1" | b"u1", *_) if called == _TYPE:
                made = _Made()
            case _:
                raise pickle.UnpicklingError("it calls what only arrays of uint8 need, otherwise; refused")
        self.stack.append(made)

    def load_build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        match made, state:
            case _Made(), (1, tuple() as shape, _Made(), 0, bytes() as values):
                made.values = np.frombuffer(values, np.uint8).reshape(shape)
            case _Made(), (3 | 4, "|" | b"|", None, None, None, -1, -1, 0):
                pass
            case _:
                raise pickle.UnpicklingError("it holds an array of another kind than uint8; refused")

    dispatch[ord("R")], dispatch[ord("b")] = load_reduce, load_build


def unpickle(encoded: bytes) -> dict[Any, Any]:
    """Read a pickle of a dict as CIFAR's are: its values are texts, lists of them, and arrays of uint8.

    Raises: pickle.UnpicklingError for anything else, before any of it runs; a damaged one may raise anything.
    """
    read = _Reader(io.BytesIO(encoded), encoding="bytes").load()
    return {key: value.values if isinstance(value, _Made) else value for key, value in dict(read).items()}


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
        meta = unpickle(held[_META]) if _META in held else {}
        named = meta.get(b"label_names", meta.get("label_names", ()))
        classes = tuple(name.decode() if isinstance(name, bytes) else name for name in named)
        if not all(isinstance(name, str) for name in classes):
            raise ValueError("its label_names are not texts")
    names = [name for name in dict.fromkeys([*held, *wanted]) if name != _META]  # as they lie in the archive
    entries = chain.from_iterable(_batch(name, held.get(name)) for name in names)
    return Contents(entries, True, classes, len(names) * 10_000)


def _batch(name: str, encoded: bytes | None) -> Iterator[Entry]:
    if encoded is None:
        return iter([unreadable(name, "this file is missing")])
    try:
        batch = unpickle(encoded)
        flat, labels = (batch[key] if key in batch else batch[key.encode()] for key in ("data", "labels"))
        if not isinstance(flat, np.ndarray) or not all(isinstance(label, int) for label in labels):
            raise ValueError("data must be an array of uint8, and labels a list of whole numbers")
        images = flat.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    except Exception as error:  # a damaged pickle may raise anything
        return iter([unreadable(name, f"damaged: {error}")])
    return array_entries(name, images, labels)
