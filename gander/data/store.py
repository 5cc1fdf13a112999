"""The store: data sets decoded once into uint8 arrays in a cache, keyed by content and shared by runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
import numpy.typing as npt

from gander.data.filling import fill, fingerprint_of
from gander.data.origins import Origin, Pixels, Problem
from gander.errors import DataError, StorageError
from gander.files import draft_of, one_at_a_time, write_whole

VERSION = 2
"""Raised when the same files would decode to other pixels."""

ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Stored:
    """A folder of the store, opened.

    Args:
        named: whether the files name their classes; elsewhere the names are numbers.
        digest: a hash of images and labels that does not depend on their order.
        duplicates: how many images repeat the pixels of another.
        problems: what could not be stored, and why.
        notes: what was passed over, or decided.
    """

    folder: Path
    pixels: Pixels
    labels: npt.NDArray[np.int64] | None
    classes: tuple[str, ...]
    named: bool
    fingerprint: str
    digest: str
    duplicates: int
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()


def cache_folder() -> Path:
    """Return the folder of the store and of downloads; the environment variable GANDER_CACHE moves it."""
    if chosen := os.environ.get("GANDER_CACHE"):
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("gander"))


def open_stored(origin: Origin, size: int | None, title: str) -> Stored:
    """Open a data set from the store, after decoding it into the store where it is not there.

    An index by path, size and time of change spares hashing the files again.

    Raises: DataError where no image can be used; StorageError where the cache cannot be written.
    """
    settings = (VERSION, origin.kind, size)
    with storage_errors():
        index = cache_folder() / "index" / _key(settings, str(origin.root.resolve()), _stats(origin))
        if index.exists() and (stored := _load(_place(index.read_text()))):
            return stored
        key = _key(settings, _hashes(origin))
        folder = _place(key)
        with one_at_a_time(folder.with_suffix(".lock")):
            if not (stored := _load(folder)):
                _replace(folder, origin, size, title)
                stored = _load(folder)
        if stored is None:
            raise StorageError(
                f"{folder}: what was just written cannot be read back; the disk may be failing"
            )
        index.parent.mkdir(parents=True, exist_ok=True)
        write_whole(index, key.encode())
    return stored


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn what the disk refuses, to read the data or to write the cache, into one line."""
    try:
        yield
    except OSError as error:
        if error.filename and not Path(error.filename).is_relative_to(cache_folder()):
            raise DataError(f"{error.filename}: {error.strerror}") from error
        hint = "GANDER_CACHE=FOLDER before the command moves the cache to a place with room"
        place = error.filename or cache_folder()
        raise StorageError(
            f"{place}: {error.strerror or error}, while filling the cache", hint=hint
        ) from error


def _place(key: str) -> Path:
    return cache_folder() / "images" / key


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _stats(origin: Origin) -> list[tuple[str, int, int]]:
    stats = [(file, file.stat()) for file in origin.files]
    for file, stat in stats:
        if not S_ISREG(stat.st_mode):  # it would be waited for, or never end
            raise DataError(f"{file}: is a pipe, a device or a folder, and no file")
    return [(os.path.relpath(file, origin.root), stat.st_size, stat.st_mtime_ns) for file, stat in stats]


def _hashes(origin: Origin) -> list[tuple[str, str]]:
    hashes = []
    for path in origin.files:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        hashes.append((os.path.relpath(path, origin.root), digest))
    return hashes


def _load(folder: Path) -> Stored | None:
    """Open a folder of the store; None where it is absent or damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        pixels = np.memmap(folder / "pixels.bin", np.uint8, "r", shape=tuple(meta["shape"]))
        labels = np.load(folder / "labels.npy") if meta["labelled"] else None
        classes, problems = tuple(meta["classes"]), tuple(Problem(*problem) for problem in meta["problems"])
        known = meta["named"], meta["fingerprint"], meta["digest"], meta["duplicates"]
        _check_whole(folder, pixels, labels, meta)
        return Stored(folder, pixels, labels, classes, *known, problems, tuple(meta["notes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


_whole: set[tuple[Path, tuple[int, ...]]] = set()  # what this process has checked, by times of change


def _check_whole(folder: Path, pixels: Pixels, labels: npt.NDArray[np.int64] | None, meta: Any) -> None:
    """Hash what is stored, which costs what reading it does; ValueError where it has not its fingerprint."""
    times = folder, tuple(file.stat().st_mtime_ns for file in sorted(folder.iterdir()))
    if times in _whole:
        return
    held = fingerprint_of(hashlib.sha256(pixels.data), labels, meta["shape"], meta["classes"])
    if held != meta["fingerprint"]:
        raise ValueError("not what was stored")
    _whole.add(times)


def _replace(folder: Path, origin: Origin, size: int | None, title: str) -> None:
    """Fill a draft of the folder, so that nobody ever sees half of it."""
    for left in folder.parent.glob(".*.draft"):
        if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    with draft_of(folder) as draft:
        fill(draft, origin, size, title)
        shutil.rmtree(folder, ignore_errors=True)  # only a damaged one can be there
