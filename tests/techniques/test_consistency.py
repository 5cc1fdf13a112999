"""How much a score changes where an image means the same."""

import pytest
import torch

from gander.schedule import Clock
from gander.techniques.consistency import Consistency
from gander.techniques.slots import Logits, Scene, Seen


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
