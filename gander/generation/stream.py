"""Generated images by number: each depends on the run, the seed, its class and its number alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

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
    """An endless row of images.

    Args:
        sampler: the generator.
        seed: of the latents.
        labels: (N,) the class of each image; None where the generator knows none. Beyond the last, class 0.
    """

    def __init__(self, sampler: Sampler, seed: int, labels: Indices | None) -> None:
        self.sampler = sampler
        self.seed = seed
        self.labels = labels

    def at(self, places: Indices) -> Iterator[tuple[Indices, Pixels]]:
        """Return the images at ascending places, block by block: their positions in `places`, and pixels."""
        blocks = places // BLOCK
        for block in np.unique(blocks):
            chosen = np.flatnonzero(blocks == block)
            yield chosen, self._block(int(block))[places[chosen] - block * BLOCK]

    def _block(self, block: int) -> Pixels:
        seed = int(np.random.SeedSequence([self.seed, block]).generate_state(2, np.uint64)[0] >> 1)
        labels = None
        if self.labels is not None:
            own = self.labels[block * BLOCK : (block + 1) * BLOCK]
            labels = torch.from_numpy(np.pad(own, (0, BLOCK - len(own))))
        return self.sampler.images(self.sampler.draw(BLOCK, seed), labels).numpy()


def truncated(sampler: Sampler, limit: float | None) -> Sampler:
    """Draw latents within `limit` standard deviations; UsageError where the run's are not normal."""
    if limit is None:
        return sampler
    if not isinstance(sampler.latents, Normal | Truncated):
        raise UsageError(f"--truncation {limit:g}: this run's latents are not normal")
    if not 0 < limit <= 10:
        raise UsageError(f"--truncation {limit:g}: more than 0 and at most 10 standard deviations are wanted")
    return replace(sampler, latents=Truncated(dim=sampler.latents.dim, limit=limit))


def natural_labels(sampler: Sampler, images: Images, n: int) -> Indices:
    """Return n labels in the mix of classes that real images have, in turns; 0 where there are no classes."""
    counts = images.counts().tolist() if images.classes == sampler.classes else []
    return spread(shares(counts or [1] * max(sampler.generator.num_classes, 1), n))


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


def spread(counts: Sequence[int]) -> Indices:
    """Return labels (N,), so many of each class, each class spread evenly over the whole."""
    labels = np.repeat(np.arange(len(counts)), counts)
    places = np.concatenate([(np.arange(count) + 0.5) / max(count, 1) for count in counts])
    return labels[np.argsort(places, kind="stable")]


def shares(weights: Sequence[int], n: int) -> list[int]:
    """Divide n in proportion to weights, by the largest remainders, the earlier class first."""
    exact = [weight * n / sum(weights) for weight in weights]
    counts = [int(value) for value in exact]
    for label in sorted(range(len(weights)), key=lambda label: counts[label] - exact[label])[
        : n - sum(counts)
    ]:
        counts[label] += 1
    return counts
