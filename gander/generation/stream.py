"""Generated images by number: each depends on the generators, the seed, its class and its number alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from gander.data.images import Images, open_images
from gander.data.origins import Pixels
from gander.errors import UsageError, did_you_mean
from gander.generation.load import BLOCK, Sampler
from gander.techniques.latents import Normal, Truncated

Indices = npt.NDArray[np.int64]


class Stream:
    """An endless row of images of one generator, or of several in turns.

    Args:
        samplers: the generators.
        seed: of the latents.
        labels: (N,) the class of each image; None where the generators know none. Beyond the last, class 0.
        owners: (N,) the number of the generator of each image; None where there is one.
    """

    def __init__(
        self, samplers: Sequence[Sampler], seed: int, labels: Indices | None, owners: Indices | None = None
    ) -> None:
        self.samplers, self.seed, self.labels, self.owners = samplers, seed, labels, owners
        self._rows, self._labels = None, [labels]
        if owners is not None:
            own = [np.flatnonzero(owners == number) for number in range(len(samplers))]
            self._labels = [None if labels is None else labels[places] for places in own]
            self._rows = np.empty(len(owners), np.int64)
            self._rows[np.concatenate(own)] = np.concatenate([np.arange(len(places)) for places in own])
        self._newest: dict[int, tuple[int, Pixels]] = {}

    @classmethod
    def of_cells(cls, samplers: Sequence[Sampler], seed: int, cells: Indices) -> Stream:
        """Make images of such cells (N,): a generator's classes are a cell each, then come the next one's."""
        classes = len(samplers[0].classes) if samplers[0].conditional else 1
        owners = cells // classes if len(samplers) > 1 else None
        return cls(samplers, seed, cells % classes if samplers[0].conditional else None, owners)

    def at(self, places: Indices) -> Iterator[tuple[Indices, Pixels]]:
        """Return the images at ascending places, block by block: their positions in `places`, and pixels."""
        blocks = places // BLOCK
        for block in np.unique(blocks):
            chosen = np.flatnonzero(blocks == block)
            yield chosen, np.stack([self._image(place) for place in places[chosen]])

    def _image(self, place: int) -> Pixels:
        owner = 0 if self.owners is None else int(self.owners[place])
        block, row = divmod(int(place if self._rows is None else self._rows[place]), BLOCK)
        if self._newest.get(owner, (-1,))[0] != block:
            self._newest[owner] = block, self._block(owner, block)
        return self._newest[owner][1][row]

    def _block(self, owner: int, block: int) -> Pixels:
        # Two checkpoints of one run would make pairs of images from equal latents.
        entropy = [self.seed, block, owner] if owner else [self.seed, block]
        seed = int(np.random.SeedSequence(entropy).generate_state(2, np.uint64)[0] >> 1)
        labels, known = None, self._labels[owner]
        if known is not None:
            own = known[block * BLOCK : (block + 1) * BLOCK]
            labels = torch.from_numpy(np.pad(own, (0, BLOCK - len(own))))
        sampler = self.samplers[owner]
        return sampler.images(sampler.draw(BLOCK, seed), labels).numpy()


def drawn_from(sampler: Sampler, truncation: float | None, spread: float = 1.0) -> Sampler:
    """Draw latents within so many standard deviations, and so many times as wide as in training.

    Raises: UsageError where one is out of range, or latents that are not normal would be truncated.
    Source: Lampis, Lomurno and Matteucci 2023 (wider latents for sets that classifiers learn from).
    """
    if not 0.1 <= spread <= 10:
        raise UsageError(f"--spread {spread:g}: 0.1 to 10 times that of the training is wanted")
    sampler = replace(sampler, spread=spread)
    if truncation is None:
        return sampler
    if not isinstance(sampler.latents, Normal | Truncated):
        raise UsageError(f"--truncation {truncation:g}: this run's latents are not normal")
    if not 0 < truncation <= 10:
        limits = "more than 0 and at most 10 standard deviations are wanted"
        raise UsageError(f"--truncation {truncation:g}: {limits}")
    return replace(sampler, latents=Truncated(dim=sampler.latents.dim, limit=truncation))


def natural_labels(sampler: Sampler, images: Images, n: int) -> Indices:
    """Return n labels in the mix of classes that real images have, in turns; 0 where there are no classes."""
    counts = images.counts().tolist() if images.classes == sampler.classes else []
    return interleaved(shares(counts or [1] * max(sampler.generator.num_classes, 1), n))


def class_counts(sampler: Sampler, n: int, classes: Sequence[str], like: str | None) -> list[int]:
    """Return how many of n images each class gets: as many each, or as in other data; [] without classes.

    Raises: UsageError where the generator does not know a class, DataError as `open_images`.
    """
    if not sampler.conditional:
        for name in classes:
            sampler.label(name)
        if like:
            raise UsageError("--like: this generator knows no classes, so that their counts cannot be copied")
        return []
    asked = {sampler.label(name) for name in classes} or {*range(len(sampler.classes))}
    weights = [int(label in asked) for label in range(len(sampler.classes))]
    if like:
        theirs = open_images(like)
        for name in theirs.classes:
            if name not in sampler.classes:
                known = f"{like} has a class {name}, and this generator {', '.join(sampler.classes)}"
                raise UsageError(f"--like: {known}{did_you_mean(name, sampler.classes)}")
        counts = dict(zip(theirs.classes, theirs.counts().tolist(), strict=True))
        weights = [
            counts.get(name, 0) * weight for name, weight in zip(sampler.classes, weights, strict=True)
        ]
        if not sum(weights):
            raise UsageError(f"--like: {like} has no labelled image of these classes")
    return shares(weights, n)


def cells_of(counts: Sequence[int], weights: Sequence[float]) -> list[int]:
    """Divide the images of each class among generators by weight: how many of each cell, as in `of_cells`.

    The sums over generators are exactly those of `shares`; each class is off by less than an image or two.
    """
    owners = interleaved(shares(weights, sum(counts)))
    ends = np.cumsum([0, *counts])
    each = [np.bincount(owners[start:end], minlength=len(weights)) for start, end in pairwise(ends)]
    return [int(count) for own in zip(*each, strict=True) for count in own]


def interleaved(counts: Sequence[int]) -> Indices:
    """Return labels (N,), so many of each class, each class spread evenly over the whole."""
    labels = np.repeat(np.arange(len(counts)), counts)
    places = np.concatenate([(np.arange(count) + 0.5) / max(count, 1) for count in counts])
    return labels[np.argsort(places, kind="stable")]


def shares(weights: Sequence[float], n: int) -> list[int]:
    """Divide n in proportion to weights, by the largest remainders, the earlier class first."""
    exact = [weight * n / sum(weights) for weight in weights]
    counts = [int(value) for value in exact]
    for label in sorted(range(len(weights)), key=lambda label: counts[label] - exact[label])[
        : n - sum(counts)
    ]:
        counts[label] += 1
    return counts
