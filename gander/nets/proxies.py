"""A class head that compares directions, for losses between data and classes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from gander.techniques.slots import Logits


class Proxies(nn.Module):
    """Embed features (N, D) on a sphere, on which each class has a place, too.

    Source: Kang et al. 2021 (ReACGAN).
    """

    def __init__(self, features: int, num_classes: int, size: int = 128) -> None:
        super().__init__()
        self.embed = nn.Linear(features, size)
        self.places = nn.Embedding(num_classes, size)

    def forward(self, features: Tensor, logits: Logits) -> Logits:
        """Add the embedding and its cosine with each class (N, K)."""
        embedding = F.normalize(self.embed(features).float())
        cosines = embedding @ F.normalize(self.places.weight).T
        return logits._replace(classes=cosines, embedding=embedding)
