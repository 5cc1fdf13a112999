"""The suite's data sets, 16 pixels a side and whole or spoilt, each an .npz in DIR/data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gander.data.images import Images, open_images

SIDE = 16
SHOWN = 20_000
"""Images of each data set, the first of a fixed shuffle; as many of the others, at most, are for scores."""

NAMES = ("shapes", "mnist", "cifar10")
Pixels = npt.NDArray[np.uint8]  # (N, C, S, S)
Labels = npt.NDArray[np.int64]
Spoil = Callable[[Pixels, Labels, np.random.Generator], tuple[Pixels, Labels]]


def find_data(name: str, data: Path | None) -> tuple[Pixels, Labels, tuple[str, ...]] | None:
    """Read a clean data set; None where its folder is not there."""
    if name == "shapes":
        images = open_images(name, size=SIDE)
    elif data is not None and (data / name).exists():
        images = open_images(name, str(data / name), size=SIDE)
    else:
        return None
    order = np.random.default_rng(16).permutation(len(images))
    assert images.labels is not None
    return np.asarray(images.pixels)[order], images.labels[order], images.classes


def clean_file(work: Path, name: str, data: Path | None) -> Path | None:
    """Give the data set that healthy runs learn; None where its folder is not there."""
    path = work / "data" / f"{name}.npz"
    if path.exists():
        return path
    read = find_data(name, data)
    if read is None:
        return None
    pixels, labels, classes = read
    shown = min(SHOWN, len(pixels) * 3 // 4)
    save(path, pixels[:shown], labels[:shown], classes)
    save(path.with_name(f"{name}-aside.npz"), pixels[shown:], labels[shown:], classes)
    return path


def spoilt_file(work: Path, clean: Path, kind: str, spoil: Spoil) -> Path:
    """Give a data set spoilt in one way; the same for all runs of one name."""
    path = work / "data" / f"{clean.stem}-{kind}.npz"
    if not path.exists():
        images = open_images(path=str(clean))
        assert images.labels is not None
        rng = np.random.default_rng(len(kind))
        pixels, labels = spoil(np.array(images.pixels), np.array(images.labels), rng)
        save(path, pixels, labels, images.classes)
    return path


def aside(work: Path, name: str) -> Images:
    """Open the images of a data set that no run is shown."""
    return open_images(path=str(work / "data" / f"{name}-aside.npz"))


def save(path: Path, pixels: Pixels, labels: Labels, classes: tuple[str, ...]) -> None:
    """Write a data set, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft.npz")
    np.savez(draft, images=pixels.transpose(0, 2, 3, 1), labels=labels, classes=np.array(classes))
    draft.rename(path)


def shuffled_labels(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
    """Give every image the label of another."""
    return pixels, rng.permutation(labels)


def noisy_labels(share: float) -> Spoil:
    """Give a share of the images a random label."""

    def spoil(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        wrong = rng.random(len(labels)) < share
        return pixels, np.where(wrong, rng.integers(0, labels.max() + 1, len(labels)), labels)

    return spoil


def tiny(count: int) -> Spoil:
    """Keep so many images."""
    return lambda pixels, labels, rng: (pixels[:count], labels[:count])


def duplicates(count: int, share: float) -> Spoil:
    """Put copies of so many images in the places of a share."""

    def spoil(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        where = np.arange(len(pixels))
        copied = rng.random(len(pixels)) < share
        where[copied] = rng.integers(0, count, copied.sum())
        return pixels[where], labels[where]

    return spoil


def imbalanced(share: float) -> Spoil:
    """Let one class be so large a share of all images."""

    def spoil(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        one, others = np.flatnonzero(labels == 1), np.flatnonzero(labels != 1)
        kept = rng.permutation(others)[: int(len(one) * (1 - share) / share)]
        where = np.sort(np.concatenate([one, kept]))
        return pixels[where], labels[where]

    return spoil


def swapped(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
    """Read red as blue."""
    return pixels[:, ::-1].copy(), labels


def ranged(low: float, high: float) -> Spoil:
    """Squeeze pixel values of 0 to 255 between two others."""

    def spoil(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        return np.rint(low + pixels * ((high - low) / 255)).astype(np.uint8), labels

    return spoil


def corrupt(share: float) -> Spoil:
    """Put noise in the place of a share of the images."""

    def spoil(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        spoilt = pixels.copy()
        bad = rng.random(len(pixels)) < share
        spoilt[bad] = rng.integers(0, 256, (bad.sum(), *pixels.shape[1:]), np.uint8)
        return spoilt, labels

    return spoil


def grainy(deviation: float) -> Spoil:
    """Add noise to all images."""

    def spoil(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        return np.clip(pixels + rng.normal(0, deviation, pixels.shape), 0, 255).astype(np.uint8), labels

    return spoil
