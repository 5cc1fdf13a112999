"""Tar shards as WebDataset lays them out: files of one stem are one sample."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath

from gander.data.formats.folder import IMAGE_SUFFIXES
from gander.data.formats.format import CONFIDENCE, MOST_BYTES, Batch, Layout, WrittenFormat
from gander.data.origins import Contents, numbered

_LABEL = ".cls"


class Tar(WrittenFormat):
    """`NAME.png` (or .jpg, .webp) is an image, `NAME.cls` its label, `NAME.json` the judge's confidence."""

    reads = "WebDataset .tar shards"
    suffixes = (".tar",)
    names = ("tar",)
    about = "WebDataset shards"
    loading = Path(__file__).with_suffix(".md").read_text("utf-8")

    def read(self, path: Path, name: str, split: str) -> Contents:
        labelled = any(label is not None for _, label in _samples(path))
        return Contents(numbered(name, _samples(path)), labelled)

    def bytes_each(self, layout: Layout) -> int:
        block = tarfile.BLOCKSIZE
        image = -(-super().bytes_each(layout) // block) * block
        small = bool(layout.classes) + layout.confident
        return block + image + small * 2 * block

    def write(self, path: Path, batches: Iterator[Batch], layout: Layout) -> None:
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
            for batch in batches:
                for place, encoded in enumerate(batch.images):
                    files = {"png": encoded}
                    if batch.labels is not None:
                        files["cls"] = b"%d" % batch.labels[place]
                    if batch.confidence is not None:
                        files["json"] = json.dumps({CONFIDENCE: float(batch.confidence[place])}).encode()
                    for suffix, content in files.items():
                        member = tarfile.TarInfo(f"{batch.first + place:08d}.{suffix}")
                        member.size = len(content)
                        archive.addfile(member, io.BytesIO(content))


def _samples(path: Path) -> Iterator[tuple[bytes, int | None]]:
    """Return images with their labels; a sample's files stand one after another."""
    with tarfile.open(path, "r|") as archive:
        files = ((PurePosixPath(member.name), member) for member in archive if member.isfile())
        seen = ((place, member) for place, member in files if not place.name.startswith("."))
        for _, sample in groupby(seen, lambda file: (file[0].parent, file[0].name.split(".")[0])):
            image, label = b"", None
            for place, member in sample:
                if member.size > MOST_BYTES or member.issparse():
                    raise ValueError(f"{member.name}: sparse, or more than {MOST_BYTES >> 20} MiB")
                content = archive.extractfile(member)
                if content and place.suffix.lower() in IMAGE_SUFFIXES:
                    image = content.read()
                elif content and place.suffix == _LABEL:
                    label = int(content.read())
            if image:
                yield image, label
        end = archive.offset
    # A header that cannot be read ends an archive as its end does, and hides all that follows.
    with path.open("rb") as file:
        file.seek(end)
        rest = file.read(tarfile.BLOCKSIZE)
        while rest and not rest.strip(b"\0"):
            rest = file.read(1 << 20)
        if rest or file.tell() < end + tarfile.BLOCKSIZE:
            raise ValueError(f"no file begins at byte {end:,}, where one should, or the archive should end")
