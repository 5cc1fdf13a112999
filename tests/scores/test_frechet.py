"""The Fréchet distance is right where it is known, and defined where others give a NaN."""

import pytest
import torch

from gander.errors import DataError
from gander.scores.frechet import Moments, frechet_at_infinity, frechet_distances, frechet_with_error


def distance(a, b):
    (value,) = frechet_distances(a, [b])
    return value


def known(mean: torch.Tensor, covariance: torch.Tensor) -> Moments:
    return Moments(101, mean.double(), covariance.double() * 100)


def rotation(width: int) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(width, width, dtype=torch.float64)).Q


def some_covariance(width: int) -> torch.Tensor:
    root = torch.randn(width, width, dtype=torch.float64)
    return root @ root.T / width + 0.1 * torch.eye(width)


def square_root(matrix: torch.Tensor) -> torch.Tensor:
    """By Newton's iteration of Denman and Beavers, which knows nothing of eigenvalues."""
    root, inverse = matrix, torch.eye(len(matrix), dtype=matrix.dtype)
    for _ in range(40):
        root, inverse = (root + inverse.inverse()) / 2, (inverse + root.inverse()) / 2
    return root


@pytest.mark.parametrize("turned", [False, True])
def test_two_normals_with_common_axes_are_apart_by_their_means_and_deviations(turned):
    torch.manual_seed(0)
    turn = rotation(4) if turned else torch.eye(4, dtype=torch.float64)
    ours, theirs = torch.tensor([3.0, 1, 0.5, 0]).double(), torch.tensor([1.0, 1, 2, 4]).double()
    mean = torch.tensor([1.0, -2, 0, 0.5]).double()
    a = known(torch.zeros(4), turn @ torch.diag(ours**2) @ turn.T)
    b = known(turn @ mean, turn @ torch.diag(theirs**2) @ turn.T)
    expected = float(mean.square().sum() + (ours - theirs).square().sum())
    assert distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_covariances_without_common_axes_meet_in_the_root_of_their_product():
    torch.manual_seed(1)
    ours, theirs = some_covariance(6), some_covariance(6)
    expected = float((ours + theirs - 2 * square_root(ours @ theirs)).trace())
    a, b = known(torch.zeros(6), ours), known(torch.zeros(6), theirs)
    assert distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_moments_by_batches_are_those_of_the_whole():
    torch.manual_seed(2)
    features = torch.randn(5000, 3) + 100
    moments = Moments.of(features[:1])
    for batch in (features[1:8], features[8:4999], features[4999:]):
        moments.add(batch)
    assert moments.count == 5000
    torch.testing.assert_close(moments.mean, features.double().mean(0))
    torch.testing.assert_close(moments.covariance, features.double().T.cov())


def test_rotating_both_sets_changes_nothing():
    torch.manual_seed(3)
    real, fake, turn = torch.randn(60, 5), torch.randn(40, 5) * 2 + 1, rotation(5).float()
    straight = distance(Moments.of(real), Moments.of(fake))
    turned = distance(Moments.of(real @ turn), Moments.of(fake @ turn))
    assert turned == pytest.approx(straight, rel=1e-5)


def test_fewer_images_than_features_give_the_exact_distance():
    torch.manual_seed(4)
    real, fake = torch.zeros(9, 40), torch.zeros(9, 40)
    real[:, :20], fake[:, 20:] = torch.randn(9, 20), torch.randn(9, 20)  # not one direction in common
    a, b = Moments.of(real), Moments.of(fake)
    apart = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace()
    assert distance(a, b) == pytest.approx(float(apart), rel=1e-6)
    assert 0 <= distance(a, a) < 1e-6


def test_constant_features_are_apart_by_their_means():
    a, b = Moments.of(torch.ones(5, 3)), Moments.of(torch.full((4, 3), 3.0))
    assert distance(a, b) == pytest.approx(12)
    assert distance(a, a) == 0


def test_huge_features_stay_finite():
    torch.manual_seed(5)
    a, b = (Moments.of(1e37 * torch.randn(9, 4)) for _ in range(2))
    assert 0 < distance(a, b) < float("inf")


@pytest.mark.parametrize(("stretch", "count"), [(1.0, 80), (1.5, 200)])
def test_the_distance_at_infinity_is_the_true_one_within_its_error(stretch, count):
    torch.manual_seed(6)
    width, true = 8, 8 * (stretch - 1) ** 2
    real = known(torch.zeros(width), torch.eye(width))
    draws = [stretch * torch.randn(count, width) for _ in range(100)]
    found = torch.tensor([frechet_at_infinity(real, fakes, seed=0) for fakes in draws], dtype=torch.float64)
    values, errors = found.unbind(1)
    plain = sum(distance(real, Moments.of(fakes)) for fakes in draws) / len(draws)
    assert abs(float(values.mean()) - true) < 0.25 * (plain - true)
    assert abs(float(values.mean()) - true) < 3 * float(values.std()) / 10
    assert 0.8 < float(errors.square().mean().sqrt() / values.std()) < 1.7  # too wide, where true is 0


def test_a_seed_fixes_the_distance_at_infinity():
    torch.manual_seed(7)
    real, fakes = Moments.of(torch.randn(99, 3)), torch.randn(50, 3)
    value, again, other = (frechet_at_infinity(real, fakes, seed=seed) for seed in (1, 1, 2))
    assert again == pytest.approx(value, rel=1e-9)  # threads may add up in another order
    assert other != pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("features", "complaint"),
    [
        (torch.randn(3), "a matrix of one row an image"),
        (torch.zeros(0, 3), "0 given, at least 1 needed"),
        (torch.tensor([[1.0, float("nan"), 0.0]]), "not finite"),
        (torch.tensor([[1.0, float("inf"), 0.0]]), "not finite"),
        (torch.tensor([[1.0, 1e200, 0.0]], dtype=torch.float64), "not finite"),
    ],
)
def test_unusable_features_are_refused(features, complaint):
    with pytest.raises(DataError, match=complaint):
        Moments.of(features)


def test_too_few_images_and_other_widths_are_refused():
    moments = Moments.of(torch.randn(50, 3))
    with pytest.raises(DataError, match="at least 2 images, and there are 1"):
        distance(moments, Moments.of(torch.randn(1, 3)))
    for refused in (
        lambda: distance(moments, Moments.of(torch.randn(9, 4))),
        lambda: moments.add(torch.randn(9, 4)),
        lambda: frechet_at_infinity(moments, torch.randn(99, 4), seed=0),
    ):
        with pytest.raises(DataError, match="cannot be compared"):
            refused()
    with pytest.raises(DataError, match="fakes: 29 given, at least 30 needed"):
        frechet_at_infinity(moments, torch.randn(29, 3), seed=0)


@pytest.mark.parametrize("shift", [0.05, 0.5])
def test_the_error_is_that_of_other_draws_of_fakes(shift):
    rng = torch.Generator().manual_seed(0)
    real = Moments.of(torch.randn(4000, 8, generator=rng))
    found = [frechet_with_error(real, torch.randn(300, 8, generator=rng) + shift) for _ in range(100)]
    values, errors = torch.tensor(found).T
    assert 0.8 < errors.mean() / values.std() < 1.6
    assert ((values - values.mean()).abs() < 2.262 * errors).double().mean() > 0.9
    whole = distance(real, Moments.of(fakes := torch.randn(300, 8, generator=rng)))
    assert frechet_with_error(real, fakes).value == pytest.approx(whole, rel=1e-9)
