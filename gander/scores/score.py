"""A score: a number with all that must be known before it is compared with another."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

NORMAL = 1.96
"""Standard errors to either end of a 95 % interval, where many numbers tell how large they are."""

VERSION = 2
"""Of all scores together; it rises when equal images would get another number."""


class Estimate(NamedTuple):
    """A value with its standard error; nan where the error is not a normal one."""

    value: float
    standard_error: float = math.nan


def ratio(ours: Estimate, real: Estimate) -> Estimate | None:
    """Give one value over another that was estimated from other images; None over 0."""
    if not real.value:
        return None
    of_ours, of_real = ours.standard_error, real.standard_error * ours.value / real.value
    return Estimate(ours.value / real.value, math.hypot(of_ours, of_real) / abs(real.value))


@dataclass(frozen=True)
class Protocol:
    """How a number came to be; only numbers of equal protocols can be compared.

    Rows that were written before there was `device` or `version` lack them: they equal none that have them.
    """

    features: str  # the network that they come from
    data: str  # digest of the real images
    n_real: int
    n_fake: int
    split: str  # which real images
    resize: str
    weights: str  # averaged (EMA) or latest weights; images from elsewhere are as they are
    seed: int
    device: str  # cpu, cuda or mps; computed in float32 on each
    version: int = VERSION  # of the scores


@dataclass(frozen=True)
class Score:
    """One number.

    Args:
        floor: what real images that are not in the reference get, at the same counts; None where there are
            not enough of them.
        low, high: a 95 % interval for the mean over other draws of images; None where there is none.
        better: lower, higher or near: where good images are, `near` the floor.
    """

    name: str
    value: float
    floor: float | None
    low: float | None
    high: float | None
    better: str
    verdict: str
    protocol: Protocol

    def __str__(self) -> str:
        interval = "" if self.low is None else f" ({self.low:.4g} to {self.high:.4g})"
        floor = "" if self.floor is None else f", floor {self.floor:.4g}"
        return f"{self.name:<18} {self.value:.4g}{interval}{floor}  {self.verdict}".rstrip()

    def row(self, digits: int = 17) -> dict[str, Any]:
        """Give it as it is written to a file; the last digits depend on where in memory an array lies."""
        return {
            name: float(f"{value:.{digits}g}") if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


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
