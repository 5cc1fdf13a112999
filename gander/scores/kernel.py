"""The kernel distance: squared maximum mean discrepancy under a cubic polynomial kernel, without bias."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gander.errors import DataError
from gander.scores.frechet import check_widths, checked_features
from gander.scores.score import Estimate


def kernel_distance(real: Tensor, fake: Tensor, tile: int = 1024) -> Estimate:
    """Estimate MMD^2 under the kernel (x.y / D + 1)^3, without bias: around 0 it is negative half the time.

    Every pair of images counts, `tile` by `tile` rows at a time; nothing is drawn. (The usual mean over
    subsets of 1,000 has the same expectation, and more noise.) The standard error is the root of an unbiased
    estimate of this estimator's variance, which holds for unequal counts, and where both sets come from one
    distribution; nan where that falls below a quarter of what pairs alone add: it is unknown then, not small.

    Raises: DataError for fewer than 4 rows a side, different widths, or features too large to cube.
    Source: Binkowski et al. 2018, section 4 (the kernel); Hoeffding 1948, section 5 (the variance).
    """
    real, fake = checked_features(real, "reals", least=4), checked_features(fake, "fakes", least=4)
    check_widths(real, fake)
    m, n = len(real), len(fake)
    within_real, _, squares_real = _sums(real, real, tile)
    within_fake, _, squares_fake = _sums(fake, fake, tile)
    across_real, across_fake, squares = _sums(real, fake, tile)
    total = float(across_real.sum())
    value = float(within_real.sum()) / (m * (m - 1)) + float(within_fake.sum()) / (n * (n - 1))
    value -= 2 * total / (m * n)

    by_real, by_fake = float(across_real.dot(across_real)), float(across_fake.dot(across_fake))
    # Over the one set, the mean square of the mean kernel with the other; and the square of the mean of all.
    of_real, of_fake = (by_real - squares) / (m * n * (n - 1)), (by_fake - squares) / (n * m * (m - 1))
    of_both = (total**2 - by_real - by_fake + squares) / (m * (m - 1) * n * (n - 1))
    (real_alone, real_pairs), (fake_alone, fake_pairs) = (
        _variance_of_side(within_real, squares_real, across_real / n, of_real - of_both),
        _variance_of_side(within_fake, squares_fake, across_fake / m, of_fake - of_both),
    )
    pairs = real_pairs + fake_pairs + 4 * (squares / (m * n) - of_real - of_fake + of_both) / (m * n)
    variance = pairs + real_alone + fake_alone
    if not (math.isfinite(value) and math.isfinite(variance)):
        raise DataError("the features are too large for the kernel distance: their cubes overflow")
    return Estimate(value, math.sqrt(variance) if variance >= max(pairs / 4, 0) else math.nan)


def _variance_of_side(
    within: Tensor, squares: float, across: Tensor, across_variance: float
) -> tuple[float, float]:
    """Estimate what the draw of one set of m rows adds to the variance, alone and in pairs.

    Each square of an expectation is estimated from pairs that share no other row: hence no bias.

    Args:
        within: (m,) sum of the kernel with the other rows of the set.
        squares: sum of the squared kernel over these pairs.
        across: (m,) mean of the kernel with the other set.
        across_variance: the variance of that mean over the rows, for an endless other set.
    """
    m = len(within)
    pairs, triples = m * (m - 1), m * (m - 1) * (m - 2)
    total, product = float(within.sum()), float(within.dot(within))
    mean_square = (product - squares) / triples
    square_mean = (total**2 - 4 * product + 2 * squares) / (triples * (m - 3))
    mixed = float(within.dot(across))
    covariance = mixed / pairs - (total * float(across.sum()) - 2 * mixed) / triples
    alone = mean_square - square_mean - 2 * covariance + across_variance
    in_pairs = squares / pairs - 2 * mean_square + square_mean
    return 4 * alone / m, 2 * in_pairs / pairs


def _sums(x: Tensor, y: Tensor, tile: int) -> tuple[Tensor, Tensor, float]:
    """Sum the kernel over each row of x (m,), over each row of y (n,), and its squares over all pairs.

    Where x and y are the same object, a row does not meet itself, and the second sums stay 0. The kernel is
    taken less 1, which changes no result and keeps the digits of small features.
    """
    same = x is y
    over_x, over_y = x.new_zeros(len(x), dtype=torch.float64), x.new_zeros(len(y), dtype=torch.float64)
    squares = 0.0
    for top in range(0, len(x), tile):
        for left in range(top if same else 0, len(y), tile):  # of a symmetric matrix, the upper half
            inner = (x[top : top + tile] @ y[left : left + tile].T).double().div_(x.shape[1])
            values = inner.add(3).mul_(inner).add_(3).mul_(inner)
            if same and left == top:
                values.fill_diagonal_(0)
            once = values.flatten()
            mirrored = same and left > top
            squares += float(once.dot(once)) * (2 if mirrored else 1)
            over_x[top : top + tile] += values.sum(1)
            if mirrored:
                over_x[left : left + tile] += values.sum(0)
            elif not same:
                over_y[left : left + tile] += values.sum(0)
    return over_x, over_y, squares
