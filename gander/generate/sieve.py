"""Which of the images that could be made are kept: those that look like their class and like no other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gander.data.origins import Pixels
from gander.errors import UsageError
from gander.generate.stream import Indices
from gander.scores.evaluation import Memory, Reals
from gander.scores.extractor import Extractor
from gander.scores.neighbours import nearest

SPARES = (1.1, 2.0, 4.0)
"""Candidates for an image that is wanted, where copies are dropped; the next where these did not suffice."""

_INNOCENT = 0.001  # of held-out real images lie nearer to a training image than a near-copy may
_ROWS, _COLUMNS = 512, 8_192


@dataclass(frozen=True)
class Rules:
    """What is dropped.

    Args:
        keep: of each class, the share that the judge most surely takes for it.
        no_copies: nothing nearer to a real image than all but a thousandth of held-out images are to another.
        no_duplicates: nothing as near as that to an image that is kept.
    """

    keep: float = 1.0
    no_copies: bool = False
    no_duplicates: bool = False

    @property
    def idle(self) -> bool:
        """Tell whether nothing is dropped."""
        return self.keep == 1 and not self.no_copies and not self.no_duplicates

    @property
    def compares(self) -> bool:
        """Tell whether distances decide, so that nobody knows before how many are left."""
        return self.no_copies or self.no_duplicates

    def candidates(self, count: int, spare: float = SPARES[0]) -> int:
        """Say how many images to make for so many that are wanted of a class."""
        exact = count / self.keep * (spare if self.compares else 1.0)
        return math.ceil(round(exact, 6))  # 50 * 1.1 is a little more than 55


class Looks(NamedTuple):
    """What was seen of candidates.

    Args:
        sure: (N,) probability of the class asked for; of the likeliest where none was.
        copies: (N,) whether each is too near to a real image.
        features: (N, D); (N, 0) where nobody needs them.
    """

    sure: npt.NDArray[np.float32]
    copies: npt.NDArray[np.bool_]
    features: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sifted:
    """What was kept: ascending places among the candidates, and how many were dropped, by reason."""

    places: Indices
    dropped: dict[str, int]


class Sieve:
    """Looks at candidates and chooses.

    Args:
        rules: what is dropped.
        judge: looks at images.
        reals: what copies are looked for among.
    Raises: UsageError where copies are looked for, and no real images are held out to compare with.
    """

    def __init__(self, rules: Rules, judge: Extractor, reals: Reals) -> None:
        self.rules, self._judge = rules, judge
        self._limit = 0.0
        if rules.compares:
            if reals.memory is None:
                raise UsageError("--no-copies, --no-duplicates: too few real images to know what is too near")
            self._limit = too_near(reals.memory)
            self._real = torch.cat([reals.memory.features, reals.memory.held_out])  # all taught the generator

    def look(self, pixels: Pixels, labels: Indices | None) -> Looks:
        """Look at candidates (N, C, S, S), which were asked to be of these classes (N,), if of any."""
        seen = self._judge.look(pixels)
        sure = seen.probabilities.amax(1)
        if labels is not None:
            sure = seen.probabilities[torch.arange(len(labels)), torch.from_numpy(labels)]
        copies = np.zeros(len(pixels), bool)
        if self.rules.no_copies:
            copies = (nearest(seen.features, self._real)[0] < self._limit).numpy()
        features = seen.features if self.rules.no_duplicates else seen.features[:, :0]
        return Looks(sure.numpy(), copies, features.numpy())

    def choose(self, looks: Looks, labels: Indices | None, counts: list[int], names: Sequence[str]) -> Sifted:
        """Choose so many candidates of each class.

        Args:
            looks: at all candidates.
            labels: (N,) what each was asked to be; None where any class is as good.
            counts: how many are wanted of each class; of all, where nothing was asked for.
            names: of the classes.
        Raises: UsageError where too few of a class are left.
        """
        dropped, out = {}, looks.copies.copy()
        if self.rules.no_copies:
            dropped["near copies of real images"] = int(out.sum())
        if self.rules.no_duplicates:
            repeated = _repeated(torch.from_numpy(looks.features), ~out, self._limit)
            dropped["near duplicates of images that are kept"] = int(repeated.sum())
            out |= repeated
        if labels is None:
            labels = np.zeros(len(out), np.int64)
        kept, unlike = [], 0
        for label, wanted in enumerate(counts):
            own = np.flatnonzero((labels == label) & ~out)
            order = np.argsort(-looks.sure[own], kind="stable")
            surest = own[order[: round(len(own) * self.rules.keep)]]
            if len(surest) < wanted:
                made = int((labels == label).sum())
                of = f" of class {names[label]}" if len(counts) > 1 else ""
                raise UsageError(
                    f"the filters leave {len(surest):,} of {made:,} images{of}, not {wanted:,}",
                    hint="fewer filters",
                )
            unlike += len(own) - len(surest)
            kept.append(np.sort(surest)[:wanted])
        if self.rules.keep < 1:
            dropped["least like their class, to the judge"] = unlike
        places = np.sort(np.concatenate(kept))
        spare = len(labels) - sum(dropped.values()) - len(places)
        return Sifted(places, dropped | ({"not needed": spare} if spare else {}))


def too_near(memory: Memory) -> float:
    """Give the distance to a training image that all but a thousandth of held-out images keep."""
    distances, _ = nearest(memory.held_out, memory.features)
    return float(torch.quantile(distances[:100_000], _INNOCENT))


def _repeated(features: Tensor, standing: npt.NDArray[np.bool_], limit: float) -> npt.NDArray[np.bool_]:
    """Mark each image that lies nearer than the limit to an earlier one which is not itself marked."""
    kept = standing.copy()
    for start in range(0, len(features), _ROWS):
        block = features[start : start + _ROWS].double()
        own = slice(start, start + len(block))
        for first in range(0, start, _COLUMNS):
            earlier = slice(first, min(first + _COLUMNS, start))
            kept[own] &= ~(_near(block, features[earlier].double(), limit) & kept[earlier]).any(1)
        within = _near(block, block, limit)
        for row in range(len(block)):
            kept[start + row] &= not (within[row, :row] & kept[start : start + row]).any()
    return standing & ~kept


def _near(ours: Tensor, theirs: Tensor, limit: float) -> npt.NDArray[np.bool_]:
    """Tell which pairs of rows (N, M) lie nearer than the limit."""
    squares = ours.square().sum(1)[:, None] + theirs.square().sum(1)
    return (squares - 2 * ours @ theirs.T < limit**2).numpy()
