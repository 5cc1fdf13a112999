"""What is counted in the images before a training: repeats, ranges, noise, channels, how labels fit."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gander.data.images import Images
from gander.data.origins import Pixels
from gander.data.store import cache_folder
from gander.errors import StorageError
from gander.files import disk_refusals, write_whole

VERSION = 2
"""Raised when the same images would give other numbers."""

GRID = 8
"""Blocks a side, by whose means images are compared."""

QUERIES, REFERENCES, NEIGHBOURS = 1_000, 10_000, 10
SURE = 8
"""Neighbours of one class from which on an image's class is taken to be theirs."""

ALIKE = 0.04
"""Root mean square of what two near duplicates differ by, over the deviation within one of them."""

_KNOWN = tomllib.loads(Path(__file__).with_name("known.toml").read_text("utf-8"))
_CHUNK = 512
_Numbers = npt.NDArray[np.float32]


def describe(images: Images, counted: bool = True) -> dict[str, Any]:
    """Describe the data of a run as plain data; with what is counted in them under `facts`."""
    return {
        "source": images.source,
        "fingerprint": images.fingerprint,
        "images": len(images),
        "channels": images.channels,
        "size": images.size,
        "classes": list(images.classes),
        "facts": data_facts(images) if counted else {},
    }


def data_facts(images: Images) -> dict[str, Any]:
    """Count, in a second for 50,000 images of 32 x 32, and keep what was counted beside the store.

    Returns plain data: `counts` of the classes; `duplicates`, the images that repeat another; `near`, the
    share with a near duplicate; `low` and `high`, between which 99 % of the values lie; `flat` and `noise`,
    the shares of images of one colour, and of those whose neighbouring pixels have nothing in common; `means`
    and `covariance` of the channels; `agreement` of labels with those of the images most alike, in `asked`
    images, what it is by `chance`, and how often it is `right` where they are near unanimous, the share
    `sure`. Data that claim to be a known set have `known`: how far their channels are from its.
    """
    path = cache_folder() / "facts" / f"{images.fingerprint}-{VERSION}.json"
    try:
        counted: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        counted = _count(images)
        try:
            with disk_refusals(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, json.dumps(counted).encode())
        except StorageError:  # they can be counted again
            pass
    return counted | _compared(images, counted)


def _count(images: Images) -> dict[str, Any]:
    rng = np.random.Generator(np.random.PCG64(0))
    number = len(images)
    means = np.empty((number, images.channels, GRID, GRID), np.float32)
    hashes: set[int] = set()
    for start, part in _parts(images.pixels):
        means[start : start + len(part)] = _block_means(part)
        hashes.update(hash(image.tobytes()) for image in part)
    chosen = np.sort(rng.choice(number, min(number, QUERIES), replace=False))
    channels = means.swapaxes(0, 1).reshape(images.channels, -1)
    counted = {
        "images": number,
        "counts": images.counts().tolist(),
        "duplicates": number - len(hashes),
        "means": channels.mean(1, dtype=np.float64).tolist(),
        "covariance": np.atleast_2d(np.cov(channels)).tolist(),
    }
    counted |= _of_values(np.asarray(images.pixels[chosen])) | _of_repeats(means, chosen[::2])
    if images.labels is not None and len(images.classes) > 1:
        among = np.sort(rng.choice(number, min(number, REFERENCES), replace=False))
        counted |= _of_labels(means.reshape(number, -1), images.labels, chosen, among)
    return counted


def _parts(pixels: Pixels) -> Iterator[tuple[int, Pixels]]:
    for start in range(0, len(pixels), _CHUNK):
        yield start, np.asarray(pixels[start : start + _CHUNK])  # a memmap's rows cost


def _block_means(pixels: Pixels) -> _Numbers:
    """Give the means (N, C, 8, 8) of 8 x 8 blocks; what does not fit into whole blocks is left out."""
    side = pixels.shape[-1] // GRID
    sums = np.zeros((*pixels.shape[:2], GRID, GRID), np.uint32)
    for row, column in np.ndindex(side, side):
        sums += pixels[:, :, row : GRID * side : side, column : GRID * side : side]
    return (sums / np.float32(side * side)).astype(np.float32)


