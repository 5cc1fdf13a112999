"""How much a score changes with the images: critics whose slope is known."""

import pytest
import torch

from gander.schedule import Clock, Ramp
from gander.techniques.differences import ApproximateR1, ApproximateR2, Consistency
from gander.techniques.slots import Logits, Scene, Seen

SLOPE = torch.tensor([3.0, 0.0, -4.0, 0.0]).view(1, 1, 2, 2)  # of length 5


def scene(steepness=1.0, images=0, count=4096):
    def judged(images):
        return Logits(steepness * (images * SLOPE).sum((1, 2, 3)) + 7)

    torch.manual_seed(0)
    seen = [Seen(shown, None, judged(shown)) for shown in torch.randn(2, count, 1, 2, 2)]
    asked = []
    made = Scene("d", Clock(images), None, real=seen[0], fake=seen[1])
    made.repeat = lambda kind, shown: asked.append(kind) or judged(shown)
    return made, asked


@pytest.mark.parametrize(("penalty", "kind"), [(ApproximateR1, "real"), (ApproximateR2, "fake")])
def test_it_is_the_weight_times_the_squared_slope_along_the_noise(penalty, kind):
    look, asked = scene()
    torch.manual_seed(1)
    given = penalty()(look)
    torch.manual_seed(1)
    along = (torch.randn(4096, 1, 2, 2) * SLOPE).sum((1, 2, 3))
    torch.testing.assert_close(given, 100 * 0.01**2 * along.square(), rtol=1e-3, atol=1e-3)
    assert given.mean().item() == pytest.approx(100 * 0.01**2 * 25, rel=0.1)
    assert asked == [kind]


def test_it_can_be_differentiated_by_the_weights_and_may_be_a_ramp():
    steepness = torch.tensor(2.0, requires_grad=True)
    torch.manual_seed(1)
    given = ApproximateR1()(scene(steepness)[0]).mean()
    given.backward()
    assert steepness.grad.item() == pytest.approx(2 * given.item() / 2, rel=1e-3)
    fading = ApproximateR1(weight=Ramp(**{"from": 1.0, "to": 0.0, "over": 10}))
    assert not fading(scene(images=10)[0]).any()


@pytest.mark.parametrize(("fakes", "kinds"), [(False, ["real"]), (True, ["real", "fake"])])
def test_consistency_is_the_squared_change_by_a_flip_and_a_shift(fakes, kinds):
    torch.manual_seed(0)
    images = torch.rand(64, 1, 8, 8)
    shown = []

    def judged(images):
        return Logits(images[:, 0, 0, 0])  # the first place

    def repeat(kind, moved):
        shown.append((kind, moved))
        return judged(moved)

    seen = Seen(images, None, judged(images))
    look = Scene("d", Clock(), None, real=seen, fake=seen, repeat=repeat)
    given = Consistency(weight=2.0, fakes=fakes)(look)
    assert [kind for kind, _ in shown] == kinds
    changes = [(images - moved)[:, 0, 0, 0].square() for _, moved in shown]
    torch.testing.assert_close(given, 2 * sum(changes))
    still, flipped = ((shown[0][1] == old).all((1, 2, 3)).sum() for old in (images, images.flip(3)))
    assert still > 0 < flipped  # one in nine is not shifted, and half of those are flipped
    assert still + flipped < 20


def test_consistency_has_nothing_to_say_of_fakes_alone():
    seen = Seen(torch.zeros(1, 1, 8, 8), None, Logits(torch.zeros(1)))
    assert Consistency()(Scene("d", Clock(), None, fake=seen)) is None
