"""Adaptive augmentation: where p goes, and what the pipeline leaves alone."""

from __future__ import annotations

import pytest
import torch

from gander.schedule import Clock
from gander.techniques.ada import Ada, _resample, moves, recolour
from gander.techniques.slots import Logits, Scene, Seen

CPU = torch.device("cpu")
IMAGES = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def look(score: list[float]) -> Scene:
    logits = Logits(torch.tensor(score))
    return Scene("d", Clock(), lambda *_: logits, real=Seen(torch.zeros(len(score), 1), None, logits))


@pytest.mark.parametrize(
    ("score", "direction"), [([1.0] * 5, 1), ([1.0, 1.0, 1.0, 1.0, -1.0], 0), ([-1.0] * 5, -1)]
)
def test_p_follows_the_mean_sign_of_d_on_real_images_around_its_target(score, direction):
    part = Ada(every=4, speed=100, start=0.5).start(CPU)
    for _ in range(3):
        part.observe(look(score))
    assert float(part.p) == pytest.approx(0.5)  # it is not time yet
    part.observe(look(score))
    assert float(part.p) == pytest.approx(0.5 + direction * 20 / 100)
    assert part.numbers()["ada/p"] is part.p


def test_p_stays_between_zero_and_its_most():
    up, down = Ada(every=1, speed=2).start(CPU), Ada(every=1, speed=2).start(CPU)
    up.observe(look([1.0] * 5))
    down.observe(look([-1.0] * 5))
    assert (float(up.p), float(down.p)) == (pytest.approx(0.8), 0.0)


def test_its_memory_is_what_is_saved_and_goes_on_from():
    one, other = (Ada(every=4, speed=100).start(CPU) for _ in range(2))
    one.observe(look([1.0] * 5))
    other.load_state_dict(one.state_dict())
    for part in (one, other):
        for _ in range(3):
            part.observe(look([1.0] * 5))
    assert float(one.p) == float(other.p) == pytest.approx(0.2)


def test_at_zero_images_are_left_as_they_are():
    torch.testing.assert_close(Ada().start(CPU)(IMAGES, Clock()), IMAGES)


def test_maps_of_known_moves_move_images_so():
    mirror = torch.tensor([[-1.0, 0, 0], [0, 1, 0]]).expand(6, 2, 3)
    torch.testing.assert_close(_resample(IMAGES, mirror), IMAGES.flip(-1))
    turned = torch.tensor([[0.0, 1, 0], [-1, 0, 0]]).expand(6, 2, 3)
    torch.testing.assert_close(_resample(IMAGES, turned), IMAGES.rot90(-1, (2, 3)))
    by_one = torch.tensor([[1.0, 0, 2 / 8], [0, 1, 0]]).expand(6, 2, 3)
    torch.testing.assert_close(_resample(IMAGES, by_one)[..., :-1], IMAGES[..., 1:])


def test_maps_are_turns_and_stretches_of_about_the_same_area():
    torch.manual_seed(0)
    drawn = moves(4_000, torch.tensor(1.0))[:, :, :2]
    size = torch.linalg.det(drawn).abs().log2()
    assert size.mean().abs() < 0.05
    assert size.std() == pytest.approx(2 * 0.2, rel=0.1)  # of the scale, twice; a stretch keeps the area


def test_colours_keep_greys_grey():
    torch.manual_seed(0)
    grey = torch.rand(6, 1, 8, 8).expand(6, 3, 8, 8)
    changed = recolour(grey, torch.tensor(1.0))
    assert (changed - changed.mean(1, keepdim=True)).abs().max() < 1e-5


def test_slopes_can_be_penalised_through_it():
    part = Ada(start=0.8).start(CPU)
    images = IMAGES.clone().requires_grad_()
    weight = torch.ones((), requires_grad=True)
    (slope,) = torch.autograd.grad((part(images, Clock()) * weight).square().sum(), images, create_graph=True)
    slope.square().sum().backward()
    assert weight.grad.isfinite()
    assert weight.grad != 0


@pytest.mark.parametrize("p", [0.0, 0.4, 0.8])
def test_each_move_happens_as_often_as_p_says(p):
    torch.manual_seed(0)
    still = moves(8_000, torch.tensor(p)) == torch.eye(2, 3)
    # An image stays as it is where none of seven draws wins, or mirror and quarter turn come out as no move.
    kept = (1 - p) ** 5 * (1 - p / 2) * (1 - p * 3 / 4)
    assert still.all(2).all(1).float().mean() == pytest.approx(kept, abs=0.02)
