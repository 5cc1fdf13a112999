"""How far fakes are from real images as a set: of G as it trains, as it evaluates, and of its average."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gander.training.probes.scene import ProbeScene, References, make_fakes

if TYPE_CHECKING:
    from gander.training.trainer import Trainer

Numbers = dict[str, Tensor]


def distance(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give the energy distance of fakes to real images over that of real to other real ones, of equal counts.

    Fakes are of running statistics, where G has any; of the batch's, beside, as `distance_train_mode`.
    """
    now = relative_distance(scene.references, scene.fake_features)
    if not any(isinstance(part, _BatchNorm) for part in trainer.generator.modules()):
        return {"distance": now}
    return {
        "distance": relative_distance(scene.references, _features_of(trainer, scene, trainer.generator)),
        "distance_train_mode": now,
    }


def distance_of_average(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give the same of the averaged G, where there is one."""
    if trainer.average is trainer.generator:
        return {}
    return {
        "distance_average": relative_distance(scene.references, _features_of(trainer, scene, trainer.average))
    }


def energy(ours: Tensor, theirs: Tensor) -> Tensor:
    """Give the energy distance of two sets of features, with the zeros of each set, so never below 0.

    Source: Székely & Rizzo 2013, equation 6.
    """
    across, *within = (torch.cdist(*pair).mean() for pair in ((ours, theirs), (ours, ours), (theirs, theirs)))
    return 2 * across - sum(within)


def relative_distance(reals: References, features: Tensor) -> Tensor:
    """Give the energy distance of features to real images' over that of real to real, of equal counts."""
    real, other = reals.halves
    return energy(features[: len(real)], real) / energy(real, other)


def _features_of(trainer: Trainer, scene: ProbeScene, net: nn.Module) -> Tensor:
    assert scene.scene.latents is not None
    modes = {module: module.training for module in net.modules()}
    net.eval()
    fakes = make_fakes(trainer, scene.streams, scene.scene.latents, scene.fake.labels, net)
    for module, training in modes.items():
        module.training = training
    return scene.references.features(fakes)
