"""Tar shards as WebDataset lays them out: files of one stem are one sample."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from gander.data.folders import MOST_BYTES, SUFFIXES
from gander.data.origins import Contents, Entry, Origin, about_files, told_classes, unreadable

_LABEL = ".cls"


def tar_origin(root: Path, files: list[Path]) -> Origin:
    """Read shards one after another: `NAME.png` (or .jpg, .webp) is an image, `NAME.cls` its label."""
    about = about_files(files[0].parent, files[0].name)
    return Origin(root, (*files, *about), "tar", lambda: _read(root, files, told_classes(about)))


def _read(root: Path, files: list[Path], classes: tuple[str, ...]) -> Contents:
    labelled = any(label is not None for _, label in _samples(files[0]))
    entries = (entry for file in files for entry in _entries(str(file.relative_to(root)), file))
    return Contents(entries, labelled, classes)


def _entries(name: str, path: Path) -> Iterator[Entry]:
    row = 0
    try:
        for encoded, label in _samples(path):
            yield Entry(name, row, encoded, label)
            row += 1
    except Exception as error:  # a damaged file may raise anything
        yield unreadable(name, f"damaged from here on: {error}", row)


def _samples(path: Path) -> Iterator[tuple[bytes, int | None]]:
    """Give images with their labels; a sample's files stand one after another."""
    stem, image, label = "", b"", None
    with tarfile.open(path, "r|") as archive:
        for member in archive:
            place = PurePosixPath(member.name)
            if not member.isfile() or place.name.startswith("."):
                continue
            if member.size > MOST_BYTES:
                raise ValueError(f"{member.name}: more than {MOST_BYTES >> 20} MiB")
            own = str(place.parent / place.name.split(".")[0])
            if own != stem:
                if image:
                    yield image, label
                stem, image, label = own, b"", None
            content = archive.extractfile(member)
            assert content is not None
            if place.suffix.lower() in SUFFIXES:
                image = content.read()
            elif place.suffix == _LABEL:
                label = int(content.read())
    if image:
        yield image, label
