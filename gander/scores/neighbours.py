"""Nearest neighbours among features, and the scores that rest on them; exact, in blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gander.errors import UsageError
from gander.scores.frechet import check_widths, checked_features
from gander.scores.score import Estimate

_ROUNDING = 16 * torch.finfo(torch.float32).eps
"""Rounding of a squared distance that is computed from an inner product, as a share of the squared norms."""

_SPARE = 3
"""Candidates beyond the k nearest whose distances are computed again, should rounding have swapped some."""


class Neighbourhood(NamedTuple):
    """Precision, recall, density and coverage of fakes; all are shares but density, which may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float
    density_error: float  # standard error of the density over the fakes


class Memorisation(NamedTuple):
    """How much nearer to the training images fakes are than held-out images, by two tests."""

    share: float  # of fakes that are as near as the nearest few held-out images
    expected: float  # that share where fakes are no nearer
    p_value: float  # the chance of such a share, or a larger one, where fakes are no nearer
    nearer: float  # the chance that a fake is nearer than a held-out image; 0.5 where fakes are no nearer
    z: float  # `nearer` in standard errors: far above 0 are copies, far below 0 fakes unlike the data
    distances: Tensor  # (N,) of each fake to its nearest training image, the most suspicious first
    fakes: Tensor  # (N,) the fakes' rows in that order
    nearest: Tensor  # (N,) the rows of their nearest training images

    def row(self) -> dict[str, float]:
        """Give the numbers of both tests."""
        return {name: getattr(self, name) for name in ("share", "expected", "p_value", "nearer", "z")}


def kth_distances(features: Tensor, k: int, rows: int = 1024) -> Tensor:
    """Give the distance of every row to its k-th nearest other row, (N,) float64.

    Raises: DataError where there are no k others; UsageError for k < 1.
    """
    if k < 1:
        raise UsageError(f"k: {k} given, at least 1 wanted")
    features = checked_features(features, least=k + 1)
    return _nearest(features, features, k, rows)[0][:, -1]


def nearest(queries: Tensor, references: Tensor, rows: int = 1024) -> tuple[Tensor, Tensor]:
    """Give the distance (N,) float64 of every query to its nearest reference, and that one's row (N,)."""
    queries, references = checked_features(queries, "queries"), checked_features(references, "references")
    check_widths(queries, references)
    distances, indices = _nearest(queries, references, 1, rows)
    return distances[:, 0], indices[:, 0]


def precision_recall_density_coverage(
    real: Tensor, fake: Tensor, k: int = 5, rows: int = 1024, within: float = 1.0
) -> Neighbourhood:
    """Compare the balls that reach from each image to its k-th nearest of its own kind.

    Precision: share of fakes in the ball of a real. Recall: share of reals in the ball of a fake. Density:
    how many balls of reals a fake lies in, over k. Coverage: share of reals with a fake in their ball.
    Expected for fakes that are as good as real: density 1 and, for equal counts, coverage 1 - 2^-k; a little
    less where `within` is below 1.

    Args:
        within: no ball is wider than that of this share of the reals, for a few strange ones lie so far from
            all others that their balls hold whatever shows nothing.
    Raises: DataError for k rows or fewer a side, or different widths.
    Source: Kynkäänniemi et al. 2019, section 2; Naeem et al. 2020, sections 2 and 3 (outliers, too).
    """
    real, fake = checked_features(real, "reals", least=k + 1), checked_features(fake, "fakes", least=k + 1)
    check_widths(real, fake)
    real_radii, fake_radii = kth_distances(real, k, rows), kth_distances(fake, k, rows)
    widest = float(real_radii.quantile(within)) if within < 1 else math.inf
    fakes, reals, scale = _centred(fake, real)
    real_reach, fake_reach = (
        (radii.clamp(max=widest) / scale).float().square() for radii in (real_radii, fake_radii)
    )
    precise, counts = 0, []
    recalled, covered = reals.new_zeros(2, len(reals), dtype=torch.bool)
    # A distance that equals a radius but for rounding lies inside: else copies of reals would be lost.
    for start, squared in _squared_distances(fakes, reals, rows, slack=_ROUNDING):
        inside = squared <= real_reach
        precise += int(inside.any(1).sum())
        counts.append(inside.sum(1))
        covered |= inside.any(0)
        recalled |= (squared <= fake_reach[start : start + rows, None]).any(0)
    dense = torch.cat(counts).double() / k
    recall, coverage = (float(reached.double().mean()) for reached in (recalled, covered))
    error = float(dense.std()) / math.sqrt(len(fakes))
    return Neighbourhood(precise / len(fakes), recall, float(dense.mean()), coverage, error)


def mean_pairwise_distance(features: Tensor, rows: int = 1024) -> Estimate:
    """Give the mean distance between two different rows; DataError for fewer than 2.

    Source: Hoeffding 1948, section 5 (the standard error: that of the rows' own means, twice).
    """
    features = checked_features(features, least=2)
    centred, _, scale = _centred(features, features)
    means = []
    for start, squared in _squared_distances(centred, centred, rows):
        squared[:, start:].fill_diagonal_(0)  # a row is not at rounding's distance from itself
        means.append(squared.sqrt_().sum(1, dtype=torch.float64) * (scale / (len(features) - 1)))
    by_row = torch.cat(means)
    return Estimate(float(by_row.mean()), 2 * float(by_row.std()) / math.sqrt(len(features)))


