"""Image files in folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from gander.data.formats.format import MOST_BYTES, Batch, Layout, WrittenFormat
from gander.data.origins import Contents, Entry, Origin, cards_in, class_names
from gander.errors import DataError

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
_UNREAD_SUFFIXES = {".heic", ".avif", ".ppm", ".jp2"}  # named as problems
_SPLITS = {"train", "test", "val", "valid", "validation"}


def is_image(name: str) -> bool:
    """Return whether a file's name is an image's, or that of a kind which is not decoded."""
    path = Path(name)
    return path.suffix.lower() in IMAGE_SUFFIXES | _UNREAD_SUFFIXES and not path.name.startswith(".")


class Folder(WrittenFormat):
    """A folder of class folders, or of images alone; each split may have a folder of its own."""

    reads = "a folder of class folders or of images"
    names = ("folder",)
    about = "a folder of PNG files a class"
    one_file = True
    loading = Path(__file__).with_suffix(".md").read_text("utf-8")

    @staticmethod
    def suffix(name: str) -> str:
        return ""

    def files_in(self, folder: Path, split: str) -> list[Path]:
        folder = _of_split(folder, split)
        places = [folder, *_folders(folder)]
        return [path for place in places for path in sorted(place.iterdir()) if is_image(path.name)]

    def origin(self, root: Path, files: list[Path], split: str) -> Origin:
        folder = _of_split(root, split)
        full = {file.parent for file in files}
        groups = [inner.name for inner in _folders(folder) if inner in full]
        bare = [inner.name for inner in _folders(folder) if inner not in full]
        notes = (f"passed over, as no image lies in them: {', '.join(bare[:10])}",) if bare else ()
        classes = class_names(cards_in(root))
        order = [folder_name(name) for name in classes]
        if not {*groups} <= {*order}:
            classes, order = tuple(groups), groups
        labels = {folder / name: order.index(name) for name in groups}
        if all(file.parent == folder for file in files):
            classes = ()
        ordered = sorted(files, key=lambda file: labels.get(file.parent, -1))  # within a class by name

        def read() -> Contents:
            entries = (
                Entry(str(file.relative_to(folder)), None, partial(_read, file), labels.get(file.parent))
                for file in ordered
            )
            return Contents(entries, bool(classes), classes, len(ordered), notes)

        return Origin(folder, tuple(ordered), f"folder {json.dumps([classes, notes])}", read)

    def bytes_each(self, layout: Layout) -> int:
        return -(-super().bytes_each(layout) // 4096) * 4096  # whole blocks of the disk

    def write(self, path: Path, batches: Iterator[Batch], layout: Layout) -> None:
        for batch in batches:
            labels = [None] * len(batch.images) if batch.labels is None else batch.labels
            for number, (encoded, label) in enumerate(zip(batch.images, labels, strict=True), batch.first):
                inner = path if label is None else path / folder_name(layout.classes[label])
                inner.mkdir(parents=True, exist_ok=True)
                (inner / f"{number:08d}.png").write_bytes(encoded)


def _read(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES >> 20} MiB")
    return path.read_bytes()


def _of_split(folder: Path, split: str) -> Path:
    """Go into the folder of a split where all folders are splits; DataError where it is not among them."""
    names = [inner.name for inner in _folders(folder)]
    if not names or not _SPLITS.issuperset(names):
        return folder
    if split not in names:
        raise DataError(f'{folder}: no folder of the split "{split}"; there is: {", ".join(names)}')
    return folder / split


def _folders(folder: Path) -> list[Path]:
    inner = sorted(folder.iterdir())
    # macOS puts a shadow of every file into __MACOSX when it makes an archive.
    return [path for path in inner if path.is_dir() and path.name[0] != "." and path.name != "__MACOSX"]


def folder_name(name: str) -> str:
    """Return a class's name as its folder's: T-shirt/top would be two."""
    return name.replace("/", "-")
