"""Penalties on critics whose slope is known."""

import math

import pytest
import torch
import torch.nn.functional as F

from gander.schedule import Clock, Ramp
from gander.techniques.penalties import R1, R2, AuxiliaryClassifier, GradientPenalty, LeCam
from gander.techniques.slots import Logits, Scene, Seen

CPU = torch.device("cpu")
SLOPE = torch.tensor([3.0, 0.0, -4.0, 0.0]).view(1, 1, 2, 2)  # of length 5


def linear(images, labels=None):
    return (images * SLOPE).sum((1, 2, 3)) + 7


def quadratic(images, labels=None):
    """Score half the squared length, so that the slope is the image itself."""
    return images.square().sum((1, 2, 3)) / 2


def flat(images, labels=None):
    return (images * 0).sum((1, 2, 3)) + 2


def scene(critic, images=0):
    torch.manual_seed(0)
    real, fake = (torch.randn(5, 1, 2, 2, requires_grad=True) for _ in range(2))

    def judged(images, labels=None):
        return Logits(critic(images))

    seen = [Seen(images, None, judged(images)) for images in (real, fake)]
    return Scene("d", Clock(images), judged, real=seen[0], fake=seen[1])


@pytest.mark.parametrize(("penalty", "kind"), [(R1, "real"), (R2, "fake")])
@pytest.mark.parametrize("weight", [1.0, 0.1])
def test_r1_and_r2_are_half_the_weight_times_the_squared_slope(penalty, kind, weight):
    look = scene(quadratic)
    expected = weight / 2 * getattr(look, kind).images.square().sum((1, 2, 3))
    torch.testing.assert_close(penalty(weight=weight)(look), expected)
    assert penalty(weight=weight)(scene(linear)).tolist() == pytest.approx([weight / 2 * 25] * 5)
    assert penalty(weight=weight)(scene(flat)).tolist() == [0.0] * 5


@pytest.mark.parametrize("penalty", [R1, R2])
def test_a_penalised_slope_can_be_differentiated_by_the_weights(penalty):
    steepness = torch.tensor(3.0, requires_grad=True)
    penalty(weight=2.0)(scene(lambda images, labels=None: steepness * images.sum((1, 2, 3)))).sum().backward()
    assert float(steepness.grad) == pytest.approx(5 * 2 * 4 * 3)  # d/ds of n w/2 (4 pixels) s^2


@pytest.mark.parametrize(("weight", "target"), [(10.0, 1.0), (1.0, 0.0), (2.0, 5.0)])
def test_the_gradient_penalty_asks_for_its_slope(weight, target):
    penalty = GradientPenalty(weight=weight, target=target)
    assert penalty(scene(linear)).tolist() == pytest.approx([weight * (5 - target) ** 2] * 5)
    assert penalty(scene(flat)).tolist() == pytest.approx([weight * target**2] * 5, abs=1e-4)


def test_the_gradient_penalty_looks_between_real_and_fake_at_a_place_of_each_images_own():
    seen = []
    GradientPenalty()(scene(lambda images, labels=None: seen.append(images) or quadratic(images)))
    look, between = scene(quadratic), seen[-1]
    shares = ((between - look.real.images) / (look.fake.images - look.real.images)).flatten(1)
    assert torch.allclose(shares, shares[:, :1], atol=1e-4)
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert len(shares[:, 0].unique()) == 5


def test_a_flat_critic_gives_the_gradient_penalty_a_finite_slope():
    weight = torch.zeros((), requires_grad=True)
    GradientPenalty()(scene(lambda images, labels=None: weight * images.sum((1, 2, 3)))).sum().backward()
    assert math.isfinite(float(weight.grad))


@pytest.mark.parametrize("penalty", [R1, R2, GradientPenalty])
def test_a_weight_may_be_a_ramp(penalty):
    fading = penalty(weight=Ramp(**{"from": 1.0, "to": 0.0, "over": 10}))
    full, half, gone = (fading(scene(linear, images)) for images in (0, 5, 10))
    torch.testing.assert_close(half, full / 2)
    assert not gone.any()


def scores(real, fake):
    real, fake = (torch.tensor(values, requires_grad=True) for values in (real, fake))
    real, fake = (Seen(torch.zeros(0), None, Logits(scores)) for scores in (real, fake))
    return Scene("d", Clock(), flat, real=real, fake=fake)


def test_lecam_pulls_scores_to_the_averages_of_the_other_kind():
    paid = LeCam(weight=2.0, decay=0.5).start(CPU)
    # first look: the averages are this look's means, 2 of real and -1 of fake
    assert paid(scores([1.0, 3.0], [-2.0, 0.0])).tolist() == [2 * (4 + 16), 2 * (16 + 4)]
    # second: (2 / 4 + 5 / 2) / (1 / 4 + 1 / 2) = 4 of real, (-1 / 4 + 0.5 / 2) / (3 / 4) = 0 of fake
    assert paid(scores([5.0, 5.0], [0.5, 0.5])).tolist() == pytest.approx([2 * (25 + 12.25)] * 2)


def test_lecam_tends_to_the_distance_of_steady_scores():
    paid = LeCam(weight=1.0, decay=0.9).start(CPU)
    for _ in range(200):
        last = paid(scores([3.0], [-1.0]))
    assert last.tolist() == pytest.approx([2 * 4.0**2])
    last.sum().backward()  # the averages do not carry the graph of the steps before


LABELS = torch.tensor([0, 1, 2])


def classified(side, real=None, fake=None):
    seen = [
        None if classes is None else Seen(torch.zeros(0), LABELS, Logits(classes[:, 0], classes))
        for classes in (real, fake)
    ]
    return Scene(side, Clock(), flat, real=seen[0], fake=seen[1])


@pytest.mark.parametrize(("side", "fakes", "looks"), [("d", True, 2), ("d", False, 1), ("g", False, 1)])
def test_a_flat_class_head_costs_the_log_of_the_classes_for_each_kind_it_judges(side, fakes, looks):
    flat_head = torch.zeros(3, 10)
    penalty = AuxiliaryClassifier(weight=0.5, fakes=fakes)
    paid = penalty(classified(side, real=flat_head, fake=flat_head))
    assert paid.tolist() == pytest.approx([0.5 * looks * math.log(10)] * 3)


def test_the_auxiliary_classifier_pays_cross_entropy():
    real, fake = torch.randn(3, 4), torch.randn(3, 4)
    expected = F.cross_entropy(real, LABELS, reduction="none") + F.cross_entropy(
        fake, LABELS, reduction="none"
    )
    torch.testing.assert_close(AuxiliaryClassifier()(classified("d", real, fake)), expected)
    of_fakes = AuxiliaryClassifier()(classified("g", fake=fake))
    torch.testing.assert_close(of_fakes, F.cross_entropy(fake, LABELS, reduction="none"))
