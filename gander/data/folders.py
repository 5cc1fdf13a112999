"""Image files in folders, and in the .zip files that StyleGAN and EDM read."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from gander.data.origins import Contents, Entry, Origin, about_files, damaged, told_classes, unreadable
from gander.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
UNREAD_SUFFIXES = {".gif", ".tif", ".tiff", ".heic", ".avif", ".ppm", ".jp2"}
"""Images of kinds that are not decoded: named as problems, not passed over in silence."""

SPLITS = {"train", "test", "val", "valid", "validation"}
LABELS = "dataset.json"
MOST_BYTES = 64 << 20


def _is_image(name: str) -> bool:
    path = Path(name)
    return path.suffix.lower() in SUFFIXES | UNREAD_SUFFIXES and not path.name.startswith(".")


def folder_origin(folder: Path, split: str) -> Origin | None:
    """Read a folder of class folders, or of images alone, or of folders that are splits.

    Returns: None where there is no image.
    Raises: DataError where there are splits, but not the one that is asked for.
    """
    told = told_classes(about_files(folder))
    groups = _folders(folder)
    names = [group.name for group in groups]
    if names and SPLITS.issuperset(names):
        if split not in names:
            raise DataError(f'{folder}: no folder of the split "{split}"; there is: {", ".join(names)}')
        folder = folder / split
        groups = _folders(folder)
        names = [group.name for group in groups]
    order = [folder_name(name) for name in told]
    if not {group.name for group in groups} <= {*order}:
        told, order = tuple(names), names
    groups.sort(key=lambda group: order.index(group.name))
    loose = [path for path in sorted(folder.iterdir()) if _is_image(path.name)]
    sorted_in = [path for group in groups for path in sorted(group.iterdir()) if _is_image(path.name)]
    files = (*loose, *sorted_in)
    if not files:
        return None
    classes = told if sorted_in else ()

    def read() -> Contents:
        labels = {group: order.index(group.name) for group in groups}
        entries = (
            Entry(str(path.relative_to(folder)), None, partial(_read, path), labels.get(path.parent))
            for path in files
        )
        return Contents(entries, bool(classes), classes, len(files))

    return Origin(folder, files, f"folder {json.dumps(classes)}", read)


def _read(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES >> 20} MiB")
    return path.read_bytes()


def _folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]


def folder_name(name: str) -> str:
    """Give a class's name as its folder's: T-shirt/top would be two."""
    return name.replace("/", "-")


def zip_origin(path: Path) -> Origin:
    """Read a .zip of images; `dataset.json` in it has the labels, or null where there are none."""
    return Origin(path.parent, (path,), "zip", lambda: _read_zip(path))


def _read_zip(path: Path) -> Contents:
    with damaged(path):
        archive = zipfile.ZipFile(path)
        members = {member.filename: member for member in archive.infolist()}
        about = json.loads(_extract(archive, members[LABELS])) if LABELS in members else {}
        labels = {str(name): label for name, label in about.get("labels") or ()}
        classes = tuple(str(name) for name in about.get("classes") or ()) if labels else ()
    names = sorted(name for name in members if _is_image(name))

    def entries() -> Iterator[Entry]:
        for name in names:
            yield Entry(name, None, partial(_extract, archive, members[name]), labels.get(name))
        for name in sorted(labels.keys() - members.keys()):
            yield unreadable(name, f"has a label in {LABELS}, but is not in the archive")

    return Contents(entries(), bool(labels), classes, len(names))


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES >> 20} MiB")
    return archive.read(member)
