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

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def _colours(codes: str) -> Indices:
    return np.array([[*bytes.fromhex(code)] for code in codes.split()], np.int64)


SIDE = 32
CLASSES = ("circle", "square", "triangle", "diamond", "star", "cross", "ring", "heart", "moon", "arrow")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
PAINTS = _colours("e41a26 ff8a0a ffe214 1eb23c 14cee8 2444e8 922cce ff5cb4")
SIZES = (18, 21, 24)
"""Pixels across."""

GRID, STEP = 3, 2
"""Places an axis, and pixels between them; a shape lies up to a pixel beside its place."""

DULL = _colours("262830 3c424e 56504a 626c68 7a7480 928c7e aaaeb0 cec8bc")
DEPTH = 20
"""How far, in grey levels, a pattern may move the ground."""

DRAWING = 3
"""Raised when the same seed draws other pixels."""

SPLITS = {"train": (20_000, 0), "test": (10_000, 1)}
"""Images and seed."""

DRAWS, CHUNK = 8, 500
FINE = 8
WHOLE = FINE * FINE
"""Samples a pixel, for soft edges."""

FITS = 0.7
"""Overlap with the nearest template from which on an image counts as that shape; no drawn image has less."""

NEAR = 88.0
"""A pixel further than this from a colour does not speak for it; no two colours are nearer each other."""


class Factors(NamedTuple):
    """What each image shows, as indices, (N,) each."""

    label: Indices
    colour: Indices
    size: Indices
    position: Indices


