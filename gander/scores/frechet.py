"""The Fréchet distance between two sets of features, each taken for a normal distribution."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from gander.errors import DataError
from gander.scores.score import Estimate

_PARTS = 5  # the most parts that `frechet_at_infinity` divides the fakes into
IMAGES_A_FEATURE = 2 * _PARTS
"""The fewest fakes for `frechet_at_infinity`: parts of less than 2 D would bend its curve further."""

_GROUPS = 10  # that the jackknife leaves out one by one

_ROWS = 4096  # are widened to float64 at a time


def checked_features(features: Tensor, name: str = "features", least: int = 1) -> Tensor:
    """Give features (N, D) as float32, once they are known to be usable.

    Raises: DataError where they are not a matrix, have fewer than `least` rows, or are not all finite.
    """
    if features.ndim != 2 or not features.shape[1]:
        raise DataError(f"{name}: a matrix of one row an image is wanted, not the shape {[*features.shape]}")
    if len(features) < least:
        raise DataError(f"{name}: {len(features)} given, at least {least} needed")
    features = features.detach().to(torch.float32)
    if not all(bound.isfinite() for bound in torch.aminmax(features)):  # either end shows a NaN
        raise DataError(f"{name}: some are not finite in float32")
    return features


def check_widths(ours: Tensor, theirs: Tensor) -> None:
    """Raise DataError where two sets of features do not have the same width."""
    if ours.shape[-1] != theirs.shape[-1]:
        raise DataError(f"features of {ours.shape[-1]} and of {theirs.shape[-1]} numbers cannot be compared")


@dataclass(eq=False)
class Moments:
    """Count, mean and covariance of features, gathered batch by batch in float64.

    Args:
        mean: (D,).
        scatter: (D, D), the sum of the outer products of the deviations from the mean.

    Source: Chan, Golub and LeVeque 1979 (the update by whole batches).
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Gather the moments of features (N, D); DataError where they cannot be used."""
        moments = cls.nothing(checked_features(features).shape[1])
        moments.add(features)
        return moments

    @classmethod
    def nothing(cls, width: int) -> Moments:
        """Begin with no features of so many numbers."""
        zeros = torch.zeros(width + 1, width, dtype=torch.float64)
        return cls(0, zeros[0], zeros[1:])

    def add(self, features: Tensor) -> None:
        """Take in more features (N, D); DataError where they cannot be used."""
        check_widths(self.mean, features)
        features = checked_features(features)
        for start in range(0, len(features), _ROWS):
            batch = features[start : start + _ROWS].double()
            mean = batch.mean(0)
            batch -= mean
            self.merge(Moments(len(batch), mean, batch.T @ batch))

    def merge(self, other: Moments) -> None:
        """Take in what was gathered elsewhere."""
        shift, total = other.mean - self.mean, self.count + other.count
        self.scatter += other.scatter
        self.scatter.addr_(shift, shift, alpha=self.count * other.count / total)
        self.mean += shift * (other.count / total)
        self.count = total

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance (D, D); DataError where there are fewer than two rows."""
        if self.count < 2:
            raise DataError(f"a covariance needs at least 2 images, and there are {self.count}")
        return self.scatter / (self.count - 1)


def frechet_distances(a: Moments, others: Iterable[Moments]) -> list[float]:
    """Give the squared Fréchet distance |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), at least 0.

    Right for singular covariances too (fewer images than features). It grows as the images become fewer:
    compare only distances of equal counts, or `frechet_at_infinity`.

    Raises: DataError where a side has fewer than 2 rows, or the widths differ.
    Source: Dowson and Landau 1982; Heusel et al. 2017.
    """
    root = _root(a)
    return [_distance(a, root, other) for other in others]


def frechet_at_infinity(real: Moments, fake_features: Tensor, seed: int) -> Estimate:
    """Estimate the Fréchet distance that endlessly many fakes would have; it may fall a little below 0.

    The fakes, shuffled, are divided into 1, 2, ... 5 equal parts. The mean distances at these five sizes lie
    on a curve in 1/n, whose intercept is the value; a parabola, for a straight line falls short by a tenth
    of the bias at the fewest fakes allowed. The standard error is that of the draw of fakes, from the
    spread among disjoint parts: a little too wide for fakes as good as real. The bias that comes with the
    count of real images remains.

    Raises: DataError for fewer than 10 D fakes.
    Source: Chong and Forsyth 2020, section 3 (there a line, through one random subset a size).
    """
    check_widths(real.mean, fake_features)
    fakes = checked_features(fake_features, "fakes", least=IMAGES_A_FEATURE * len(real.mean))
    fakes = fakes[torch.randperm(len(fakes), generator=torch.Generator().manual_seed(seed))]
    counts = [*range(1, _PARTS + 1)]  # in proportion to 1/n
    parts = (Moments.of(part) for count in counts for part in fakes.tensor_split(count))
    by_count = torch.split(torch.tensor(frechet_distances(real, parts), dtype=torch.float64), counts)
    means = torch.stack([distances.mean() for distances in by_count])
    powers = torch.vander(torch.tensor(counts, dtype=torch.float64), 3, increasing=True)
    curve = torch.linalg.lstsq(powers, means[:, None]).solution
    # (count - 1) degrees of freedom at var / count each
    variance = sum(float(distances.var(correction=0)) for distances in by_count)
    return Estimate(float(curve[0]), math.sqrt(variance / (_PARTS * (_PARTS - 1) / 2)))


def frechet_with_error(real: Moments, fake_features: Tensor) -> Estimate:
    """Give the Fréchet distance of fakes (N, D), with its standard error over draws of N fakes.

    The fakes must come shuffled: the error is that of the jackknife, from the distances without each of ten
    groups. Near 0, where the distance is not linear in the moments, it is up to a half too large.

    Raises: DataError for fewer than 20 fakes, or different widths.
    Source: Tukey 1958 (the jackknife); Shao and Wu 1989 (by groups).
    """
    fakes = checked_features(fake_features, "fakes", least=2 * _GROUPS)
    check_widths(real.mean, fakes)
    groups = [Moments.of(group) for group in fakes.tensor_split(_GROUPS)]
    sets = [Moments.nothing(fakes.shape[1]) for _ in range(_GROUPS + 1)]
    for number, group in enumerate(groups):
        for without, gathered in enumerate(sets):
            if without != number:
                gathered.merge(group)
    *others, value = frechet_distances(real, sets)
    return Estimate(value, (_GROUPS - 1) / math.sqrt(_GROUPS) * statistics.stdev(others))


def _root(moments: Moments) -> Tensor:
    """Give a matrix R (D, rank) with R R^T = the covariance."""
    values, vectors = torch.linalg.eigh(moments.covariance)
    # Directions below rounding hold no variance, and would add the root of the rounding error.
    kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    return vectors[:, kept] * values[kept].sqrt()


def _distance(a: Moments, root: Tensor, b: Moments) -> float:
    check_widths(a.mean, b.mean)
    shift = a.mean - b.mean
    # C1 C2 has the eigenvalues of R^T C2 R, which is symmetric: they are real, and negative by rounding only.
    products = torch.linalg.eigvalsh(root.T @ b.covariance @ root)
    overlap = products.clamp(min=0).sqrt().sum()
    distance = shift.dot(shift) + a.covariance.trace() + b.covariance.trace() - 2 * overlap
    # The traces cancel for equal sets: what is left is rounding, about 1e-8 of a trace, of either sign.
    return max(0.0, float(distance))
