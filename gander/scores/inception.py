"""The network that defines FID, KID and the Inception score, through torch-fidelity, which is an extra."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gander.engine.exact import exact
from gander.errors import DataError, UsageError, first_line
from gander.files import file_digest
from gander.scores.extractor import Outputs, extract_in_parts
from gander.scores.table import INCEPTION

OFFICIAL = "6726825d"
"""How the sha256 of torch-fidelity's weights begins: Inception 2015-12-05, converted from TensorFlow."""

DOWNLOAD = "download"
"""Stands for the weights that torch-fidelity fetches."""

_AT_ONCE = 32  # images a forward pass
_PATIENCE = 100  # images


class Inception:
    """A network of red, green and blue uint8 images of any size, which it resizes itself.

    Args:
        network: gives features (N, D) for images (N, 3, S, S).
        to_logits: (K, D), the weights of the last layer, without its bias.
        digest: sha256 of the weights in hex; only with the official ones is a score called FID.
        name: of any other network.
        device: where the network is.
    """

    accuracy: float | None = None  # it does not know the classes of the data
    resize = "by the network, to 299 as in TensorFlow 1"

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        to_logits: Tensor,
        digest: str,
        name: str = "other",
        device: str = "cpu",
    ) -> None:
        self.digest, self.device = digest, device
        self._network, self._to_logits = network, to_logits
        official = digest.startswith(OFFICIAL)
        self.network = INCEPTION if official else name
        self.description = f"{'inception-2015-12-05' if official else name} {digest[:12]}"

    @exact()
    @torch.inference_mode()
    def extract(self, pixels: npt.NDArray[np.uint8]) -> Outputs:
        """Give features and probabilities of uint8 images (N, C, S, S); grey becomes red, green and blue."""
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
            raise DataError(f"images of {pixels.shape} {pixels.dtype}: (N, 1 or 3, S, S) uint8 wanted")

        to_logits = self._to_logits.to(self.device).T

        def extract(part: Tensor) -> tuple[Tensor, Tensor]:
            features = self._network(part.expand(-1, 3, -1, -1).to(self.device)).float()
            return features, (features @ to_logits).softmax(1)

        return extract_in_parts(pixels, extract, _AT_ONCE, patience=_PATIENCE)


def load_inception(weights: Path, device: str = "cpu") -> Inception:
    """Load torch-fidelity's Inception with weights from a file, or let it download them.

    Raises: UsageError where torch-fidelity cannot be imported, DataError where the weights cannot be read.
    Source: Szegedy et al. 2016 (the network); Heusel et al. 2017 and Binkowski et al. 2018 (what it is for).
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3
    except (ImportError, RuntimeError) as error:  # a torchvision of another build raises the latter
        raise UsageError(
            f"--inception: torch-fidelity cannot be used: {first_line(error)}",
            hint="pip install torch-fidelity, with a torchvision that matches torch",
        ) from None
    path = None if str(weights) == DOWNLOAD else weights
    try:
        if path is not None:
            torch.load(path, map_location="cpu", weights_only=True)  # torch-fidelity would run what is in it
        net = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=path)
        kept = path or Path(torch.hub.get_dir()) / "checkpoints" / URL_INCEPTION_V3.rpartition("/")[2]
        digest = file_digest(kept)
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise DataError(
            f"--inception {weights}: these weights cannot be read: {first_line(error)}",
            hint="the file of torch-fidelity's release v0.2.0, weights-inception-2015-12-05-6726825d.pth",
        ) from None
    net = net.to(device)
    name = kept.stem.replace(" ", "-")
    return Inception(lambda pixels: net(pixels)[0], net.fc.weight, digest, name, device)
