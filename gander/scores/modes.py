"""Which of the known kinds of drawn shape a set of images covers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gander.data.images import Images
from gander.data.shapes import CLASSES, COLOURS, FITS, GRID, SIDE, SIZES, fit_shapes

MODES = len(CLASSES) * len(COLOURS) * len(SIZES) * GRID * GRID
"""Kinds of drawn shape: a class, a colour, a size and a place."""


def has_known_modes(images: Images) -> bool:
    """Tell whether every image of these data is one of a known number of kinds: the drawn shapes."""
    return images.classes == CLASSES and images.pixels.shape[1:] == (3, SIDE, SIDE)


def covered_modes(pixels: npt.NDArray[np.uint8]) -> int:
    """Count the kinds of drawn shape, of MODES, of which an image is there that could have been drawn.

    Args:
        pixels: (N, 3, 32, 32).
    """
    factors, overlap = fit_shapes(pixels)
    return len(np.unique(np.stack(factors, 1)[overlap >= FITS], axis=0))