def _of_values(pixels: Pixels) -> dict[str, float]:
    """Look at the values of a sample, and at what each has in common with its neighbour."""
    shares = np.cumsum(np.bincount(pixels.ravel(), minlength=256)) / pixels.size
    values = pixels.astype(np.float32)
    variance = values.var((1, 2, 3))
    flat = variance < 1
    # A thin stroke has neighbours along it only.
    steps = np.minimum(*(np.square(np.diff(values, axis=axis)).mean((1, 2, 3)) for axis in (2, 3)))
    common = 1 - steps / 2 / np.where(flat, 1, variance)
    return {
        "low": float(np.searchsorted(shares, 0.005)),
        "high": float(np.searchsorted(shares, 0.995)),
        "flat": float(flat.mean()),
        "noise": float(((common < 0.3) & ~flat).mean()),
    }


def _of_repeats(means: _Numbers, chosen: npt.NDArray[np.int64]) -> dict[str, float]:
    """Find the nearest other image of each chosen one, by coarse means, and compare the two by finer ones."""
    number, channels = means.shape[:2]
    coarse = means.reshape(number, channels, GRID // 2, 2, GRID // 2, 2).mean((3, 5)).reshape(number, -1)
    halves, near = np.square(coarse).sum(1) / 2, []
    for start in range(0, len(chosen), 100):
        here = chosen[start : start + 100]
        closeness = coarse[here] @ coarse.T - halves
        closeness[np.arange(len(here)), here] = -np.inf
        difference = (means[here] - means[closeness.argmax(1)]).reshape(len(here), -1)
        deviation = means[here].reshape(len(here), -1).std(1)
        near.append(np.sqrt(np.square(difference).mean(1)) < ALIKE * deviation)
    return {"near": float(np.concatenate(near).mean()) if number > 1 else 0.0}


def _of_labels(
    means: _Numbers,
    labels: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.int64],
    among: npt.NDArray[np.int64],
) -> dict[str, float]:
    """Compare labels with the vote of the images that are most alike, brightness and contrast left out."""
    level, deviation = means.mean(1, keepdims=True), means.std(1, keepdims=True)
    alike = (means - level) / (deviation + 1)
    closeness = alike[chosen] @ alike[among].T - np.square(alike[among]).sum(1) / 2
    closeness[chosen[:, None] == among] = -np.inf
    nearest = np.argpartition(-closeness, min(NEIGHBOURS, len(among) - 1), axis=1)[:, :NEIGHBOURS]
    votes = np.zeros((len(chosen), int(labels.max()) + 1), np.int64)
    np.add.at(votes, (np.arange(len(chosen))[:, None], labels[among][nearest]), 1)
    right, sure = votes.argmax(1) == labels[chosen], votes.max(1) >= SURE
    # What a vote agrees with by chance depends on the classes' sizes: the same votes with other labels.
    shuffled = [np.roll(labels[chosen], step) for step in np.linspace(1, len(chosen) - 1, 50).astype(int)]
    chance = np.mean([votes.argmax(1) == other for other in shuffled]) if len(chosen) > 1 else 1.0
    return {
        "agreement": float(right.mean()),
        "chance": float(chance),
        "asked": float(len(chosen)),
        "sure": float(sure.mean()),
        "right": float(right[sure].mean()) if sure.any() else 1.0,
    }


def _compared(images: Images, counted: dict[str, Any]) -> dict[str, Any]:
    """Compare with the known set that the data claim to be, by name or by the names of the classes."""
    for name, known in _KNOWN.items():
        if name != images.name and images.classes != tuple(known["classes"]):
            continue
        if len(known["means"]) == images.channels:
            away = dict(_distances(counted, np.array(known["means"]), np.array(known["covariance"])))
            best = min(away, key=away.__getitem__)
            compared = {
                "name": name,
                "distance": next(iter(away.values())),
                "best": best,
                "least": away[best],
            }
            return {"known": compared | {"agreement": known["agreement"]}}
    return {}


def _distances(
    counted: dict[str, Any], means: npt.NDArray[np.float64], covariance: npt.NDArray[np.float64]
) -> Iterator[tuple[str, float]]:
    """Give how far channel statistics are from known ones: first as they are."""
    for order in itertools.permutations(range(len(means))):
        own = np.array(counted["means"])[[*order]], np.array(counted["covariance"])[np.ix_(order, order)]
        spread = np.square(own[1] - covariance).mean() / np.square(covariance).mean()
        for inverted in (False, True):
            apart = np.square((255 - own[0] if inverted else own[0]) - means).mean()
            written = "".join("rgb"[place] for place in order) + ", inverted" * inverted
            yield written, float(apart / np.diag(covariance).mean() + spread)
