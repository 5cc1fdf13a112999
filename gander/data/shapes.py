"""The embedded data set: drawn shapes whose class, colour, size and place are known.

Only integer draws and exact arithmetic (+ - * / and comparison) decide a pixel, so it is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gander.data.origins import Contents, Entry, Origin, Pixels

SIDE = 32
CLASSES = ("circle", "square", "triangle", "diamond", "star", "cross", "ring", "heart", "moon", "arrow")
COLOURS = {
    "red": (228, 26, 38),
    "orange": (255, 138, 10),
    "yellow": (255, 226, 20),
    "green": (30, 178, 60),
    "cyan": (20, 206, 232),
    "blue": (36, 68, 232),
    "purple": (146, 44, 206),
    "pink": (255, 92, 180),
}
SIZES = (16, 19, 22)
"""Pixels across."""

DULL = (
    (38, 40, 48),
    (60, 66, 78),
    (86, 80, 74),
    (98, 108, 104),
    (122, 116, 128),
    (146, 140, 126),
    (170, 174, 176),
    (206, 200, 188),
)
SPLITS = {"train": (20_000, 0), "test": (10_000, 1)}
"""Images and seed."""

GRID, STEP, JITTER = 3, 3, 1
FINE = 8
"""Samples a pixel and axis, for soft edges."""

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


class Factors(NamedTuple):
    """What each image shows, as indices, (N,) each."""

    label: Indices
    colour: Indices
    size: Indices
    position: Indices


def draw_shapes(count: int, seed: int) -> tuple[Pixels, Factors]:
    """Draw images (N, 3, 32, 32); the first of a longer draw from the same seed are the same."""
    draws = np.random.PCG64(seed).random_raw(count * 10).reshape(count, 10)

    def draw(column: int, choices: int) -> Indices:
        return (draws[:, column] >> np.uint64(11)).astype(np.int64) % choices

    label = np.arange(count) % len(CLASSES)
    colour, size, position = draw(0, len(COLOURS)), draw(1, len(SIZES)), draw(2, GRID * GRID)
    jitter = draw(3, 2 * JITTER + 1), draw(4, 2 * JITTER + 1)
    row = position // GRID * STEP + jitter[0]
    column = position % GRID * STEP + jitter[1]
    masks = _masks()[label, size, row, column].astype(np.int32)[:, None]
    ground = _grounds(draw(5, len(DULL)), draw(6, 41) - 20, draw(7, 6))
    paint = np.array([*COLOURS.values()], np.int32)[colour][:, :, None, None]
    steps = FINE * FINE
    pixels = (paint * masks + ground * (steps - masks) + steps // 2) // steps
    return pixels.astype(np.uint8), Factors(label, colour, size, position)


def _grounds(base: Indices, change: Indices, pattern: Indices) -> npt.NDArray[np.int32]:
    """Dull grounds (N, 3, 32, 32): plain, two gradients, checker, two stripes; `change` is their depth."""
    y, x = np.mgrid[:SIDE, :SIDE]
    plain = np.zeros((SIDE, SIDE), int)
    chequered = (x // 8 + y // 8) % 2 * 31
    patterns = np.stack([plain, y, x, chequered, x // 8 % 2 * 31, y // 8 % 2 * 31]).astype(np.int32)
    depth = change.astype(np.int32)[:, None, None] * patterns[pattern] // 31
    ground = np.array(DULL, np.int32)[base][:, :, None, None] + depth[:, None]
    return ground.clip(0, 255)


@cache
def _masks() -> npt.NDArray[np.uint8]:
    """Cover of each pixel in FINE * FINE parts: (class, size, row, column, 32, 32)."""
    places = (GRID - 1) * STEP + 2 * JITTER + 1
    masks = np.zeros((len(CLASSES), len(SIZES), places, places, SIDE, SIDE), np.uint8)
    samples = (np.arange(SIDE * FINE) + 0.5) / FINE
    middle = SIDE / 2
    for each, pixels in enumerate(SIZES):
        axis = (samples - middle) / (pixels / 2)
        x, y = np.meshgrid(axis, axis)
        for label, inside in enumerate(_insides(x, y)):
            cover = inside.reshape(SIDE, FINE, SIDE, FINE).sum(axis=(1, 3)).astype(np.uint8)
            for row in range(places):
                for column in range(places):
                    shift = row - places // 2, column - places // 2
                    masks[label, each, row, column] = np.roll(cover, shift, axis=(0, 1))
    return masks


def _insides(x: Numbers, y: Numbers) -> list[Mask]:
    """Tell the samples inside each shape, in the order of CLASSES; shapes reach from -1 to 1, y downwards."""
    radius = x * x + y * y
    circle = radius <= 1
    square = (abs(x) <= 0.86) & (abs(y) <= 0.86)
    triangle = (y <= 0.85) & (y >= 2 * abs(x) - 1)
    diamond = abs(x) * 1.25 + abs(y) <= 1
    cross = ((abs(x) <= 0.32) & (abs(y) <= 0.96)) | ((abs(y) <= 0.32) & (abs(x) <= 0.96))
    ring = circle & (radius >= 0.3)
    tall = 1.15 * y - 0.1
    bulge = 1.3 * x * x + tall * tall - 0.8
    heart = bulge * bulge * bulge + 1.6 * x * x * tall * tall * tall <= 0
    moon = circle & ((x - 0.5) * (x - 0.5) + y * y >= 0.62)
    arrow = ((y <= 0.02) & (y >= 1.05 * abs(x) - 1)) | ((abs(x) <= 0.36) & (y >= 0) & (y <= 0.95))
    return [circle, square, triangle, diamond, _star(x, y), cross, ring, heart, moon, arrow]


def _star(x: Numbers, y: Numbers) -> Mask:
    """Five points: inside at least four of the pentagram's five lines."""
    normals = ((0.0, -1.0), (0.9510565, -0.3090170), (0.5877853, 0.8090170))
    votes = np.zeros(x.shape, int)
    for across, down in normals:
        for side in (1, -1) if across else (1,):
            votes += side * across * x + down * (y - 0.08) <= 0.36
    return votes >= 4


def shapes_origin(split: str) -> Origin:
    """Give the embedded set to the store."""
    count, seed = SPLITS[split]

    def read() -> Contents:
        return Contents(_entries(count, seed), True, CLASSES, count)

    return Origin(Path("shapes"), (), f"shapes 1 {count} {seed}", read)


def _entries(count: int, seed: int) -> Iterator[Entry]:
    pixels, factors = draw_shapes(count, seed)
    for index, (image, label) in enumerate(zip(pixels.transpose(0, 2, 3, 1), factors.label, strict=True)):
        yield Entry("shapes", index, image, label)
