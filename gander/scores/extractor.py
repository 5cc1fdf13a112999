"""What looks at images: a judge, or a network that is known elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gander.data.progress import progress
from gander.engine.neighbours import heed


class Opinion(NamedTuple):
    """What a network says of images."""

    features: Tensor  # (N, D) float32, what the last layer sees
    probabilities: Tensor  # (N, K), of the classes that the network knows


def look_in_parts(
    pixels: npt.NDArray[np.uint8], look: Callable[[Tensor], Tensor], at_once: int, patience: int
) -> Tensor:
    """Give the features (N, D), on the CPU, of uint8 images (N, C, S, S), `at_once` at a time.

    More than `patience` images take long enough to show how far it is.
    """
    shown = progress("Looking at images", len(pixels)) if len(pixels) > patience else _unseen()
    found = []
    with shown as advance:
        for start in range(0, len(pixels), at_once):
            heed()
            part = np.array(pixels[start : start + at_once])
            found.append(look(torch.from_numpy(part)).float().cpu())
            advance(len(part))
    return torch.cat(found)


@contextmanager
def _unseen() -> Iterator[Callable[[int], None]]:
    yield lambda count: None


class Names(NamedTuple):
    """What scores made with these features are called; only Inception's are called FID and so on."""

    frechet: str
    kernel: str
    classifier: str
    suffix: str = ""  # of all other scores


class Extractor(Protocol):
    """A network whose features scores are made of."""

    names: Names

    @property
    def told(self) -> str:
        """How a protocol names the network: equal words, equal weights."""

    @property
    def resize(self) -> str:
        """What is done to images before they are looked at."""

    @property
    def digest(self) -> str:
        """Hash of the weights in hex."""

    @property
    def accuracy(self) -> float | None:
        """On held-out real images, where it tells the classes of the data apart; else None."""

    def look(self, pixels: npt.NDArray[np.uint8]) -> Opinion:
        """Look at uint8 images (N, C, S, S)."""

    def opinion(self, features: Tensor) -> Opinion:
        """Say what follows from features (N, D) that were kept."""
