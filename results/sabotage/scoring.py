"""What a run is worth in the end, by a judge that no run saw and the doctor does not know.

The Fréchet distance, of 2,000 images to as many that no run was shown, in the features of the data set's
shipped judge, images enlarged to its size. For a run with labels each image's label stands beside its
features, as far apart as the features are wide, so that images of another class than asked for count.
Coverage in the same features, of 1,000 images by as many, sees what a distance of means and covariances does
not: fakes that are few, but good; how often a fake is nearer to the images shown than one that was not shows
copies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from gander.data.images import Images, open_images
from gander.engine.exact import exact
from gander.generation.load import Sampler
from gander.scores.frechet import Moments, frechet_distances
from gander.scores.judge import Judge, load_judge
from gander.scores.neighbours import memorised_share, precision_recall_density_coverage

from .datasets import aside

N = 2_000
COVERED = 1_000
COPIED = 300


@dataclass(frozen=True)
class Worth:
    """What a generator is worth: more is better of the coverage, less of the others."""

    distance: float
    coverage: float
    nearer: float


@exact()
def score(sampler: Sampler, work: Path, data: str, shown: Images) -> Worth:
    """Measure what a sampler makes of the images shown; infinitely far where weights are not finite."""
    _, labels = _reals(work, data)
    if not all(weight.isfinite().all() for weight in sampler.generator.parameters()):
        return Worth(math.inf, 0.0, 0.0)
    made = sampler.images(sampler.draw(N, seed=1), labels if sampler.conditional else None)
    width, real = _joint_reals(work, data, sampler.conditional, made.shape[2:])
    fake = _joint(data, made, labels, width)
    near = precision_recall_density_coverage(real[:COVERED], fake[:COVERED])
    seen, width = _shown(data, shown.path), real.shape[1] - int(labels.max()) - 1
    copied = memorised_share(fake[:COPIED, :width], seen, real[:COPIED, :width])
    distance = frechet_distances(Moments.of(real), [Moments.of(fake)])[0]
    return Worth(distance, near.coverage, copied.nearer)


@cache
def _shown(data: str, path: str) -> Tensor:
    images = open_images(path=path)
    return _features(data, torch.from_numpy(images.pixels.copy()))


@cache
def _joint_reals(work: Path, data: str, labelled: bool, shape: torch.Size) -> tuple[float, Tensor]:
    """Give how wide the features of real images are, where labels count, and features with labels."""
    images, labels = _reals(work, data)
    if images.shape[2:] != shape:
        images = F.interpolate(images.float(), shape, mode="area").round().to(torch.uint8)
    width = math.sqrt(float(_features(data, images).var(0).sum())) if labelled else 0.0
    return width, _joint(data, images, labels, width)


def _joint(data: str, images: Tensor, labels: Tensor, width: float) -> Tensor:
    return torch.cat([_features(data, images), width * F.one_hot(labels, int(labels.max()) + 1)], 1)


def _features(data: str, images: Tensor) -> Tensor:
    judge = _judge(data)
    large = F.interpolate(images.float(), judge.record.size, mode="bilinear").round().clamp(0, 255)
    return judge.extract(large.to(torch.uint8).numpy()).features


@cache
def _judge(data: str) -> Judge:
    return load_judge(Path(str(resources.files("gander") / "judges" / f"{data}.safetensors")))


@cache
def _reals(work: Path, data: str) -> tuple[Tensor, Tensor]:
    images = aside(work, data)
    assert images.labels is not None
    return torch.from_numpy(images.pixels[:N].copy()), torch.from_numpy(images.labels[:N].copy())
