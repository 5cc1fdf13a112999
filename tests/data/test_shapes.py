"""The embedded data set: the same everywhere, and read back without a fault."""

from __future__ import annotations

import hashlib

import numpy as np

from gander.data.images import open_images
from gander.data.shapes import CLASSES, COLOURS, FITS, PAINTS, draw_shapes, fit_shapes


def test_the_drawing_is_the_same_on_every_machine():
    pixels, factors = draw_shapes(300, 0)
    assert hashlib.sha256(pixels.tobytes()).hexdigest().startswith("24e30ee8a429db48")
    assert (
        hashlib.sha256(np.stack(factors).astype("<i8").tobytes()).hexdigest().startswith("c61e3d6ce855b6d3")
    )


def test_every_factor_is_read_back_exactly():
    pixels, drawn = draw_shapes(2000, 5)
    read = fit_shapes(pixels)[0]
    for name in drawn._fields:
        assert np.array_equal(getattr(read, name), getattr(drawn, name)), name


def test_every_drawn_image_fits_its_template_and_nothing_else_does():
    pixels, _ = draw_shapes(2000, 5)
    assert fit_shapes(pixels)[1].min() >= FITS
    noise = np.random.default_rng(0).integers(0, 256, (200, 3, 32, 32), np.uint8)
    mixed = np.random.default_rng(0).permuted(pixels[:200].reshape(200, 3, -1), axis=2).reshape(-1, 3, 32, 32)
    for strange in (noise, mixed, np.zeros_like(noise)):
        assert fit_shapes(strange)[1].max() < 0.3


def test_factors_are_read_back_through_noise():
    pixels, drawn = draw_shapes(500, 6)
    noise = np.random.default_rng(0).normal(0, 25, pixels.shape)
    read = fit_shapes((pixels + noise).clip(0, 255).astype(np.uint8))[0]
    assert np.array_equal(read.label, drawn.label)
    assert np.array_equal(read.colour, drawn.colour)


def test_classes_and_colours_are_drawn_evenly_and_independently():
    _, factors = draw_shapes(20_000, 0)
    table = np.zeros((len(CLASSES), len(COLOURS)), int)
    np.add.at(table, (factors.label, factors.colour), 1)
    assert [*table.sum(1)] == [2000] * 10
    assert abs(table - 250).max() < 5 * 250**0.5


def test_a_longer_draw_begins_with_the_same_images():
    assert np.array_equal(draw_shapes(600, 3)[0][:50], draw_shapes(50, 3)[0])
    assert not np.array_equal(draw_shapes(50, 4)[0], draw_shapes(50, 3)[0])


def test_shapes_are_whole_and_no_ground_looks_like_a_colour():
    pixels, _ = draw_shapes(2000, 7)
    edge = np.concatenate([pixels[:, :, 0], pixels[:, :, -1], pixels[..., 0], pixels[..., -1]], 2)
    spread = edge.max(1).astype(int) - edge.min(1)
    assert spread.max() < 25, "the border is dull: no shape is cut off by it"
    distance = np.linalg.norm(PAINTS[:, None] - PAINTS[None], axis=-1)
    assert distance[distance > 0].min() > 80


def test_both_splits_are_there_and_differ():
    train, test = open_images("shapes"), open_images("shapes", split="test")
    assert (len(train), len(test)) == (20_000, 10_000)
    assert train.classes == CLASSES
    assert not np.array_equal(train.pixels[:100], test.pixels[:100])
