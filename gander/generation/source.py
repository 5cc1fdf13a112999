"""Where the images that are scored come from: a run, or a data set."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from gander.data.images import Images, open_images
from gander.data.progress import progress
from gander.errors import DataError, UsageError
from gander.generation.load import Sampler
from gander.generation.stream import natural_labels
from gander.recipe.read import read_recipe
from gander.run import Run
from gander.scores.evaluation import Subject
from gander.scores.schooling import Labelled

_MANY = 10**9
_AT_ONCE = 1_024  # images


class Source(Protocol):
    """Gives images that are to be scored against real ones."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def most(self) -> int:
        """How many images there can be."""

    @property
    def has_labels(self) -> bool:
        """Tell whether images come with the classes of the real ones."""

    def subject(self, n: int, seed: int) -> Subject:
        """Give n images, with labels where there are some."""

    def labelled(self, labels: npt.NDArray[np.int64], seed: int) -> Labelled:
        """Give images of these classes (N,), or as many as there are, with their labels."""


class RunSource:
    """What a run's generator makes: its classes in turns, in the mix that the real images have.

    Args:
        name: of the run.
        sampler: its generator.
        shape: (channels, size, size) of its images.
        reals: what they are scored against.
    Raises: DataError where these have another shape.
    """

    most = _MANY

    def __init__(self, name: str, sampler: Sampler, shape: tuple[int, int, int], reals: Images) -> None:
        _check_shape(name, shape, reals)
        self.name = name
        self.has_labels = sampler.conditional and sampler.classes == reals.classes
        self._sampler, self._reals = sampler, reals

    def subject(self, n: int, seed: int) -> Subject:
        """Give n images, and the classes that were asked for."""
        labels = torch.from_numpy(natural_labels(self._sampler, self._reals, n))
        latents, parts = self._sampler.draw(n, seed), []
        with progress(f"Making images of {self.name}", n) as advance:
            for start in range(0, n, _AT_ONCE):
                part = slice(start, start + _AT_ONCE)
                parts.append(self._sampler.images(latents[part], labels[part]).numpy())
                advance(len(parts[-1]))
        pixels = np.concatenate(parts)
        return Subject(self.name, pixels, labels if self.has_labels else None, self._sampler.weights)

    def labelled(self, labels: npt.NDArray[np.int64], seed: int) -> Labelled:
        """Give an image of each of these classes (N,)."""
        latents = self._sampler.draw(len(labels), seed)
        return Labelled(self._sampler.images(latents, torch.from_numpy(labels)).numpy(), labels)


class DataSource:
    """Some images of a data set.

    Args:
        images: the data set.
        reals: what they are scored against.
    Raises: DataError where these have another shape.
    """

    def __init__(self, images: Images, reals: Images) -> None:
        _check_shape(images.source, images.pixels.shape[1:], reals)
        self.name = images.source
        self.most = len(images)
        self._images, self._labels = images, None
        if images.labels is not None and {*images.classes} <= {*reals.classes}:
            numbers = np.array([reals.classes.index(name) for name in images.classes])
            self._labels = numbers[images.labels]
        self.has_labels = self._labels is not None

    def subject(self, n: int, seed: int) -> Subject:
        """Give n images, drawn without repetition."""
        chosen = self._drawn(n, seed)
        labels = None if self._labels is None else torch.from_numpy(self._labels[chosen])
        return Subject(self.name, self._images.pixels[chosen], labels, "as they are")

    def labelled(self, labels: npt.NDArray[np.int64], seed: int) -> Labelled:
        """Give as many images as labels, or all there are, in the mix of classes that they have."""
        chosen = self._drawn(len(labels), seed)
        assert self._labels is not None
        return Labelled(self._images.pixels[chosen], self._labels[chosen])

    def _drawn(self, n: int, seed: int) -> npt.NDArray[np.int64]:
        return np.sort(np.random.default_rng(seed).permutation(len(self._images))[:n])


def real_images(run: Run) -> Images:
    """Open the data that a run was trained on."""
    data = read_recipe(run).data
    return open_images(data.source, data.path, data.size)


def check_wishes(source: Source, reals: Images, n: int, use: bool) -> None:
    """Raise UsageError where a source has too few images, or no labels to learn from."""
    if n > source.most:
        raise UsageError(f"-n {n}: {source.name} has {source.most:,} images", hint=f"-n {source.most}")
    if use and not source.has_labels:
        raise UsageError(
            f"--use: {source.name} comes without labels of the classes of {reals.source}, "
            "and a classifier learns from labels"
        )


def _check_shape(name: str, shape: tuple[int, ...], reals: Images) -> None:
    wanted = reals.pixels.shape[1:]
    if tuple(shape) != tuple(wanted):
        raise DataError(
            f"{name}: its images are {tuple(shape)} (channels, height, width), and {reals.source} has "
            f"{tuple(wanted)}"
        )
