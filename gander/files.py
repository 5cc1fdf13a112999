"""Files that are there whole or not at all: drafts, locks, appended rows, what a full disk is answered."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from gander.errors import RunInUseError, StorageError, UsageError

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


def check_system() -> None:
    """Raise UsageError where files cannot be locked."""
    if fcntl is None:
        raise UsageError("gander needs Linux, macOS or WSL", hint="wsl --install")


def locked(folder: Path, doing: str) -> IO[bytes]:
    """Hold a folder for writing until the file that is given is closed.

    Raises: RunInUseError with the holder's process number, StorageError.
    """
    check_system()
    with disk_refusals(folder):
        file = open(folder / LOCK, "ab+", buffering=0, opener=no_link)  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        except BlockingIOError:
            with file:
                file.seek(0)
                raise RunInUseError(
                    f"{folder}: process {file.read().decode() or 'unknown'} is {doing} it now",
                    hint="wait for it, or stop it with: kill -INT and its number",
                ) from None
    return file


def no_link(path: str, flags: int) -> int:
    """Open a file itself; a link is an OSError, and a pipe is not waited for."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def check_plain(paths: Iterable[Path]) -> None:
    """Raise StorageError where one is a link, a pipe or a device: what leads elsewhere, or is waited for."""
    for path in paths:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StorageError(
                f"{path}: is a link, a pipe or a device, and nothing is read or written through it",
                hint=f"put the file or folder itself there, or rm {path}",
            )


def is_locked(folder: Path) -> bool:
    """Tell whether a process holds a folder for writing now."""
    try:
        with open(folder / LOCK, "rb", opener=no_link) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Let one process at a time past; a lock ends with the process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add one line to a log, in one write where the disk takes it whole."""
    line = json.dumps(row, allow_nan=False).encode() + b"\n"
    with path.open("ab", buffering=0) as file:
        while line:  # a disk that fills up takes a part first, and complains at the rest
            line = line[file.write(line) :]


def cut_rows(path: Path, rows: int) -> None:
    """Keep the first `rows` lines of a log and drop what was written after them, in one step."""
    if path.exists():
        lines = path.read_bytes().splitlines(keepends=True)
        if len(lines) != rows:
            write_whole(path, b"".join(lines[:rows]))


def digest_of(content: bytes) -> str:
    """Return the sha256 of what a file holds, in hex."""
    return hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file in hex."""
    return digest_of(path.read_bytes())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut."""
    draft = path.with_name(f".{path.name}-{os.getpid()}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """Give a draft to fill, which becomes the folder in one step, or nothing where filling it fails.

    Raises: UsageError where the folder is there already, StorageError where the disk refuses.
    """
    check_free(folder)
    with disk_refusals(folder), draft_of(folder) as draft:
        yield draft


@contextmanager
def draft_of(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which then takes the place of an empty folder, and of nothing else."""
    draft = folder.with_name(f".{folder.name}-{os.getpid()}.draft")
    try:
        draft.mkdir(parents=True)
        yield draft
        for path in (*draft.rglob("*"), draft):
            sync(path)
        draft.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_free(*places: Path) -> None:
    """Raise UsageError where one of the places that `--to` names is taken."""
    for place in places:
        if place.exists():
            raise UsageError(f'--to "{place}": is already there, and nothing is overwritten')


def check_folder(path: Path) -> None:
    """Raise UsageError where the folder that a file of `--to` is to lie in is not there."""
    if not path.parent.is_dir():
        raise UsageError(f'--to "{path}": there is no folder {path.parent}', hint=f"mkdir -p {path.parent}")


def sync(path: Path) -> None:
    """Make what was written to a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def storage_error(error: OSError, path: Path, again: str = "the same command") -> StorageError:
    """Say what the disk refused, where, how much room is left, and what goes on from there."""
    room = ""
    for folder in (path, *path.parents):
        if folder.exists():
            room = f"; {shutil.disk_usage(folder).free / 2**20:,.0f} MiB are free there"
            break
    return StorageError(
        f"{path}: cannot be written: {error.strerror or error}{room}",
        hint=f"free some room or give another place, then {again}",
    )


@contextmanager
def disk_refusals(path: Path, again: str = "the same command") -> Iterator[None]:
    """Raise what the disk refuses, while `path` is written, as a StorageError."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path, again) from None
