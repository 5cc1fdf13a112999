"""Neighbours are exact, and what rests on them agrees with loops; copies are called out, fresh draws not."""

from itertools import combinations

import pytest
import torch

from gander.errors import DataError, UsageError
from gander.scores.neighbours import (
    kth_distances,
    mean_pairwise_distance,
    memorised_share,
    nearest,
    precision_recall_density_coverage,
)


def distance(x: torch.Tensor, y: torch.Tensor) -> float:
    return float((x.double() - y.double()).square().sum().sqrt())


def radius(rows: torch.Tensor, place: int, k: int) -> float:
    return sorted(distance(rows[place], other) for i, other in enumerate(rows) if i != place)[k - 1]


def test_the_kth_neighbour_is_never_the_row_itself():
    torch.manual_seed(0)
    rows = torch.randn(20, 3)
    for k in (1, 4, 19):
        expected = [radius(rows, place, k) for place in range(20)]
        assert kth_distances(rows, k, rows=7).tolist() == pytest.approx(expected)


def test_a_row_that_stands_twice_is_its_own_twins_neighbour():
    rows = torch.randn(6, 40).repeat(2, 1) + 1000
    assert kth_distances(rows, 1).tolist() == [0.0] * 12


def test_the_nearest_reference_is_found_and_a_copy_is_at_exactly_zero():
    torch.manual_seed(1)
    references = torch.randn(30, 64) + 10_000  # far off, where inner products lose their digits
    queries = torch.cat([references[[17, 3]], torch.randn(10, 64) + 10_000])
    distances, indices = nearest(queries, references, rows=5)
    for query, found, index in zip(queries, distances, indices, strict=True):
        every = [distance(query, reference) for reference in references]
        assert float(found) == pytest.approx(min(every))
        assert int(index) == every.index(min(every))
    assert distances[:2].tolist() == [0, 0]


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_precision_recall_density_and_coverage_agree_with_loops(scale):
    torch.manual_seed(2)
    real, fake, k = scale * torch.randn(30, 2), scale * (torch.randn(20, 2) + 1.5), 3
    real_radii = [radius(real, place, k) for place in range(30)]
    fake_radii = [radius(fake, place, k) for place in range(20)]
    in_real = [[distance(x, y) <= r for y, r in zip(real, real_radii, strict=True)] for x in fake]
    in_fake = [[distance(x, y) <= r for x, r in zip(fake, fake_radii, strict=True)] for y in real]
    expected = (
        sum(any(row) for row in in_real) / 20,
        sum(any(row) for row in in_fake) / 30,
        sum(sum(row) for row in in_real) / (k * 20),
        sum(any(row[place] for row in in_real) for place in range(30)) / 30,
    )
    assert len({*expected, 0.0, 1.0}) == 6  # a case that tells them apart
    for rows in (1, 7, 1024):
        found = precision_recall_density_coverage(real, fake, k, rows=rows)
        assert found[:4] == pytest.approx(expected)
        counts = torch.tensor([sum(row) / k for row in in_real])
        assert found.density_error == pytest.approx(float(counts.std()) / 20**0.5)


def test_copies_of_the_reals_reach_the_edge_of_every_ball():
    torch.manual_seed(3)
    real = torch.randn(100, 64) + 10
    assert precision_recall_density_coverage(real, real.clone(), k=4)[:4] == (1, 1, 5 / 4, 1)


def test_collapsed_fakes_lose_recall_and_coverage_but_not_precision():
    torch.manual_seed(4)
    real = torch.randn(200, 3)
    found = precision_recall_density_coverage(real, real[:1].repeat(50, 1))
    assert found.precision == 1
    assert found.recall == 1 / 200  # the one image that they all copy
    assert found.coverage < 0.1


def test_one_strange_real_image_makes_no_room_for_junk():
    torch.manual_seed(5)
    real = torch.cat([torch.randn(199, 3), torch.full((1, 3), 50.0)])
    junk = torch.randn(40, 3) + 25  # as near to the strange one as its fifth neighbour is
    assert precision_recall_density_coverage(real, junk).precision == 1
    assert precision_recall_density_coverage(real, junk, within=0.9).precision == 0
    fresh = torch.randn(200, 3)
    free, cut = (precision_recall_density_coverage(real, fresh, within=share) for share in (1.0, 0.9))
    assert 0 < free.precision - cut.precision < 0.05
    # Fakes far from each other are near to everything, unless their balls are cut, too.
    spread = 25 * torch.randn(40, 3)
    assert precision_recall_density_coverage(real, spread).recall > 0.9
    assert precision_recall_density_coverage(real, spread, within=0.9).recall < 0.1


