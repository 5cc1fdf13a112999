"""How D answers: how well it tells real from fake and shown from held out, and how steep it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gander.training.loss import g_loss
from gander.training.probes.scene import ProbeScene

if TYPE_CHECKING:
    from gander.training.trainer import Trainer

Numbers = dict[str, Tensor]


def answers(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give means, deviations and areas of the scores of all heads together; 0.5 is chance, below it wrong."""
    real, fake = (seen.logits.total().detach() for seen in (scene.real, scene.fake))
    numbers = {
        "auc": area(real, fake),
        "real": real.mean(),
        "fake": fake.mean(),
        "real_deviation": real.std(),
        "fake_deviation": fake.std(),
    }
    if scene.held_out is not None:
        held_out = scene.held_out.logits.total()
        numbers |= {"held_out": held_out.mean(), "auc_held_out": area(real, held_out)}
    return numbers


def slope(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give the mean length of dL_G/dx at fakes, of the objective alone, times the root of the pixels."""
    scene.streams.open("probe/objective")
    loss = g_loss(trainer.parts.objective, scene.scene).sum()
    of_loss = torch.autograd.grad(loss, scene.fake.images, retain_graph=True)[0]
    return {"slope": _length(of_loss)}


def slope_d(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give the same of dD/dx at real images."""
    of_d = torch.autograd.grad(scene.real.logits.total().sum(), scene.real.images, retain_graph=True)[0]
    return {"slope_d": _length(of_d)}


def area(positive: Tensor, negative: Tensor) -> Tensor:
    """Give the area under the ROC: how often a positive score is above a negative one, ties by half."""
    apart = positive[:, None] - negative
    return ((apart > 0).double() + 0.5 * (apart == 0).double()).mean()


def _length(slope: Tensor) -> Tensor:
    return slope.flatten(1).norm(dim=1).mean() * math.sqrt(slope[0].numel())
