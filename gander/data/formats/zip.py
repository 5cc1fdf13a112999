"""The .zip files that StyleGAN and EDM read."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from gander.data.formats.folder import is_image
from gander.data.formats.format import MOST_BYTES, Batch, Layout, WrittenFormat
from gander.data.origins import Contents, Entry, unreadable

_LABELS = "dataset.json"


class Zip(WrittenFormat):
    """Images, and labels by their names in `dataset.json`, or null where there are none."""

    reads = f"a .zip with {_LABELS}"
    suffixes = (".zip",)
    names = ("zip",)
    about = f"what StyleGAN and EDM read: PNG and `{_LABELS}`"
    one_file = True
    loading = Path(__file__).with_suffix(".md").read_text("utf-8")

    def read(self, path: Path, name: str, split: str) -> Contents:
        archive = zipfile.ZipFile(path)
        members = {member.filename: member for member in archive.infolist()}
        about = json.loads(_extract(archive, members[_LABELS])) if _LABELS in members else {}
        labels = {str(name): label for name, label in about.get("labels") or ()}
        classes = tuple(str(name) for name in about.get("classes") or ()) if labels else ()
        names = sorted(name for name in members if is_image(name))

        def entries() -> Iterator[Entry]:
            for name in names:
                yield Entry(name, None, partial(_extract, archive, members[name]), labels.get(name))
            for name in sorted(labels.keys() - members.keys()):
                yield unreadable(name, f"has a label in {_LABELS}, but is not in the archive")

        return Contents(entries(), bool(labels), classes, len(names))

    def write(self, path: Path, batches: Iterator[Batch], layout: Layout) -> None:
        labels: list[tuple[str, int]] = []
        with zipfile.ZipFile(path, "w") as archive:
            for batch in batches:
                for place, encoded in enumerate(batch.images):
                    number = batch.first + place
                    name = f"{number // 1000:05d}/img{number:08d}.png"
                    archive.writestr(zipfile.ZipInfo(name), encoded)  # all of 1980: equal sets, equal bytes
                    if batch.labels is not None:
                        labels.append((name, int(batch.labels[place])))
            card = {"labels": labels or None, "classes": layout.classes or None}
            archive.writestr(zipfile.ZipInfo(_LABELS), json.dumps(card))


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES >> 20} MiB")
    return archive.read(member)
