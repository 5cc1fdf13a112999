"""Penalties that look at fakes through the frozen features of a recipe."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from gander.chance import rows_of_all
from gander.schedule import NonNegative
from gander.techniques.slots import Kind, Penalty, Scene, Seen, Side

_APART = 4.0  # from another class, beside features whose mean square is a few


class EnergyDistance(Penalty):
    """Draw fakes to the real images of the batch and drive them from one another, in the recipe's features.

    A discriminator judges images one by one, and is content with one good image a class; this compares sets.
    With labels, an image's class is part of what is compared.

    Hurts when: the batch holds few images of a class.
    Source: Székely & Rizzo 2013, equation 6; as a loss of generators, Bellemare et al. 2017, section 4.
    """

    kind: Literal["energy_distance"] = "energy_distance"
    sides: ClassVar[tuple[Side, ...]] = ("g",)
    needs: ClassVar[tuple[Kind, ...]] = ("real", "fake")
    weight: NonNegative = 1.0

    def __call__(self, scene: Scene) -> Tensor:
        """Give weight times 2 E|f - r| - E|f - f'| of each fake f, over reals r and the other fakes f'."""
        assert scene.real is not None
        assert scene.fake is not None
        to_real = _distances(scene.fake, scene.real).mean(1)
        apart = _distances(scene.fake, scene.fake)
        # A pair of fakes is met twice, and moves both of them each time.
        to_fakes = (2 * apart - apart.detach()).sum(1) / (apart.shape[1] - 1)
        return scene.clock.now(self.weight) * (2 * to_real - to_fakes)


class ClassifierGuidance(Penalty):
    """Cross-entropy of what the frozen classifier takes a fake for, with its label, in G's update.

    Hurts when: its weight is large: G makes the easiest image of each class.
    Source: Sauer et al. 2022, section 3.4.
    """

    kind: Literal["classifier_guidance"] = "classifier_guidance"
    sides: ClassVar[tuple[Side, ...]] = ("g",)
    needs: ClassVar[tuple[Kind, ...]] = ("fake",)
    weight: NonNegative = 0.1

    def __call__(self, scene: Scene) -> Tensor:
        """Give weight times the cross-entropy."""
        assert scene.fake is not None
        assert scene.fake.logits.guides is not None
        assert scene.fake.labels is not None
        term = F.cross_entropy(scene.fake.logits.guides, scene.fake.labels, reduction="none")
        return scene.clock.now(self.weight) * term


def _distances(ours: Seen, theirs: Seen) -> Tensor:
    """Measure from our images (n, D) to theirs of all processes (N, D), which are held still: (n, N)."""
    assert ours.logits.features is not None
    assert theirs.logits.features is not None
    # Images that are alike lie close to one another and far from 0, where float32 has no digits left.
    here, there = ours.logits.features.double(), rows_of_all(theirs.logits.features.detach()).double()
    squares = here.square().sum(1)[:, None] + there.square().sum(1) - 2 * here @ there.T
    if ours.labels is not None and theirs.labels is not None:  # as if each class had an axis of its own
        squares = squares + 2 * _APART**2 * (ours.labels[:, None] != rows_of_all(theirs.labels))
    return squares.clamp(min=1e-6).sqrt().float()
