"""A pattern of every other pixel is measured where it is, and nothing else is taken for it."""

import numpy as np
import pytest

from gander.scores.spectrum import checkerboard_energy

SIDE = 32
ALONG = np.arange(SIDE)
WINDOW = np.hanning(SIDE + 2)[1:-1]


def images(pattern):
    return np.broadcast_to(np.round(128 + pattern), (3, 1, SIDE, SIDE)).astype(np.uint8)


def test_the_energy_of_a_checkerboard_is_known_and_grows_with_the_square_of_its_height():
    board = (-1.0) ** (ALONG[:, None] + ALONG)
    # Along either axis, each of 32 lines sums to the height times the sum of the window.
    expected = 2 * SIDE * WINDOW.sum() ** 2
    for height in (4, 8, 16):
        assert checkerboard_energy(images(height * board)).value == pytest.approx(height**2 * expected)
    assert checkerboard_energy(images(4 * board)).standard_error == 0


def test_stripes_of_one_pixel_count_along_one_axis_and_either_way_alike():
    lying = np.broadcast_to((-1.0) ** ALONG[:, None], (SIDE, SIDE))
    expected = 16 * SIDE * WINDOW.sum() ** 2
    for stripes in (lying, lying.T):
        assert checkerboard_energy(images(4 * stripes)).value == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("period", [4, 8, 32])
def test_broad_stripes_slopes_and_edges_are_none(period):
    wave = np.sin(2 * np.pi * ALONG / period)
    slope = 3 * (ALONG - 16.0)
    board = checkerboard_energy(images(4 * (-1.0) ** (ALONG[:, None] + ALONG))).value
    assert checkerboard_energy(images(60 * wave + 0 * ALONG[:, None] + slope)).value < 0.02 * board
