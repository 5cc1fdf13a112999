"""Contact sheets and walks from a trained generator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from gander.actions import sample as sample_module
from gander.actions.sample import animate, sample, save_animation, slerp, walk
from gander.errors import UsageError
from gander.generation.load import load
from gander.training.loop import train
from tests.tiny import tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return {
        flavour: train(tiny(folder, flavour), folder / flavour)
        for flavour in ("plain", "projection", "per class")
    }


@pytest.fixture
def drawn(monkeypatch):
    """Give what is laid out instead of laying it out: images, columns, names."""
    monkeypatch.setattr(
        sample_module, "contact_sheet", lambda images, columns, row_names: (images, columns, row_names)
    )


def test_the_great_circle_keeps_the_length_and_meets_both_ends():
    rng = torch.Generator().manual_seed(0)
    start, end = (torch.nn.functional.normalize(torch.randn(9, 5, generator=rng)) * 3 for _ in range(2))
    assert torch.allclose(slerp(start, end, 0.0), start, atol=1e-6)
    assert torch.allclose(slerp(start, end, 1.0), end, atol=1e-6)
    for share in (0.1, 0.5, 0.9):
        assert torch.allclose(slerp(start, end, share).norm(dim=1), torch.full((9,), 3.0), atol=1e-4)
    quarter = slerp(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 0.5)
    assert quarter.tolist()[0] == pytest.approx([0.5**0.5, 0.5**0.5])


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["the same", "opposite"])
def test_ends_that_are_parallel_make_no_number_infinite(sign):
    start = torch.tensor([[0.6, 0.8]])
    assert slerp(start, sign * start, 0.3).isfinite().all()


@pytest.mark.parametrize("flavour", ["plain", "projection", "per class"])
def test_a_walk_begins_and_ends_at_drawn_latents(flavour, trained, drawn):
    run = trained[flavour]
    images, columns, names = walk(run, rows=3, seed=5, steps=7)
    sampler = load(run)
    rows = 2 if sampler.conditional else 3
    assert (len(images), columns, len(names)) == (rows * 7, 7, 2 if sampler.conditional else 0)
    ends = sampler.draw(2 * rows, 5).view(2, rows, -1)
    for at, place in ((0, 0), (1, 6)):
        made = sampler.images(ends[at], torch.arange(rows) if sampler.conditional else None).int()
        assert np.abs(images[place::7].astype(int) - made.numpy()).max() <= 1


@pytest.mark.parametrize("flavour", ["projection", "per class"])
def test_classes_get_a_row_each_and_their_name(flavour, trained, drawn):
    images, columns, names = sample(trained[flavour], n=10, seed=1)
    assert (len(images), columns, names) == (10, 5, ("circle", "square"))
    sampler = load(trained[flavour])
    expected = sampler.images(sampler.draw(10, 1), torch.arange(2).repeat_interleave(5))
    assert np.array_equal(images, expected.numpy())
    images, columns, names = sample(trained[flavour], n=6, classes=("square",))
    assert (len(images), columns, names) == (6, 6, ("square",))


def test_any_count_fills_its_rows(trained, drawn):
    for n in (1, 3, 7):
        images, columns, names = sample(trained["projection"], n=n)
        assert len(images) == n
        assert len(names) == -(-n // columns)
        images, columns, names = sample(trained["plain"], n=n)
        assert (len(images), names) == (n, ())


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (3, 3), (7, 3), (10, 5), (16, 4), (50, 10), (100, 10)])
def test_a_sheet_is_nearly_square_and_leaves_no_gap_where_that_can_be(n, expected, trained, drawn):
    assert sample(trained["plain"], n=n)[1] == expected


def test_an_animation_is_small_enough_to_be_sent(trained):
    frame = animate(trained["projection"], seed=5, steps=2)[0]
    assert frame.width <= 2 * frame.height
    assert 500 < frame.width < 700


def test_equal_seeds_give_equal_pictures(trained):
    first, again, other = (sample(trained["plain"], n=4, seed=seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()


@pytest.mark.parametrize("n", [0, -1, 10_001])
def test_a_count_out_of_range_is_told(n, trained):
    with pytest.raises(UsageError, match=f"n = {n}: a contact sheet takes 1 to 10,000 images"):
        sample(trained["plain"], n=n)
    with pytest.raises(UsageError, match=f"n = {n}: a sheet takes 1 to 833 walks"):
        walk(trained["plain"], rows=n)


def test_a_class_is_asked_of_a_generator_that_knows_it(trained):
    for draw in (sample, walk):
        with pytest.raises(UsageError, match=r'class "sqare".*did you mean "square"'):
            draw(trained["projection"], classes=("sqare",))
        with pytest.raises(UsageError, match="knows no classes"):
            draw(trained["plain"], classes=("square",))


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_an_animated_walk_comes_back_to_where_it_began(kind, trained, tmp_path):
    frames = animate(trained["projection"], seed=5, steps=6)
    assert len(frames) == 10  # there and back, neither end twice
    assert all(frames[-step].tobytes() == frames[step].tobytes() for step in range(1, 5))
    save_animation(frames, tmp_path / f"walk.{kind}")
    with Image.open(tmp_path / f"walk.{kind}") as picture:
        assert (picture.n_frames, picture.info["loop"]) == (10, 0)
        assert picture.size == frames[0].size
        if kind == "webp":
            assert picture.convert("RGB").tobytes() == frames[0].convert("RGB").tobytes()
