"""Tar shards as WebDataset lays them out: files of one stem are one sample."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from gander.data.formats.folder import IMAGE_SUFFIXES
from gander.data.formats.format import CONFIDENCE, MOST_BYTES, Batch, Layout, WrittenFormat, move_bytes
from gander.data.origins import Contents, Entry, Origin, cards_in, class_names, unreadable

_LABEL = ".cls"


class Tar(WrittenFormat):
    """`NAME.png` (or .jpg, .webp) is an image, `NAME.cls` its label, `NAME.json` the judge's confidence."""

    reads = "WebDataset .tar shards"
    suffixes = (".tar",)
    names = ("tar",)
    about = "WebDataset shards"
    loading = Path(__file__).with_suffix(".md").read_text("utf-8")

    def origin(self, root: Path, files: list[Path], split: str) -> Origin:
        cards = cards_in(files[0].parent, files[0].stem)
        return Origin(root, (*files, *cards), "tar", lambda: _read(root, files, class_names(cards)))

    def bytes_each(self, layout: Layout) -> int:
        block = tarfile.BLOCKSIZE
        image = -(-super().bytes_each(layout) // block) * block
        small = bool(layout.classes) + layout.confident
        return block + image + small * 2 * block

    def write(self, path: Path, batches: Iterator[Batch], layout: Layout, first: bool) -> None:
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
            for batch in batches:
                for place, encoded in enumerate(batch.encoded):
                    files = {"png": encoded}
                    if batch.labels is not None:
                        files["cls"] = b"%d" % batch.labels[place]
                    if batch.confidence is not None:
                        files["json"] = json.dumps({CONFIDENCE: float(batch.confidence[place])}).encode()
                    for suffix, content in files.items():
                        member = tarfile.TarInfo(f"{batch.first + place:08d}.{suffix}")
                        member.size = len(content)
                        archive.addfile(member, io.BytesIO(content))
            end = archive.offset
        os.truncate(path, end)  # other parts follow; `join` writes the end of the archive

    def join(self, parts: list[Path], path: Path, layout: Layout) -> None:
        with path.open("wb") as whole:
            move_bytes(parts, whole)
            end = whole.tell() + 2 * tarfile.BLOCKSIZE
            whole.truncate(-(-end // tarfile.RECORDSIZE) * tarfile.RECORDSIZE)


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
    """Return images with their labels; a sample's files stand one after another."""
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
            if place.suffix.lower() in IMAGE_SUFFIXES:
                image = content.read()
            elif place.suffix == _LABEL:
                label = int(content.read())
    if image:
        yield image, label