def memorised_share(fake: Tensor, train: Tensor, held_out: Tensor, tail: float = 0.01) -> Memorisation:
    """Test whether fakes lie nearer to the training images than real images do that were held out.

    Every fake and every held-out image is taken by its distance to its nearest training image. `share` counts
    the fakes within the distance of the nearest `tail` of the held-out images, and finds few copies among
    many fakes; its p-value is exact where no distances tie. `nearer` and `z` are the Mann-Whitney test over
    all distances, and tell of fakes that crowd the training images as a whole. `train` must be what the
    generator was trained on; with mirrored training, its mirror images too.

    Raises: DataError for an empty set, or different widths.
    Source: Meehan, Chaudhuri and Dasgupta 2020, section 3 (the Mann-Whitney test, here over the whole space
    and with the sign of z turned); Wilks 1942 (how many draws fall below an order statistic).
    """
    if not 0 < tail < 1:
        raise UsageError(f"tail: {tail} given, a share between 0 and 1 wanted")
    distances, indices = nearest(checked_features(fake, "fakes"), checked_features(train, "training images"))
    held, _ = nearest(checked_features(held_out, "held-out images"), train)
    held = held.sort().values
    n, m = len(distances), len(held)
    threshold = held[max(math.floor(tail * m), 1) - 1]
    below, held_below = int((distances <= threshold).sum()), int((held <= threshold).sum())
    farther = m - torch.searchsorted(held, distances, right=True)
    tied = m - farther - torch.searchsorted(held, distances)
    nearer = float((farther + tied / 2).mean(dtype=torch.float64)) / m
    pooled = torch.cat([distances, held]).sort().values
    equals = torch.searchsorted(pooled, pooled, right=True) - torch.searchsorted(pooled, pooled)
    untied = 1 - int((equals**2 - 1).sum()) / ((n + m) ** 3 - (n + m))
    deviation = math.sqrt(untied * (n + m + 1) / (12 * n * m))
    order = distances.argsort(stable=True)
    return Memorisation(
        share=below / n,
        expected=held_below / (m + 1),
        p_value=_chance_of_as_many(below, n, held_below, m),
        nearer=nearer,
        z=(nearer - 0.5) / deviation if deviation else 0.0,
        distances=distances[order],
        fakes=order,
        nearest=indices[order],
    )


def _chance_of_as_many(below: int, n: int, place: int, m: int) -> float:
    """Give the chance that at least `below` of n draws undercut the `place`-th smallest of m others.

    All orders of the n + m draws are equally likely: the count has a negative hypergeometric distribution.
    """
    counts = torch.arange(below, n + 1, dtype=torch.float64)

    def log_choices(whole: Tensor, part: Tensor) -> Tensor:
        return torch.lgamma(whole + 1) - torch.lgamma(part + 1) - torch.lgamma(whole - part + 1)

    ways = log_choices(counts + place - 1, counts) + log_choices(n + m - place - counts, n - counts)
    everything = log_choices(counts.new_tensor(n + m), counts.new_tensor(n))
    return min(float((ways - everything).exp().sum()), 1.0)


def _nearest(queries: Tensor, references: Tensor, k: int, rows: int) -> tuple[Tensor, Tensor]:
    """Give the distances (N, k) float64, ascending, to the k nearest references, and their rows.

    Where both are the same object, no row is its own neighbour.
    """
    same = queries is references
    spare = min(k + _SPARE, len(references) - same)
    distances, indices = [], []
    for start, squared in _squared_distances(*_centred(queries, references)[:2], rows):
        if same:
            squared[:, start:].fill_diagonal_(torch.inf)
        found = squared.topk(spare, largest=False).indices
        # Candidates are found by inner products; from differences, copies come out at exactly 0.
        apart = references[found].double().sub_(queries[start : start + rows, None])
        exact, order = torch.linalg.vector_norm(apart, dim=2).sort(stable=True)
        distances.append(exact[:, :k])
        indices.append(found.gather(1, order)[:, :k])
    return torch.cat(distances), torch.cat(indices)


def _centred(queries: Tensor, references: Tensor) -> tuple[Tensor, Tensor, float]:
    """Scale both sets into [-2, 2] and move the references' middle to 0, against overflow and rounding."""
    largest = max(float(bound.abs()) for each in (queries, references) for bound in torch.aminmax(each))
    scale = math.ldexp(1.0, math.frexp(largest)[1] - 1)  # a power of two divides exactly
    moved = references / scale
    middle = moved.mean(0)
    moved -= middle
    return moved if queries is references else (queries / scale).sub_(middle), moved, scale


def _squared_distances(
    queries: Tensor, references: Tensor, rows: int, slack: float = 0.0
) -> Iterator[tuple[int, Tensor]]:
    """Give the first query of each block, and the block's squared distances (rows, references).

    They are smaller by the share `slack` of the two squared norms.
    """
    sizes = (1 - slack) * torch.linalg.vector_norm(references, dim=1).square()
    for start in range(0, len(queries), rows):
        block = queries[start : start + rows]
        own = (1 - slack) * torch.linalg.vector_norm(block, dim=1, keepdim=True).square()
        yield start, torch.addmm(sizes, block, references.T, alpha=-2).add_(own).clamp_(min=0)
