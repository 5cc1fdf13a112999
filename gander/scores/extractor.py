"""A network whose features scores are made of: a judge, or one that is known elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gander.data.progress import progress
from gander.engine.neighbours import heed


class Outputs(NamedTuple):
    """What a network makes of images."""

    features: Tensor  # (N, D) float32, what images are compared by
    probabilities: Tensor  # (N, K), of the classes that the network knows


def extract_in_parts(
    pixels: npt.NDArray[np.uint8],
    extract: Callable[[Tensor], tuple[Tensor, Tensor]],
    at_once: int,
    patience: int,
) -> Outputs:
    """Give features and probabilities, on the CPU, of uint8 images (N, C, S, S), `at_once` at a time.

    More than `patience` images take long enough to show how far it is.
    """
    many = len(pixels) > patience
    shown = progress("Looking at images", len(pixels)) if many else nullcontext(lambda count: None)
    parts = []
    with shown as advance:
        for start in range(0, len(pixels), at_once):
            heed()
            part = np.array(pixels[start : start + at_once])
            parts.append([values.float().cpu() for values in extract(torch.from_numpy(part))])
            advance(len(part))
    return Outputs(*map(torch.cat, zip(*parts, strict=True)))


class Extractor(Protocol):
    """A network whose features scores are made of; it computes exactly, as `gander.engine.exact` says."""

    network: str
    """What scores are named after: `judge`, `inception` for the official weights, or another name."""
    description: str
    """How a protocol names the network: equal words, equal weights."""
    resize: str
    """What is done to images first."""
    digest: str
    """Hash of the weights in hex."""
    device: str
    """Where it computes, as torch calls it."""
    accuracy: float | None
    """On held-out real images, where it tells the classes of the data apart; else None."""

    def extract(self, pixels: npt.NDArray[np.uint8]) -> Outputs:
        """Give features and probabilities of uint8 images (N, C, S, S)."""
