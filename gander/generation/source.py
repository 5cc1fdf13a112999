"""Where the images that are scored come from: a run, or a data set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from gander.data.images import Images, open_images
from gander.data.progress import progress
from gander.engine.exact import exact
from gander.errors import DataError
from gander.generation.load import Sampler
from gander.generation.stream import natural_labels
from gander.recipe.read import read_recipe
from gander.run import Run
from gander.scores.classifier import Labelled
from gander.scores.evaluation import Samples

_ENDLESS = 10**9
_AT_ONCE = 1_024  # images


@exact()
def generated_samples(
    name: str,
    sampler: Sampler,
    reals: Images,
    n: int,
    seed: int,
    progress: Callable[[int], object] = lambda more: None,
) -> Samples:
    """Generate n images of each class in turns, in the mix that the real images have."""
    labels = torch.from_numpy(natural_labels(sampler, reals, n))
    latents, parts = sampler.draw(n, seed), []
    for start in range(0, n, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        parts.append(sampler.images(latents[part], labels[part]).numpy())
        progress(len(parts[-1]))
    comparable = sampler.conditional and sampler.classes == reals.classes
    return Samples(name, np.concatenate(parts), labels if comparable else None, sampler.weights)


class RunSource:
    """What a run's generator makes, in endless numbers.

    Args:
        name: of the run.
        sampler: its generator.
        shape: (channels, size, size) of its images.
        reals: what they are scored against.
    Raises: DataError where these have another shape.
    """

    most = _ENDLESS

    def __init__(self, name: str, sampler: Sampler, shape: tuple[int, int, int], reals: Images) -> None:
        _check_shape(name, shape, reals)
        self.name = name
        self.has_labels = sampler.conditional and sampler.classes == reals.classes
        self._sampler, self._reals = sampler, reals

    def samples(self, n: int, seed: int) -> Samples:
        """Make n images, with labels where real ones have the same classes."""
        with progress(f"Making images of {self.name}", n) as advance:
            return generated_samples(self.name, self._sampler, self._reals, n, seed, advance)

    @exact()
    def labelled(self, labels: npt.NDArray[np.int64], seed: int) -> Labelled:
        """Make images of these classes (N,)."""
        latents = self._sampler.draw(len(labels), seed)
        return Labelled(self._sampler.images(latents, torch.from_numpy(labels)).numpy(), labels)


class DataSource:
    """Some images of a data set, drawn without repetition.

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

    def samples(self, n: int, seed: int) -> Samples:
        """Take n images, with labels where real ones have these classes, too."""
        chosen = self._drawn(n, seed)
        labels = None if self._labels is None else torch.from_numpy(self._labels[chosen])
        return Samples(self.name, self._images.pixels[chosen], labels, "as they are")

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
    return open_images(data.source, data.path, data.size, columns=data.columns)


def _check_shape(name: str, shape: tuple[int, ...], reals: Images) -> None:
    wanted = reals.pixels.shape[1:]
    if tuple(shape) != tuple(wanted):
        raise DataError(
            f"{name}: its images are {tuple(shape)} (channels, height, width), and {reals.source} has "
            f"{tuple(wanted)}"
        )
