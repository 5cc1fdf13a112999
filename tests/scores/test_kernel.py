"""The kernel distance is unbiased, and knows its own error."""

import pytest
import torch

from gander.errors import DataError
from gander.scores.kernel import kernel_distance


def by_loops(real: torch.Tensor, fake: torch.Tensor) -> float:
    def kernel(x: torch.Tensor, y: torch.Tensor) -> float:
        inner = sum(float(a) * float(b) for a, b in zip(x, y, strict=True))
        return (inner / len(x) + 1) ** 3

    def within(rows: torch.Tensor) -> float:
        pairs = [(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
        return sum(kernel(x, y) for x, y in pairs) / len(pairs)

    across = [kernel(x, y) for x in real for y in fake]
    return within(real) + within(fake) - 2 * sum(across) / len(across)


def test_the_distance_is_that_of_the_definition():
    torch.manual_seed(0)
    real, fake = torch.randn(5, 3), torch.randn(7, 3) + 0.5
    assert kernel_distance(real, fake).value == pytest.approx(by_loops(real, fake), rel=1e-5)


def test_tiles_of_any_size_give_the_same():
    torch.manual_seed(1)
    real, fake = torch.rand(23, 4), torch.rand(17, 4) + 0.3
    whole = kernel_distance(real, fake)
    for tile in (1, 5, 17):
        assert kernel_distance(real, fake, tile=tile) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize(("count", "shift"), [((40, 40), 0.0), ((20, 60), 0.0), ((30, 50), 0.3)])
def test_the_mean_is_unbiased_and_the_error_is_that_of_repeated_draws(count, shift):
    torch.manual_seed(2)
    draws = [(torch.rand(count[0], 6), torch.rand(count[1], 6) + shift) for _ in range(400)]
    found = torch.tensor([kernel_distance(real, fake) for real, fake in draws], dtype=torch.float64)
    values, errors = found.nan_to_num(0).unbind(1)  # in the mean, what is too small is not left out
    true = 0.0
    if shift:  # of three thousand points a side, the error is a tenth
        true = kernel_distance(torch.rand(3000, 6), torch.rand(3000, 6) + shift).value
    assert abs(float(values.mean()) - true) < 4 * float(values.std()) / len(draws) ** 0.5
    assert float(errors.square().mean().sqrt() / values.std()) == pytest.approx(1, abs=0.1)


def test_an_error_that_cannot_be_estimated_is_unknown():
    torch.manual_seed(0)
    errors = torch.tensor([kernel_distance(*torch.rand(2, 40, 6)).standard_error for _ in range(100)])
    assert 5 < errors.isnan().sum() < 50
    assert errors.nan_to_num(1).min() > 0.004, "half of what pairs alone add"


def test_small_features_keep_their_digits():
    torch.manual_seed(3)
    real, fake = torch.randn(50, 4), torch.randn(50, 4) + 2
    small = kernel_distance(1e-6 * real, 1e-6 * fake)  # so small that only the linear part is left: 3 x.y / D
    means = real.double().mean(0), fake.double().mean(0)
    noise = sum(rows.double().var(0).sum() / len(rows) for rows in (real, fake))
    assert small.value == pytest.approx(
        3e-12 / 4 * float((means[0] - means[1]).square().sum() - noise), rel=1e-4
    )
    assert 0 < small.standard_error < small.value / 5


def test_constant_features_have_a_distance_without_error():
    ones = torch.ones(5, 3)
    assert kernel_distance(ones, ones) == (0, 0)
    assert kernel_distance(ones, 0 * ones) == pytest.approx((8 + 1 - 2, 0), abs=1e-6)


def test_unusable_features_are_refused():
    good = torch.randn(5, 3)
    with pytest.raises(DataError, match="fakes: 3 given, at least 4 needed"):
        kernel_distance(good, good[:3])
    with pytest.raises(DataError, match="of 3 and of 2 numbers cannot be compared"):
        kernel_distance(good, good[:, :2])
    with pytest.raises(DataError, match="reals: some are not finite"):
        kernel_distance(good / 0, good)
    with pytest.raises(DataError, match="too large for the kernel distance"):
        kernel_distance(1e30 * good, good)
