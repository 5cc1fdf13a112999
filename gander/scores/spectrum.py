"""The pattern of every other pixel, which uneven upsampling leaves in images."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from gander.scores.score import Estimate


def checkerboard_energy(pixels: npt.NDArray[np.uint8]) -> Estimate:
    """Give the mean energy of images (N, C, S, S) at period 2 (Nyquist's frequency), along both axes.

    Sums of alternating sign over each row and each column, squared and added, are the energy at this
    frequency along the one axis and at all along the other. Hann's window keeps out what only the edges do.

    Source: Odena, Dumoulin and Olah 2016 (where the pattern comes from).
    """
    signs = np.hanning(pixels.shape[2] + 2)[1:-1] * (-1.0) ** np.arange(pixels.shape[2])
    values = pixels.astype(np.float32)
    along = (values @ signs, values.swapaxes(2, 3) @ signs)
    energies = sum(np.square(sums).sum((1, 2)) for sums in along)
    return Estimate(float(energies.mean()), float(energies.std(ddof=1)) / math.sqrt(len(energies)))
