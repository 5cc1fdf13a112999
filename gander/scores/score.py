"""A score: a number with all that must be known before it is compared with another."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from gander.errors import UsageError

NORMAL = 1.96
"""Standard errors to either end of a 95 % interval, where many numbers tell how large they are."""


@dataclass(frozen=True)
class Protocol:
    """How a number came to be; only numbers of equal protocols can be compared."""

    features: str  # what looked at the images
    data: str  # digest of the real images
    n_real: int
    n_fake: int
    split: str  # which real images
    resize: str
    weights: str  # averaged (EMA) or latest weights; images from elsewhere are as they are
    seed: int


@dataclass(frozen=True)
class Score:
    """One number.

    Args:
        floor: what real images that are not in the reference get, at the same counts; None where there are
            not enough of them.
        low, high: a 95 % interval for the mean over other draws of images; None where there is none.
    """

    name: str
    value: float
    floor: float | None
    low: float | None
    high: float | None
    better: str  # lower, higher or near: where good images are, `near` the floor
    verdict: str
    protocol: Protocol

    def minus(self, other: Score) -> float:
        """Give the difference of two scores.

        Raises: UsageError where they are not the same score by the same protocol, with what differs.
        """
        if self.name != other.name:
            raise UsageError(f"{self.name} and {other.name} are different scores")
        ours, theirs = asdict(self.protocol), asdict(other.protocol)
        differences = [
            f"{field}: {ours[field]} and {theirs[field]}" for field in ours if ours[field] != theirs[field]
        ]
        if differences:
            raise UsageError(
                f"{self.name}: these two were made by different protocols and cannot be compared; "
                + "; ".join(differences)
            )
        return self.value - other.value

    def row(self, digits: int = 17) -> dict[str, Any]:
        """Give it as it is written to a file; the last digits depend on where in memory an array lies."""
        told = asdict(self)
        for name, value in told.items():
            if isinstance(value, float):
                told[name] = float(f"{value:.{digits}g}")
        return told


def around(value: float, standard_error: float, standard_errors: float = NORMAL) -> tuple[float, float]:
    """Give the interval of so many standard errors to either side; NORMAL many are 95 % of a normal."""
    return value - standard_errors * standard_error, value + standard_errors * standard_error


def around_share(share: float, n: int) -> tuple[float, float]:
    """Give the 95 % interval of a share of n, right at 0 and 1 too.

    Source: Wilson 1927.
    """
    z = NORMAL
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half
