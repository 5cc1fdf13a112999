"""The Dirac-GAN: which games settle and which go round (Mescheder et al. 2018, section 2).

The data are a point at 0, the generator is a point theta, the critic is the line psi * x.
"""

import math

import pytest
import torch

from gander.schedule import Clock
from gander.techniques.objectives import Hinge, NonSaturating, Relativistic, Saturating, Wasserstein
from gander.techniques.penalties import R1, R2, GradientPenalty
from gander.techniques.slots import Logits, Scene, Seen

CLOCK = Clock()
RATE = 0.1
DATA = torch.zeros(1, 1, 1, 1)


def distances(objective, penalties, alternating, steps=300):
    """Play from (1, 1) by plain gradient descent and give the distance from (0, 0) after each step."""
    torch.manual_seed(0)
    theta, psi = (torch.ones((), requires_grad=True) for _ in range(2))

    def critic(images, labels=None):
        return Logits(psi * images.sum((1, 2, 3)))

    def d_slope():
        real, fake = (images.clone().requires_grad_() for images in (DATA, DATA + theta.detach()))
        seen = [Seen(images, None, critic(images)) for images in (real, fake)]
        scene = Scene("d", CLOCK, critic, real=seen[0], fake=seen[1])
        loss = objective.d(seen[0].logits.score, seen[1].logits.score, CLOCK)
        loss = loss + sum(penalty(scene) for penalty in penalties)
        return torch.autograd.grad(loss.sum(), psi)[0]

    def g_slope():
        loss = objective.g(critic(DATA + theta).score, critic(DATA).score)
        return torch.autograd.grad(loss.sum(), theta)[0]

    away = [math.sqrt(2)]
    for _ in range(steps):
        g_first = None if alternating else g_slope()
        psi.data -= RATE * d_slope()
        theta.data -= RATE * (g_slope() if g_first is None else g_first)
        away.append(math.hypot(theta.item(), psi.item()))
    return away


GAMES = [NonSaturating(), Saturating(), Hinge(), Wasserstein(), Relativistic()]
each_game = pytest.mark.parametrize("objective", GAMES, ids=lambda objective: objective.kind)
each_order = pytest.mark.parametrize("alternating", [False, True], ids=["simultaneous", "alternating"])


@each_game
@each_order
def test_without_a_penalty_no_game_settles(objective, alternating):
    assert min(distances(objective, [], alternating)[-100:]) > 0.4


@pytest.mark.parametrize("objective", [Saturating(), Wasserstein()], ids=lambda objective: objective.kind)
def test_a_zero_sum_game_leads_outwards_at_every_step(objective):
    away = distances(objective, [], alternating=False)
    assert away == sorted(away)
    assert away[-1] > 1.1 * away[0]


@each_game
@each_order
def test_r1_makes_every_game_settle(objective, alternating):
    assert distances(objective, [R1(weight=1.0)], alternating)[-1] < 1e-3


def test_r1_and_r2_together_settle_the_relativistic_game():
    assert distances(Relativistic(), [R1(weight=0.5), R2(weight=0.5)], alternating=True)[-1] < 1e-3


@each_order
def test_a_gradient_penalty_around_a_slope_of_one_does_not_make_it_settle(alternating):
    away = distances(Wasserstein(), [GradientPenalty(weight=1.0)], alternating)
    assert min(away[-100:]) > 0.1
