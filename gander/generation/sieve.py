"""Which of the images that could be made are kept: those that look like their class and like no other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor

from gander.chance import rank, world_size
from gander.data.origins import Pixels
from gander.errors import UsageError
from gander.generation.load import BLOCK, Sampler
from gander.generation.stream import Indices, Stream, interleaved
from gander.scores.evaluation import Memory
from gander.scores.extractor import Extractor
from gander.scores.neighbours import nearest

SPARES = (1.1, 2.0, 4.0)
"""Candidates for an image that is wanted, where copies are dropped; the next where these did not suffice."""

_INNOCENT = 0.001  # of held-out real images lie nearer to a training image than a near-copy may
_ROWS = 512


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
        """Nothing is dropped."""
        return self.keep == 1 and not self.no_copies and not self.no_duplicates

    @property
    def compares(self) -> bool:
        """Distances decide, so that nobody knows before how many are left."""
        return self.no_copies or self.no_duplicates

    def candidates(self, count: int, spare: float = SPARES[0]) -> int:
        """Return how many images to make for so many that are wanted of a class."""
        exact = count / self.keep * (spare if self.compares else 1.0)
        return math.ceil(round(exact, 6))  # 50 * 1.1 is a little more than 55


class Assessed(NamedTuple):
    """What the judge makes of candidates.

    Args:
        classes: (N,) the class asked for; the likeliest where none was.
        confidence: (N,) its probability.
        copies: (N,) whether each is too near to a real image.
        features: (N, D); (N, 0) where nobody needs them.
    """

    classes: Indices
    confidence: npt.NDArray[np.float32]
    copies: npt.NDArray[np.bool_]
    features: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Selection:
    """What is kept: ascending places among the candidates, and how many were dropped, by reason."""

    places: Indices
    dropped: dict[str, int]


class Sieve:
    """Assesses candidates and chooses.

    Args:
        memory: the real images that copies are looked for among.
    Raises: UsageError where copies are looked for, and no real images are held out to compare with.
    """

    def __init__(self, rules: Rules, judge: Extractor, memory: Memory | None) -> None:
        self.rules, self._judge = rules, judge
        self._limit = 0.0
        if rules.compares:
            if memory is None:
                raise UsageError("--no-copies, --no-duplicates: too few real images to know what is too near")
            self._limit = too_near(memory)
            self._real = torch.cat([memory.features, memory.held_out])  # all taught the generator

    def assess(self, pixels: Pixels, labels: Indices | None) -> Assessed:
        """Assess candidates (N, C, S, S), which were asked to be of these classes (N,), if of any."""
        outputs = self._judge.extract(pixels)
        confidence, likeliest = (values.numpy() for values in outputs.probabilities.max(1))
        if labels is not None:
            confidence = outputs.probabilities[torch.arange(len(labels)), torch.from_numpy(labels)].numpy()
        copies = np.zeros(len(pixels), bool)
        if self.rules.no_copies:
            copies = (nearest(outputs.features, self._real)[0] < self._limit).numpy()
        features = outputs.features if self.rules.no_duplicates else outputs.features[:, :0]
        return Assessed(likeliest if labels is None else labels, confidence, copies, features.numpy())

    def choose(
        self, assessed: Assessed, cells: Indices, counts: Sequence[int], names: Sequence[str]
    ) -> Selection:
        """Choose so many candidates of each cell: of a generator's class, or of all it makes.

        Args:
            cells: (N,) the number of each one's cell.
            counts: how many are wanted of each cell.
            names: of the classes; none where nothing was asked for.
        Raises: UsageError where too few of a cell are left.
        """
        dropped, out = {}, assessed.copies.copy()
        if self.rules.no_copies:
            dropped["near copies of real images"] = int(out.sum())
        if self.rules.no_duplicates:
            repeated = _repeated(torch.from_numpy(assessed.features), ~out, self._limit)
            dropped["near duplicates of images that are kept"] = int(repeated.sum())
            out |= repeated
        kept, unlike = [], 0
        for cell, wanted in enumerate(counts):
            own = np.flatnonzero((cells == cell) & ~out)
            order = np.argsort(-assessed.confidence[own], kind="stable")
            surest = own[order[: round(len(own) * self.rules.keep)]]
            if len(surest) < wanted:
                candidates = int((cells == cell).sum())
                of = f" of class {names[cell % len(names)]}" if names and len(counts) > 1 else ""
                raise UsageError(
                    f"the filters leave {len(surest):,} of {candidates:,} images{of}, not {wanted:,}",
                    hint="fewer filters",
                )
            unlike += len(own) - len(surest)
            kept.append(np.sort(surest)[:wanted])
        if self.rules.keep < 1:
            dropped["least like their class, to the judge"] = unlike
        places = np.sort(np.concatenate(kept))
        spare = len(cells) - sum(dropped.values()) - len(places)
        return Selection(places, dropped | ({"not needed": spare} if spare else {}))


def sifted(
    sieve: Sieve,
    samplers: Sequence[Sampler],
    seed: int,
    counts: Sequence[int],
    progress: Callable[[int], object] = lambda more: None,
) -> tuple[Stream, Assessed, Selection]:
    """Make candidates for so many images of each cell, as in `Stream.of_cells`, assess them, and choose.

    More are made where distances leave too few. Raises: UsageError where the most are too few.
    """
    names = samplers[0].classes if samplers[0].conditional else ()
    for spare in SPARES:
        cells = interleaved([sieve.rules.candidates(count, spare) for count in counts])
        stream = Stream.of_cells(samplers, seed, cells)
        assessed = _assessed(sieve, stream, len(cells), progress)
        try:
            return stream, assessed, sieve.choose(assessed, cells, counts, names)
        except UsageError:
            if spare == SPARES[-1] or not sieve.rules.compares:
                raise
    raise AssertionError("there is a last try")


def _assessed(sieve: Sieve, stream: Stream, count: int, progress: Callable[[int], object]) -> Assessed:
    """Assess the first candidates of a stream, each process its share of the blocks."""
    blocks = range(-(-count // BLOCK))
    done = {}
    for block in blocks[rank() :: world_size()]:
        places = np.arange(block * BLOCK, min((block + 1) * BLOCK, count))
        ((_, pixels),) = stream.at(places)
        done[block] = sieve.assess(pixels, None if stream.labels is None else stream.labels[places])
        progress(len(pixels))
    if world_size() > 1:
        shares: list[Any] = [None] * world_size()
        dist.all_gather_object(shares, done)
        done = {block: own for share in shares for block, own in share.items()}
    return Assessed(*map(np.concatenate, zip(*(done.pop(block) for block in blocks), strict=True)))


def too_near(memory: Memory) -> float:
    """Return the distance to a training image that all but a thousandth of held-out images keep."""
    distances, _ = nearest(memory.held_out, memory.features)
    return float(torch.quantile(distances[:100_000], _INNOCENT))


def _repeated(features: Tensor, standing: npt.NDArray[np.bool_], limit: float) -> npt.NDArray[np.bool_]:
    """Mark each image that lies nearer than the limit to an earlier one which is not itself marked."""
    kept = standing.copy()
    for start in range(0, len(features), _ROWS):
        block = features[start : start + _ROWS].double()
        near = np.zeros(len(block), bool)
        if kept[:start].any():
            near = (nearest(block, features[:start][kept[:start]])[0] < limit).numpy()
        within = (torch.cdist(block, block) < limit).numpy()
        for row in range(len(block)):  # an image that is marked marks no other
            near[row] |= (within[row, :row] & kept[start : start + row]).any()
            kept[start + row] &= not near[row]
    return standing & ~kept
