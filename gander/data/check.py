"""Look over a data set: everything that is wrong with it, and its figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from gander.data.images import Images, as_images, find_stored
from gander.data.origins import Pixels, Problem
from gander.pictures.sheet import contact_sheet

CHUNK = 1024


@dataclass(frozen=True)
class Summary:
    """What `gander data` says.

    Args:
        images: how many can be used.
        counts: images of each class, by name.
        means, deviations: of each channel, in 0..255.
        duplicates: images that repeat the pixels of another.
        store: the folder of the decoded images.
        problems: every image, label or file that cannot be used.
        notes: what was passed over, or decided.
    """

    source: str
    split: str
    images: int
    size: int
    channels: int
    counts: dict[str, int]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    duplicates: int
    fingerprint: str
    store: str
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """Return what each figure is, and the figure, for a person; without the problems."""
        colour = "grey" if self.channels == 1 else "red, green, blue"
        counts = ", ".join(f"{name} {count:,}" for name, count in self.counts.items())
        return [
            ("data", f"{self.source}, {self.split}"),
            ("images", f"{self.images:,} of {self.size} x {self.size} pixels, {colour}"),
            ("classes", counts or "no labels"),
            ("channel means", ", ".join(f"{mean:.3f}" for mean in self.means) + " of 255"),
            ("deviations", ", ".join(f"{value:.3f}" for value in self.deviations) + " of 255"),
            ("duplicates", f"{self.duplicates:,}"),
            ("fingerprint", self.fingerprint),
            ("store", self.store),
            *(("note", note) for note in self.notes),
            ("problems", f"{len(self.problems):,}"),
        ]


def inspect_data(
    source: str = "",
    path: str = "",
    size: int | None = None,
    split: str = "train",
    columns: tuple[str, str] = ("", ""),
) -> Summary:
    """Read a data set in one pass and sum it up, bad images and labels included.

    Raises: DataError where there is no such data, or no image of it can be used.
    """
    stored = find_stored(source, path, size, split, columns)
    images = as_images(stored, source, path)
    means, deviations = _moments(images.pixels)
    return Summary(
        source=images.source,
        split=split,
        images=len(images),
        size=images.size,
        channels=images.channels,
        counts={name: int(count) for name, count in zip(images.classes, images.counts(), strict=True)},
        means=means,
        deviations=deviations,
        duplicates=stored.duplicates,
        fingerprint=images.fingerprint,
        store=str(stored.folder),
        problems=stored.problems,
        notes=stored.notes,
    )


def draw_images(images: Images, columns: int = 10) -> Image.Image:
    """Draw the first images of each class, a row a class, or the first hundred."""
    labels = np.zeros(len(images), np.int64) if images.labels is None else images.labels
    each = columns if images.classes else columns * columns
    rows = [np.flatnonzero(labels == label)[:each] for label in range(len(images.classes) or 1)]
    chosen = np.concatenate(rows)
    names = images.classes if all(len(row) == columns for row in rows) else ()
    return contact_sheet(np.asarray(images.pixels[chosen]), columns, row_names=names)


def _moments(pixels: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, from exact counts of the 256 values."""
    counts = np.zeros((pixels.shape[1], 256), np.int64)
    for start in range(0, len(pixels), CHUNK):
        for channel, values in enumerate(pixels[start : start + CHUNK].swapaxes(0, 1)):
            counts[channel] += np.bincount(values.ravel(), minlength=256)
    total, values = counts.sum(1), np.arange(256)
    means = counts @ values / total
    deviations = np.sqrt((counts @ values**2 / total - means**2).clip(0))
    return tuple(means.tolist()), tuple(deviations.tolist())
