"""Views: what they may change, what they must keep."""

import pytest
import torch

from gander.schedule import Clock, Ramp
from gander.techniques.views import DiffAugment, InstanceNoise

CLOCK = Clock()


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def images(n=64, channels=3, size=16):
    return torch.rand(n, channels, size, size) * 2 - 1


def test_instance_noise_has_its_sigma_and_fades_with_a_ramp():
    clean = images()
    noise = InstanceNoise(sigma=Ramp(**{"from": 0.4, "to": 0.0, "over": 1000}))
    for shown, sigma in ((0, 0.4), (500, 0.2)):
        added = noise(clean, Clock(shown)) - clean
        assert float(added.mean()) == pytest.approx(0, abs=0.01)
        assert float(added.std()) == pytest.approx(sigma, rel=0.02)
        assert not torch.equal(added[0], added[1])
    assert noise(clean, Clock(1000)) is clean


def test_a_shift_moves_each_image_as_a_whole_by_at_most_an_eighth():
    clean = images(n=200, channels=1)
    moved = DiffAugment(policy=("shift",))(clean, CLOCK)
    padded = torch.nn.functional.pad(clean, (2, 2, 2, 2))
    moves = [(down, right) for down in range(5) for right in range(5)]
    fits = torch.stack(
        [
            (padded[:, :, down : down + 16, right : right + 16] == moved).flatten(1).all(1)
            for down, right in moves
        ]
    )
    assert fits.sum(0).tolist() == [1] * 200  # every image is one of the 25 moves of itself
    assert fits.any(1).all()  # and every move occurs


def test_a_cutout_zeroes_one_square_of_at_most_a_quarter():
    clean = images(n=200).abs() + 0.1
    cut = DiffAugment(policy=("cutout",))(clean, CLOCK)
    hole = cut == 0
    assert torch.equal(cut[~hole], clean[~hole])
    assert torch.equal(hole.any(1), hole.all(1))  # in all channels alike
    areas = hole[:, 0].flatten(1).sum(1)
    heights, widths = hole[:, 0].any(2).sum(1), hole[:, 0].any(1).sum(1)
    assert torch.equal(areas, heights * widths)
    assert int(areas.max()) == 8 * 8
    assert (areas >= 4 * 4).all()  # a centre in the corner leaves a quarter of the square
    assert len(areas.unique()) > 5


def test_colours_change_brightness_saturation_and_contrast_by_one_number_an_image():
    clean = images()
    seen = DiffAugment(policy=("colour",))(clean, CLOCK)
    grey, seen_grey = clean.mean(1, keepdim=True), seen.mean(1, keepdim=True)
    brightness = seen.mean((1, 2, 3)) - clean.mean((1, 2, 3))
    contrast = around_its_mean(seen_grey) / around_its_mean(grey)
    saturation = (seen - seen_grey) / (clean - grey) / contrast[:, :, :1, :1]
    for factor in (contrast, saturation):
        torch.testing.assert_close(factor, factor[:, :1, :1, :1].expand_as(factor), rtol=0.02, atol=0.02)
    for drawn, low, high in (
        (brightness, -0.5, 0.5),
        (contrast[:, 0, 0, 0], 0.5, 1.5),
        (saturation[:, 0, 0, 0], 0.0, 2.0),
    ):
        assert low - 1e-3 <= float(drawn.min()) < low + 0.2 * (high - low)
        assert high - 0.2 * (high - low) < float(drawn.max()) <= high + 1e-3


def around_its_mean(maps):
    return maps - maps.mean((1, 2, 3), keepdim=True)


def test_grey_stays_grey_under_colour_changes():
    grey = images(channels=1).expand(-1, 3, -1, -1)
    seen = DiffAugment(policy=("colour",))(grey, CLOCK)
    torch.testing.assert_close(seen, seen[:, :1].expand_as(seen))


def test_only_a_share_of_the_images_is_changed_the_others_not_at_all():
    clean = images(n=1000, size=8)
    assert torch.equal(DiffAugment(share=0.0)(clean, CLOCK), clean)
    seen = DiffAugment(share=0.3)(clean, CLOCK)
    changed = (seen != clean).flatten(1).any(1)
    assert float(changed.float().mean()) == pytest.approx(0.3, abs=0.05)


POLICIES = [("colour",), ("shift",), ("cutout",), ("colour", "shift", "cutout")]


@pytest.mark.parametrize("policy", POLICIES, ids="+".join)
def test_each_image_gets_its_own_change(policy):
    same = images(n=1).expand(16, -1, -1, -1)
    seen = DiffAugment(policy=policy)(same, CLOCK)
    assert seen.shape == same.shape
    assert len(seen.flatten(1).unique(dim=0)) > 8


@pytest.mark.parametrize("view", [*(DiffAugment(policy=p) for p in POLICIES), InstanceNoise()], ids=repr)
def test_slopes_of_slopes_reach_the_images_through_a_view(view):
    clean = images(n=4).requires_grad_()
    score = view(clean, CLOCK).pow(3).sum()
    (slope,) = torch.autograd.grad(score, clean, create_graph=True)
    (curve,) = torch.autograd.grad(slope.square().sum(), clean)
    assert slope.abs().sum() > 0
    assert curve.abs().sum() > 0
    assert curve.isfinite().all()
