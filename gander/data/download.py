"""Download a named data set: from the first mirror that has it whole, going on where a download broke off."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

import requests

from gander.data.formats.all import find_origin, what_is_read
from gander.data.names import Named
from gander.data.progress import progress
from gander.data.store import Stored, cache_folder, open_stored, storage_errors
from gander.errors import DataError
from gander.files import one_at_a_time

BLOCK = 1 << 16
"""Bytes a write, and the most that are lost when a connection breaks."""

TIMEOUT = (10.0, 60.0)
"""Seconds until a connection, and between two blocks."""


def open_named(named: Named, split: str, size: int | None) -> Stored:
    """Open a public data set in the store, after downloading it where it is not there.

    The decoded content is checked where it is known, before any resizing.

    Raises: DataError, naming every mirror that was tried and what can be done without a network.
    """
    if split not in named.digests:
        raise DataError(
            f"{named.name}: no checksum of its {split} split is known, and nothing is used unchecked",
            hint=f"fetch its files yourself, then data={named.name} data.path=FOLDER",
        )
    failures = []
    here = {mirror: [_place(named, url) for url in mirror] for mirror in named.mirrors[split]}
    for mirror, files in sorted(here.items(), key=lambda item: not all(file.exists() for file in item[1])):
        try:
            for url, file in zip(mirror, files, strict=True):
                fetch(url, file, named.md5.get(file.name))
            return _checked(named, split, size, files)
        except DataError as error:
            failures.append("; ".join(error.problems[:2]))
    raise DataError(
        f"{named.name}: cannot be downloaded. Tried:",
        *failures,
        f"Without a network, data.path reads: {what_is_read()}",
        hint="gander train NAME data.path=FOLDER",
    )


def _place(named: Named, url: str) -> Path:
    address = urlsplit(url)
    return cache_folder() / "downloads" / named.name / address.netloc / address.path.rpartition("/")[2]


def _checked(named: Named, split: str, size: int | None, files: list[Path]) -> Stored:
    origin = find_origin(files[0] if len(files) == 1 else files[0].parent, split)
    try:
        stored = open_stored(origin, None, named.name)
        if stored.problems:
            raise DataError(str(stored.problems[0]))
        if stored.digest != named.digests[split]:
            raise DataError("these are not the images and labels that are published under this name")
    except DataError as wrong:
        for file in files:
            file.unlink()
        raise DataError(f"{files[0].parent.name}: wrong content, deleted again: {wrong}") from None
    return stored if size in (None, stored.pixels.shape[-1]) else open_stored(origin, size, named.name)


def fetch(url: str, to: Path, md5: str | None = None) -> None:
    """Download one file, unless it is there; what is half there is gone on with.

    Raises: DataError where the file cannot be had, or is not the right one.
    """
    part = to.with_name(f"{to.name}.part")
    with storage_errors(), one_at_a_time(to.with_name(f"{to.name}.lock")):
        if to.exists():
            return
        while True:
            before = _length(part)
            try:
                _go_on(url, part)
                break
            except requests.RequestException as error:
                if _length(part) <= before:  # it may break off as often as it likes while it gets on
                    raise DataError(f"{url}: {_reason(error)}") from error
        with part.open("rb") as file:
            if md5 and hashlib.file_digest(file, "md5").hexdigest() != md5:
                part.unlink()
                raise DataError(f"{url}: wrong content, deleted again: its MD5 is not {md5}")
        os.replace(part, to)


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _go_on(url: str, part: Path) -> None:
    """Ask for what is missing and append it; a server that sends the whole file starts it anew."""
    start = _length(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        span = answer.headers.get("Content-Range", "")
        if answer.status_code == 416 and start:
            if span != f"bytes */{start}":  # else it was whole already
                part.unlink()
                _go_on(url, part)
            return
        answer.raise_for_status()
        goes_on = answer.status_code == 206 and span.startswith(f"bytes {start}-")
        length = answer.headers.get("Content-Length")
        whole = int(length) + start * goes_on if length else None
        with (
            part.open("ab" if goes_on else "wb") as file,
            progress(f"Downloading {url}", whole, "bytes") as advance,
        ):
            advance(file.tell())
            for block in answer.iter_content(BLOCK):
                file.write(block)
                advance(len(block))
    if whole is not None and _length(part) != whole:
        raise requests.ConnectionError("broken off")


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection, or it broke off"
