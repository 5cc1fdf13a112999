"""Penalties in frozen features, beside sums by hand."""

import torch

from gander.schedule import Clock
from gander.techniques.featured import ClassifierGuidance, EnergyDistance
from gander.techniques.slots import Logits, Scene, Seen


def scene(real, fake, labels=None):
    def seen(features):
        return Seen(features, labels, Logits(features[:, 0], features=features))

    return Scene("g", Clock(), None, real=seen(real), fake=seen(fake))


def test_it_is_twice_the_distance_to_reals_less_that_to_other_fakes():
    real, fake = torch.randn(6, 3), torch.randn(6, 3)

    def off(f, others):
        return sum((f - other).norm() for other in others)

    by_hand = [2 * off(f, real) / 6 - off(f, fake) / 5 for f in fake]
    term = EnergyDistance(weight=0.5)(scene(real, fake))
    torch.testing.assert_close(term, 0.5 * torch.stack(by_hand), atol=1e-3, rtol=1e-3)


def test_fakes_of_one_class_that_are_all_alike_are_driven_apart_along_what_is_real():
    labels = torch.arange(8) % 2
    real = torch.zeros(8, 2)
    real[:, 0] = torch.tensor([-1.0, -1, -1, -1, 1, 1, 1, 1])  # each class is spread along the first axis
    alike = (0.01 * torch.randn(8, 2)).requires_grad_()
    EnergyDistance()(scene(real, alike, labels)).mean().backward()
    apart = -alike.grad[:, 0] * alike.detach()[:, 0].sign()
    assert apart.mean() > 0
    one_for_all = EnergyDistance()(scene(real, torch.zeros(8, 2), labels)).mean()
    assert EnergyDistance()(scene(real, real.clone(), labels)).mean() < one_for_all


def test_guidance_is_the_cross_entropy_of_the_frozen_classifier():
    labels = torch.tensor([0, 1])
    logits = Logits(torch.zeros(2), guides=torch.tensor([[1.0, 3.0], [1.0, 3.0]]))
    term = ClassifierGuidance(weight=2.0)(Scene("g", Clock(), None, fake=Seen(None, labels, logits)))
    softplus = torch.nn.functional.softplus
    torch.testing.assert_close(term, 2 * softplus(torch.tensor([2.0, -2.0])))
