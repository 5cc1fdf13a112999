"""The last layer of a slicing adversarial network, whose direction learns by a loss of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gander.nets.blocks import Head, Labels
from gander.techniques.slots import Logits


class SanHead(Head):
    """Score features by a direction of the class, or of all; features and length learn by the objective.

    The direction learns to set real apart from fake images by the difference of mean scores.

    Source: Takida et al. 2024 (SAN); the length is kept as in the authors' tutorial.
    """

    def __init__(self, features: int, labels: Labels, num_classes: int) -> None:
        super().__init__(features, "ignored" if labels == "projected" else labels, num_classes)
        del self.score
        self.directions = nn.Embedding(num_classes if labels == "projected" else 1, features)
        nn.init.normal_(self.directions.weight, std=features**-0.5)

    def forward(self, features: Tensor, labels: Tensor | None) -> Logits:
        one = self.directions.num_embeddings == 1
        weight = self.directions.weight if one else self.directions(labels)
        length = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
        direction = weight / length
        score = (features * (length * direction.detach())).sum(1)
        toward = (features.detach() * (length.detach() * direction)).sum(1)
        return self.named(features, Logits(score, direction=toward))
