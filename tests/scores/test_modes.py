"""Covered modes are counted exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gander.data.images import open_images
from gander.data.shapes import draw_shapes
from gander.scores.modes import MODES, covered_modes, has_known_modes


def test_the_kinds_that_were_drawn_are_the_kinds_that_are_counted():
    pixels, factors = draw_shapes(3000, 8)
    assert covered_modes(pixels) == len({*zip(*factors, strict=True)})
    assert covered_modes(pixels[factors.label == 3]) == len(
        {*zip(*factors, strict=True)} & {kind for kind in zip(*factors, strict=True) if kind[0] == 3}
    )
    assert MODES == 2160


def test_noise_and_copies_cover_nothing_new():
    pixels, _ = draw_shapes(10, 8)
    noise = np.random.default_rng(0).integers(0, 256, (500, 3, 32, 32), np.uint8)
    assert covered_modes(noise) == 0
    assert covered_modes(np.concatenate([pixels[:1]] * 50)) == 1


def test_only_drawn_shapes_have_known_modes():
    shapes = open_images("shapes")
    assert has_known_modes(shapes)
    assert not has_known_modes(replace(shapes, classes=(*shapes.classes[:9], "cube")))
    assert not has_known_modes(replace(shapes, pixels=shapes.pixels[:, :, ::2, ::2]))
