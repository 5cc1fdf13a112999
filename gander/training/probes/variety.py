"""How much fakes vary and how far they are from real images, beside how real images do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gander.training.probes.scene import ProbeScene, References

if TYPE_CHECKING:
    from gander.training.trainer import Trainer

Numbers = dict[str, Tensor]


def diversity(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give the mean distance of a pair of fakes over that of real images, in pixels and in features."""
    reals = scene.references
    return {
        "diversity": spread(scene.fake_small) / spread(reals.pool_small),
        "diversity_features": spread(scene.fake_features) / spread(reals.pool_features),
    }


def distance(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give the energy distance of fakes and real images over that of as many real images to others."""
    return {"distance": relative_distance(scene.references, scene.fake_features)}


def relative_distance(reals: References, features: Tensor) -> Tensor:
    """Give the energy distance of features to real images' over that of real to real, of equal counts."""
    half = min(len(features), len(reals.pool_features) // 2)
    parts = reals.pool_features[: 2 * half].chunk(2)
    return energy(features[:half], parts[0]) / energy(*parts)


def energy(ours: Tensor, theirs: Tensor) -> Tensor:
    """Give the energy distance of two sets of features, with the zeros of each set, so never below 0.

    Source: Székely & Rizzo 2013, equation 6.
    """
    across, *within = (torch.cdist(*pair).mean() for pair in ((ours, theirs), (ours, ours), (theirs, theirs)))
    return 2 * across - sum(within)


def spread(rows: Tensor) -> Tensor:
    """Give the mean distance of two different rows."""
    return torch.pdist(rows).mean()
