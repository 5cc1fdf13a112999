"""Batches: a pure function of seed and position, shared equally by processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gander import chance
from gander.data.batches import Batches, split_rows, to_uint8, usual_held_out
from gander.data.images import Images

CPU = torch.device("cpu")


def numbered(count: int = 10, labelled: bool = True) -> Images:
    """Image i is filled with i on its left half and 200 + i on its right."""
    pixels = np.empty((count, 1, 8, 8), np.uint8)
    pixels[..., :4] = np.arange(count)[:, None, None, None]
    pixels[..., 4:] = pixels[..., :4] + 200
    return Images(
        pixels, np.arange(count) if labelled else None, tuple(map(str, range(count))), "", "numbered"
    )


def test_every_pass_shows_every_image_once_in_an_order_of_its_own():
    batches = Batches(numbered(), seed=0, device=CPU)
    _, labels = batches.take(0, 30)
    passes = labels.view(3, 10)
    assert all(sorted(each.tolist()) == [*range(10)] for each in passes)
    assert len({tuple(each.tolist()) for each in passes}) == 3


def test_a_batch_depends_on_nothing_but_seed_and_position():
    def stream(sizes, mirror=True):
        batches, position, parts = Batches(numbered(), 3, CPU, mirror=mirror), 0, []
        for size in sizes:
            parts.append(batches.take(position, size)[0])
            torch.rand(1)
            position += size
        return torch.cat(parts)

    whole = stream([42])
    assert torch.equal(whole, stream([7] * 6))
    assert torch.equal(whole[25:30], Batches(numbered(), 3, CPU, mirror=True).take(25, 5)[0])
    assert not torch.equal(whole, Batches(numbered(), 4, CPU, mirror=True).take(0, 42)[0])


def test_mirroring_turns_half_of_the_images_anew_on_each_pass():
    images, labels = Batches(numbered(50), 0, CPU, 0.0, 255.0, mirror=True).take(0, 500)
    left = images[:, 0, 0, 0]
    turned = left != labels
    assert torch.equal(left[turned], labels[turned] + 200.0)
    assert 200 < int(turned.sum()) < 300
    first, second = (turned[part][labels[part].argsort()] for part in (slice(0, 50), slice(50, 100)))
    assert not torch.equal(first, second)


def test_processes_share_a_batch_in_equal_rows(monkeypatch):
    whole, labels = Batches(numbered(), 0, CPU, mirror=True).take(4, 12)
    monkeypatch.setattr(chance, "world_size", lambda: 3)
    parts = []
    for rank in range(3):
        monkeypatch.setattr(chance, "rank", lambda rank=rank: rank)
        parts.append(Batches(numbered(), 0, CPU, mirror=True).take(4, 12))
    assert torch.equal(torch.cat([images for images, _ in parts]), whole)
    assert torch.equal(torch.cat([own for _, own in parts]), labels)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1.0), (-0.5, 0.5), (-2.1, 2.6)])
def test_values_fill_the_range_and_round_back_to_the_same_bytes(low, high):
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    images, _ = Batches(Images(pixels, None, (), "", ""), 0, CPU, low, high).take(0, 1)
    assert images.dtype == torch.float32
    assert float(images.min()) == pytest.approx(low, rel=1e-6)
    assert float(images.max()) == pytest.approx(high, rel=1e-6)
    assert torch.equal(to_uint8(images, low, high), torch.from_numpy(pixels))


def test_values_outside_the_range_become_its_ends():
    assert to_uint8(torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0]), -1, 1).tolist() == [0, 0, 128, 255, 255]


def test_images_without_labels_give_none():
    assert Batches(numbered(labelled=False), 0, CPU).take(0, 4)[1] is None


@pytest.mark.parametrize(
    ("count", "held_out"), [(39, 0), (40, 4), (640, 64), (3_000, 64), (20_000, 200), (60_000, 512)]
)
def test_a_hundredth_is_held_out_within_bounds(count, held_out):
    assert usual_held_out(count) == held_out


def test_images_held_out_are_never_shown_and_all_others_are():
    shown, held_out = split_rows(100, 10)
    _, labels = Batches(numbered(100), 7, CPU, rows=shown).take(0, 180)
    assert {*labels.tolist()} == {*shown} == {*range(100)} - {*held_out}
    assert torch.equal(labels[:90].sort().values, labels[90:].sort().values)
    images, own = Batches(numbered(100), 7, CPU, 0.0, 255.0, True, shown).at(held_out)
    assert torch.equal(images[:, 0, 0, 0], torch.from_numpy(held_out).float())
    assert own.tolist() == [*held_out]


def test_which_images_are_held_out_depends_on_their_count_alone():
    assert all(np.array_equal(*pair) for pair in zip(split_rows(99, 9), split_rows(99, 9), strict=True))
    assert not np.array_equal(split_rows(99, 9)[1], split_rows(100, 9)[1])