def test_the_mean_distance_of_pairs_agrees_with_loops():
    torch.manual_seed(5)
    rows = torch.randn(15, 4) + 3
    expected = [distance(x, y) for x, y in combinations(rows, 2)]
    assert mean_pairwise_distance(rows, rows=4).value == pytest.approx(sum(expected) / len(expected))


def test_the_error_of_the_mean_distance_is_what_other_draws_scatter_by():
    torch.manual_seed(6)
    draws = [mean_pairwise_distance(torch.randn(60, 3)) for _ in range(300)]
    values, errors = torch.tensor(draws).T
    assert float(errors.mean()) == pytest.approx(float(values.std()), rel=0.15)


def test_fresh_draws_are_not_called_copies():
    torch.manual_seed(6)
    found = [
        memorised_share(torch.randn(60, 3), torch.randn(50, 3), torch.randn(40, 3), tail=0.1)
        for _ in range(300)
    ]
    shares, chances, z = (
        torch.tensor([getattr(each, name) for each in found]) for name in ("share", "p_value", "z")
    )
    assert found[0].expected == 4 / 41
    assert float(shares.mean()) == pytest.approx(4 / 41, abs=0.01)
    for level in (0.05, 0.2, 0.5):  # a p-value of counts is seldom below its level
        assert level - 0.1 < float((chances <= level).double().mean()) < level + 0.05
    # Both sets are measured against one training set, and so are all 300 pairs: z is nearly standard normal.
    assert abs(float(z.mean())) < 0.2
    assert 0.85 < float(z.std()) < 1.15


def test_a_few_copies_among_poor_fakes_are_called_out():
    torch.manual_seed(7)
    train, held_out = torch.randn(300, 8), torch.randn(200, 8)
    fake = 3 * torch.randn(200, 8)
    fake[[150, 20, 90, 7, 33]] = train[[4, 250, 8, 15, 16]] + torch.tensor([[0.0], [1], [2], [3], [4]]) / 1e4
    found = memorised_share(fake, train, held_out)
    assert found.share == 5 / 200
    assert found.expected == 2 / 201
    assert found.fakes[:5].tolist() == [150, 20, 90, 7, 33]
    assert found.nearest[:5].tolist() == [4, 250, 8, 15, 16]
    assert found.distances.diff().min() >= 0
    assert found.z < -5  # on the whole they are farther away, and that test alone would see no copy


def test_fakes_that_crowd_the_training_images_are_called_out():
    torch.manual_seed(8)
    train, held_out = torch.randn(100, 8), torch.randn(100, 8)
    found = memorised_share(train + 0.1 * torch.randn(100, 8), train, held_out)
    assert found.p_value < 1e-6
    assert found.nearer > 0.99
    assert found.z > 10


def test_the_p_value_is_the_share_of_orders_with_as_many_fakes_below():
    train = torch.zeros(1, 1)
    fake, held_out = torch.tensor([[1.0], [2], [5]]), torch.tensor([[3.0], [4], [6], [7]])
    orders = [*combinations(range(7), 3)]  # the places of the fakes

    def below(fakes: tuple[int, ...]) -> int:
        second = [place for place in range(7) if place not in fakes][1]
        return sum(place < second for place in fakes)

    found = memorised_share(fake, train, held_out, tail=0.5)
    assert found.share == 2 / 3
    assert found.p_value == pytest.approx(sum(below(fakes) >= 2 for fakes in orders) / len(orders))
    assert found.nearer == 10 / 12
    assert found.z == pytest.approx((10 - 6) / (3 * 4 * 8 / 12) ** 0.5)  # Mann and Whitney's U


def test_distances_that_all_tie_say_nothing():
    ones = torch.ones(5, 3)
    found = memorised_share(ones, 0 * ones, ones)
    assert (found.nearer, found.z) == (0.5, 0)
    assert found.p_value == pytest.approx(0.5)


def test_unusable_input_is_refused():
    good = torch.randn(5, 3)
    with pytest.raises(DataError, match="reals: 5 given, at least 6 needed"):
        precision_recall_density_coverage(good, torch.randn(9, 3), k=5)
    with pytest.raises(UsageError, match="k: 0 given"):
        kth_distances(good, 0)
    with pytest.raises(DataError, match="cannot be compared"):
        nearest(good, torch.randn(5, 2))
    with pytest.raises(DataError, match="held-out images: some are not finite"):
        memorised_share(good, good, good / 0)
    with pytest.raises(UsageError, match="tail: 1 given"):
        memorised_share(good, good, good, tail=1)
