"""Objectives against closed forms."""

import math

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from gander.schedule import Clock, Ramp
from gander.techniques.objectives import (
    Flip,
    Hinge,
    LeastSquares,
    NonSaturating,
    Relativistic,
    Saturating,
    Smooth,
    Wasserstein,
)
from gander.techniques.slots import Objective, Separable

CLOCK = Clock()
ZERO = torch.zeros(4)
SCORES = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 4.0])
LOG2 = math.log(2)


@pytest.mark.parametrize(
    ("objective", "d", "g"),
    [
        (NonSaturating(), 2 * LOG2, LOG2),
        (Saturating(), 2 * LOG2, -LOG2),
        (LeastSquares(), 0.5, 0.5),
        (Hinge(), 2.0, 0.0),
        (Wasserstein(), 0.0, 0.0),
        (Relativistic(), LOG2, LOG2),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_a_critic_that_knows_nothing_pays_a_known_price(objective, d, g):
    assert objective.d(ZERO, ZERO, CLOCK) == pytest.approx(d)
    assert objective.g(ZERO, ZERO) == pytest.approx(g)


@pytest.mark.parametrize(
    ("objective", "real", "fake", "g"),
    [
        (NonSaturating(), -F.logsigmoid(SCORES), -F.logsigmoid(-SCORES), -F.logsigmoid(SCORES)),
        (Saturating(), -F.logsigmoid(SCORES), -F.logsigmoid(-SCORES), F.logsigmoid(-SCORES)),
        (LeastSquares(), (SCORES - 1) ** 2 / 2, SCORES**2 / 2, (SCORES - 1) ** 2 / 2),
        (Hinge(), [4, 2, 1.5, 1, 0.75, 0, 0], [0, 0, 0.5, 1, 1.25, 2, 5], -SCORES),
        (Wasserstein(), -SCORES, SCORES, -SCORES),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_losses_follow_their_formula(objective, real, fake, g):
    torch.testing.assert_close(objective.real(SCORES, CLOCK), torch.as_tensor(real))
    torch.testing.assert_close(objective.fake(SCORES, CLOCK), torch.as_tensor(fake))
    torch.testing.assert_close(objective.g(SCORES), g)


def test_the_relativistic_loss_compares_pairs_and_forgets_the_level():
    real, fake = SCORES, SCORES.flip(0)
    torch.testing.assert_close(Relativistic().d(real, fake, CLOCK), -F.logsigmoid(real - fake))
    torch.testing.assert_close(Relativistic().g(fake, real), -F.logsigmoid(fake - real))
    torch.testing.assert_close(
        Relativistic().d(real + 5, fake + 5, CLOCK), Relativistic().d(real, fake, CLOCK)
    )


SEPARABLE = [
    NonSaturating(),
    Saturating(),
    LeastSquares(),
    Hinge(),
    Wasserstein(),
    Smooth(real=0.8, fake=0.1, inner=Hinge()),
    Flip(share=1.0),
]


@pytest.mark.parametrize("objective", SEPARABLE, ids=lambda objective: objective.kind)
def test_joint_and_separate_updates_pay_the_same(objective):
    assert isinstance(objective, Separable)
    apart = objective.real(SCORES, CLOCK) + objective.fake(SCORES.flip(0), CLOCK)
    torch.testing.assert_close(objective.d(SCORES, SCORES.flip(0), CLOCK), apart)


@pytest.mark.parametrize("target", [0.0, 0.1, 0.9, 1.0])
@pytest.mark.parametrize("wrapped", [Smooth, lambda **labels: Flip(share=0.0, inner=Smooth(**labels))])
def test_smooth_logistic_losses_are_cross_entropy_with_soft_targets(wrapped, target):
    objective = wrapped(real=target, fake=target)
    expected = F.binary_cross_entropy_with_logits(SCORES, torch.full_like(SCORES, target), reduction="none")
    torch.testing.assert_close(objective.real(SCORES, CLOCK), expected)
    torch.testing.assert_close(objective.fake(SCORES, CLOCK), expected)


def test_smoothing_is_one_sided_unless_told():
    assert Smooth().real(ZERO + 1, CLOCK) == pytest.approx(math.log1p(math.e) - 0.9)
    torch.testing.assert_close(Smooth().fake(SCORES, CLOCK), NonSaturating().fake(SCORES, CLOCK))


def test_a_range_of_labels_is_drawn_anew_for_each_image_and_stays_inside():
    torch.manual_seed(0)
    score = torch.ones(20_000)  # the loss softplus(1) - label gives the label away
    objective = Smooth(real=(0.8, 1.2), fake=(0.0, 0.3))
    for drawn, low, high in ((objective.real, 0.8, 1.2), (objective.fake, 0.0, 0.3)):
        labels = F.softplus(score) - drawn(score, CLOCK)
        assert low - 1e-6 <= float(labels.min()) < low + 0.01
        assert high - 0.01 < float(labels.max()) <= high + 1e-6
        assert float(labels.mean()) == pytest.approx((low + high) / 2, abs=0.005)


@pytest.mark.parametrize("inner", [NonSaturating(), LeastSquares(), Hinge(), Wasserstein(), Smooth()])
def test_flipping_all_labels_swaps_them_and_flipping_none_changes_nothing(inner):
    for share, real, fake in ((0.0, inner.real, inner.fake), (1.0, inner.fake, inner.real)):
        flip = Flip(share=share, inner=inner)
        assert torch.equal(flip.real(SCORES, CLOCK), real(SCORES, CLOCK))
        assert torch.equal(flip.fake(SCORES, CLOCK), fake(SCORES, CLOCK))


def test_labels_flip_with_their_share_which_may_fade():
    torch.manual_seed(0)
    score = torch.ones(20_000)
    flip = Flip(share=Ramp(**{"from": 0.4, "to": 0.0, "over": 100}), inner=Wasserstein())
    for images, share in ((0, 0.4), (50, 0.2), (100, 0.0)):
        flipped = flip.real(score, Clock(images)) > 0
        assert float(flipped.float().mean()) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("inner", [NonSaturating(), Saturating(), LeastSquares(), Hinge()])
@pytest.mark.parametrize("wrapper", [Smooth, Flip])
def test_wrappers_leave_the_generators_loss_alone(wrapper, inner):
    assert torch.equal(wrapper(inner=inner).g(SCORES), inner.g(SCORES))


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "smooth", "real": [1.2, 0.8]},
        {"kind": "smooth", "fake": [0.3, 0.0]},
        {"kind": "smooth", "real": 2.5},
        {"kind": "smooth", "inner": {"kind": "wasserstein"}},  # it has no labels to soften
        {"kind": "flip", "inner": {"kind": "relativistic"}},  # it has no images to call by name
        {"kind": "flip", "share": 1.5},
    ],
)
def test_labels_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        Objective.choose(settings)
