"""How far the last step moved each net's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from gander.training.trainer import Trainer

Numbers = dict[str, Tensor]
Kept = dict[str, list[Tensor]]


def keep_weights(trainer: Trainer) -> Kept:
    """Copy every weight that learns, before a step."""
    return {
        learner.side: [weight.detach().clone() for weight in learner.weights]
        for learner in (trainer.g, trainer.d)
    }


@torch.no_grad()
def updates(trainer: Trainer, kept: Kept) -> Numbers:
    """Give log10 of the step over the weights, in root mean squares, and the share that did not move."""
    numbers: Numbers = {}
    for learner in (trainer.g, trainer.d):
        side, before = learner.side, kept[learner.side]
        moved = [(now - old).square().mean().sqrt() for now, old in zip(learner.weights, before, strict=True)]
        matrices = [place for place, weight in enumerate(learner.weights) if weight.dim() >= 2]
        sizes = [before[place].square().mean().sqrt() for place in matrices]
        ratios = torch.stack([moved[place] for place in matrices]) / (torch.stack(sizes) + 1e-12)
        logs = ratios.clamp(min=1e-12).log10()
        numbers |= {f"update_{side}": logs.median(), f"update_{side}_most": logs.max()}
        numbers[f"frozen_{side}"] = (torch.stack(moved) == 0).double().mean()
    return numbers
