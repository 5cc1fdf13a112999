"""What looks at images: a judge, or a network that is known elsewhere."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor


class Opinion(NamedTuple):
    """What a network says of images."""

    features: Tensor  # (N, D) float32, what the last layer sees
    probabilities: Tensor  # (N, K), of the classes that the network knows


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
