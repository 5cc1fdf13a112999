"""Which of the images that could be made are kept: those that look like their class and like no other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from gander.errors import UsageError
from gander.generate.stream import Indices
from gander.metrics.evaluation import Reals
from gander.metrics.extractor import Opinion
from gander.metrics.neighbours import nearest

_INNOCENT = 0.001  # of held-out real images lie nearer to a training image than a near-copy may
_SPARE = 1.1  # candidates for an image that is wanted, where copies are dropped
_ROWS = 512


@dataclass(frozen=True)
class Rules:
    """What is dropped.

    Args:
        keep: of each class, the share that the judge most surely takes for it.
        no_copies: nothing nearer to a training image than all but a thousandth of held-out images are.
        no_duplicates: nothing as near as that to an image that is kept.
    """

    keep: float = 1.0
    no_copies: bool = False
    no_duplicates: bool = False

    @property
    def idle(self) -> bool:
        """Tell whether nothing is dropped."""
        return self.keep == 1 and not self.no_copies and not self.no_duplicates

    def candidates(self, count: int) -> int:
        """Say how many images to make for so many that are wanted of a class."""
        spare = _SPARE if self.no_copies or self.no_duplicates else 1.0
        return int(np.ceil(count / self.keep * spare))


@dataclass(frozen=True)
class Sifted:
    """What was kept: ascending places among the candidates, and how many were dropped, by reason."""

    places: Indices
    dropped: dict[str, int]


def sift(opinion: Opinion, labels: Indices | None, counts: list[int], rules: Rules, reals: Reals) -> Sifted:
    """Choose so many candidates of each class.

    Args:
        opinion: the judge's, of all candidates.
        labels: (N,) what each was asked to be; None where nothing was asked for, and any class is as good.
        counts: how many are wanted of each class; of all, where nothing was asked for.
        reals: for what is too near.
    Raises: UsageError where too few of a class are left.
    """
    dropped, out = {}, np.zeros(len(opinion.features), bool)
    if rules.no_copies or rules.no_duplicates:
        limit = too_near(reals)
    if rules.no_copies:
        assert reals.memory is not None
        out |= nearest(opinion.features, reals.memory.features)[0].numpy() < limit
        dropped["near copies of training images"] = int(out.sum())
    if rules.no_duplicates:
        repeated = _repeated(opinion.features, ~out, limit)
        dropped["near duplicates of images that are kept"] = int(repeated.sum())
        out |= repeated
    sure = opinion.probabilities.amax(1).numpy()
    if labels is None:
        labels = np.zeros(len(sure), np.int64)
    else:
        sure = opinion.probabilities[torch.arange(len(labels)), torch.from_numpy(labels)].numpy()
    kept, unlike = [], 0
    for label, wanted in enumerate(counts):
        own = np.flatnonzero((labels == label) & ~out)
        surest = own[np.argsort(-sure[own], kind="stable")][: round(len(own) * rules.keep)]
        if len(surest) < wanted:
            made = int((labels == label).sum())
            raise UsageError(
                f"the filters leave {len(surest):,} of {made:,} images of class {label}, not {wanted:,}",
                hint="fewer filters",
            )
        unlike += len(own) - len(surest)
        kept.append(np.sort(surest)[:wanted])
    if rules.keep < 1:
        dropped["least like their class, to the judge"] = unlike
    places = np.sort(np.concatenate(kept))
    dropped["not needed"] = len(labels) - sum(dropped.values()) - len(places)
    return Sifted(places, {reason: count for reason, count in dropped.items() if count})


def too_near(reals: Reals) -> float:
    """Give the distance to a training image that all but a thousandth of held-out images keep."""
    assert reals.memory is not None
    distances, _ = nearest(reals.memory.held_out, reals.memory.features)
    return float(torch.quantile(distances[:100_000], _INNOCENT))


def _repeated(features: torch.Tensor, standing: npt.NDArray[np.bool_], limit: float) -> npt.NDArray[np.bool_]:
    """Mark each image that lies nearer than the limit to an earlier one which is not itself marked."""
    kept = standing.copy()
    squares = features.double().square().sum(1)
    for start in range(0, len(features), _ROWS):
        block = features[start : start + _ROWS].double()
        ends = start + len(block)
        apart = squares[start:ends, None] + squares[:ends] - 2 * block @ features[:ends].double().T
        near = (apart < limit**2).numpy()
        for row, here in enumerate(range(start, ends)):
            kept[here] &= not (near[row, :here] & kept[:here]).any()
    return standing & ~kept