def draw_shapes(count: int, seed: int) -> tuple[Pixels, Factors]:
    """Draw images (N, 3, 32, 32); a longer draw from the same seed begins with the same images."""
    draws = np.random.PCG64(seed).random_raw(count * DRAWS).reshape(count, DRAWS)

    def draw(column: int, choices: int) -> Indices:
        # the high bits modulo a small number: no version of numpy draws otherwise
        return (draws[:, column] >> np.uint64(11)).astype(np.int64) % choices

    label = np.arange(count) % len(CLASSES)
    factors = Factors(label, draw(0, len(COLOURS)), draw(1, len(SIZES)), draw(2, GRID * GRID))
    row = factors.position // GRID * STEP + draw(3, STEP)
    column = factors.position % GRID * STEP + draw(4, STEP)
    base, change, pattern = draw(5, len(DULL)), draw(6, 2 * DEPTH + 1) - DEPTH, draw(7, len(_patterns()))
    pixels = np.empty((count, 3, SIDE, SIDE), np.uint8)
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        cover = _covers()[label[part], factors.size[part], row[part], column[part]].astype(np.uint16)[:, None]
        ground = _grounds(base[part], change[part], pattern[part])
        paint = PAINTS[factors.colour[part]].astype(np.uint16)[:, :, None, None]
        pixels[part] = (paint * cover + ground * (WHOLE - cover) + WHOLE // 2) // WHOLE
    return pixels, factors


def fit_shapes(pixels: Pixels) -> tuple[Factors, Numbers]:
    """Return what images (N, 3, 32, 32) show, exactly for those that are drawn, and how well it fits, (N,).

    The fit is the share of the two covers' union that both cover.

    The colour is the one that most pixels are near; how far each pixel goes from the border's mean colour
    towards it is the cover, which is compared with every class, size and place.
    """
    templates = _covers().reshape(-1, SIDE * SIDE).astype(np.float32) / WHOLE
    halves = np.square(templates).sum(1) / 2
    paints = PAINTS.astype(np.float32)
    best, colour = np.empty((2, len(pixels)), np.int64)
    overlap = np.empty(len(pixels))
    for start in range(0, len(pixels), CHUNK):
        part = slice(start, start + CHUNK)
        colours = pixels[part].reshape(-1, 3, SIDE * SIDE).transpose(0, 2, 1).astype(np.float32)
        squares = np.square(colours).sum(2, keepdims=True) - 2 * colours @ paints.T + np.square(paints).sum(1)
        colour[part] = np.clip(1 - squares / NEAR**2, 0, 1).sum(1).argmax(1)
        ground = colours[:, _border()].mean(1, keepdims=True)
        way = paints[colour[part]][:, None] - ground
        cover = (((colours - ground) * way).sum(2) / np.square(way).sum(2).clip(1)).clip(0, 1)
        best[part] = (cover @ templates.T - halves).argmax(1)
        found = templates[best[part]]
        overlap[part] = np.minimum(cover, found).sum(1) / np.maximum(cover, found).sum(1)
    label, size, row, column = np.unravel_index(best, _covers().shape[:4])
    return Factors(label, colour, size, row // STEP * GRID + column // STEP), overlap


def _grounds(base: Indices, change: Indices, pattern: Indices) -> npt.NDArray[np.uint16]:
    """Paint dull grounds (N, 3, 32, 32); `change` is how far a pattern moves them, in grey levels."""
    depth = change[:, None, None] * _patterns()[pattern] // (SIDE - 1)
    ground: npt.NDArray[np.uint16] = (
        (DULL[base][:, :, None, None] + depth[:, None]).clip(0, 255).astype(np.uint16)
    )
    return ground


@cache
def _patterns() -> Indices:
    """Return plain, two gradients, a checker and two kinds of stripes, (6, 32, 32) in 0..31."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.stack([x * 0, y, x, *((band // 8 % 2) * (SIDE - 1) for band in (x // 8 * 8 + y, x, y))])


@cache
def _border() -> Indices:
    edge = np.ones((SIDE, SIDE), bool)
    edge[1:-1, 1:-1] = False
    return np.flatnonzero(edge)


@cache
def _covers() -> Pixels:
    """Return how many of a pixel's samples each shape covers, (class, size, row, column, 32, 32)."""
    places = GRID * STEP
    covers = np.zeros((len(CLASSES), len(SIZES), places, places, SIDE, SIDE), np.uint8)
    samples = (np.arange(SIDE * FINE) + 0.5) / FINE - SIDE / 2
    for size, across in enumerate(SIZES):
        x, y = np.meshgrid(samples / (across / 2), samples / (across / 2))
        for label, inside in enumerate(_insides(x, y)):
            cover = inside.reshape(SIDE, FINE, SIDE, FINE).sum(axis=(1, 3))
            for row, column in np.ndindex(places, places):
                shift = row - places // 2, column - places // 2
                covers[label, size, row, column] = np.roll(cover, shift, axis=(0, 1))
    return covers


def _insides(x: Numbers, y: Numbers) -> list[Mask]:
    """Return the samples in each shape, in the order of CLASSES; shapes reach from -1 to 1, y downwards."""
    radius = x * x + y * y
    circle = radius <= 1
    square = (abs(x) <= 0.86) & (abs(y) <= 0.86)
    triangle = (y <= 0.85) & (y >= 2 * abs(x) - 1)
    diamond = abs(x) * 1.15 + abs(y) <= 1
    cross = ((abs(x) <= 0.32) & (abs(y) <= 0.96)) | ((abs(y) <= 0.32) & (abs(x) <= 0.96))
    ring = circle & (radius >= 0.3)
    tall = 1.15 * y - 0.1
    bulge = 1.3 * x * x + tall * tall - 0.8
    heart = bulge * bulge * bulge + 1.6 * x * x * tall * tall * tall <= 0
    moon = circle & ((x - 0.5) * (x - 0.5) + y * y >= 0.62)
    arrow = ((y <= 0.02) & (y >= 1.05 * abs(x) - 1)) | ((abs(x) <= 0.36) & (y >= 0) & (y <= 0.95))
    return [circle, square, triangle, diamond, _star(x, y), cross, ring, heart, moon, arrow]


def _star(x: Numbers, y: Numbers) -> Mask:
    """Draw five points: what lies within at least four of the five lines of a pentagram."""
    normals = ((0.0, -1.0), (0.951, -0.309), (-0.951, -0.309), (0.588, 0.809), (-0.588, 0.809))
    within = np.array([across * x + down * (y - 0.09) <= 0.33 for across, down in normals])
    star: Mask = within.sum(axis=0) >= 4
    return star


def shapes_origin(split: str) -> Origin:
    """Return the embedded set as the store takes it."""
    count, seed = SPLITS[split]

    def read() -> Contents:
        return Contents(_entries(count, seed), True, CLASSES, count)

    return Origin(Path("shapes"), (), f"shapes {DRAWING} {count} {seed}", read)


def _entries(count: int, seed: int) -> Iterator[Entry]:
    pixels, factors = draw_shapes(count, seed)
    for index, (image, label) in enumerate(zip(pixels.transpose(0, 2, 3, 1), factors.label, strict=True)):
        yield Entry("shapes", index, image, label)
