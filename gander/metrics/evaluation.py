"""All scores of a set of images, beside what real images would get."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gander.data.images import Images
from gander.data.store import cache_folder, storage_errors
from gander.errors import DataError
from gander.metrics.classes import classifier_score, confusion, label_fidelity
from gander.metrics.frechet import Moments, frechet_distance
from gander.metrics.judge import Judge, Opinion, held_out
from gander.metrics.kernel import kernel_distance
from gander.metrics.neighbours import Memorisation, memorised_share, precision_recall_density_coverage
from gander.metrics.score import Protocol, Score, around, around_share
from gander.run import write_whole

_LEAST = 100
_PARTS = 4  # in which the fakes are scored again, for the interval
_NEIGHBOURS = 5
_SPLITS = 10
_CHANCE = 0.001  # below which a share of near copies is no chance


@dataclass(frozen=True)
class Subject:
    """The images to be scored: uint8 (N, C, S, S), with the labels (N,) that were asked for, if any were."""

    name: str
    pixels: npt.NDArray[np.uint8]
    labels: Tensor | None
    weights: str


@dataclass(frozen=True)
class Evaluation:
    """What came out."""

    scores: tuple[Score, ...]
    opinion: Opinion
    confusion: Tensor | None  # (K, K) counts; a row is what was asked for, a column what the judge saw
    memorisation: Memorisation
    learned: npt.NDArray[np.int64]  # the places in the data of the images that the nearest pairs point to


def evaluate(subject: Subject, images: Images, judge: Judge, seed: int = 0) -> Evaluation:
    """Score images against as many real ones, and real ones that are in neither set in the same way.

    Raises: DataError where there are too few images, or they are not of the judge's shape.
    """
    n = len(subject.pixels)
    if n < _LEAST:
        raise DataError(f"{subject.name}: {n} images; scores need at least {_LEAST}", hint="-n 2000")
    compared, against = split_reals(images, n, seed)
    aside = held_out(images)
    features = real_features(images, judge)
    learned = np.setdiff1d(np.arange(len(images)), aside)
    made = judge.look(subject.pixels)
    floor = judge.opinion(features[against])
    labels = subject.labels
    protocol = Protocol(
        features=f"judge {judge.digest[:12]}",
        data=images.digest[:12],
        n_real=n,
        n_fake=n,
        split=f"train; the floor has {np.isin(against, aside).sum():,} held-out images of {n:,}",
        resize="none",
        weights=subject.weights,
        seed=seed,
    )
    scores = [
        *_distances(features[compared], made.features, floor.features, protocol),
        *_neighbourhoods(features[compared], made.features, floor.features, protocol),
        _classifier(made, floor, protocol),
    ]
    if labels is not None:
        scores.append(_fidelity(made, labels, judge.record.accuracy, protocol))
    memory = memorised_share(made.features, features[learned], features[aside])
    scores.append(_memorised(memory, n, protocol))
    found = (
        confusion(labels, made.probabilities.argmax(1), len(images.classes)) if labels is not None else None
    )
    return Evaluation(tuple(scores), made, found, memory, learned)


def split_reals(images: Images, n: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Divide real images into n to compare with and n others, held-out ones first, for the floor.

    Raises: DataError where there are not enough.
    """
    aside = held_out(images)
    most = min(len(images) // 2, len(images) - len(aside))
    if n > most:
        raise DataError(
            f"{images.source}: has {len(images):,} images; to compare {n:,} with as many, and these with "
            f"others, {most:,} is the most",
            hint=f"-n {most}",
        )
    rng = np.random.default_rng(seed)
    first = rng.permutation(aside)[:n]
    others = rng.permutation(np.setdiff1d(np.arange(len(images)), aside))
    return others[:n], np.concatenate([first, others[n : 2 * n - len(first)]])


def real_features(images: Images, judge: Judge) -> Tensor:
    """Give the features (N, D) of all real images, which are looked at once and kept in the cache."""
    path = cache_folder() / "features" / f"{images.fingerprint[:32]}-{judge.digest[:32]}.npy"
    with storage_errors():
        if path.is_file():
            try:
                return torch.from_numpy(np.load(path))
            except ValueError:  # half a file; it is written anew
                pass
        features = judge.look(images.pixels).features
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = io.BytesIO()
        np.save(whole, features.numpy())
        write_whole(path, whole.getvalue())
    return features


def _distances(real: Tensor, fake: Tensor, floor: Tensor, protocol: Protocol) -> list[Score]:
    moments = Moments.of(real)
    value, least = (frechet_distance(moments, Moments.of(features)) for features in (fake, floor))
    # The bias of smaller parts is the same for all of them: their scatter is that of n / parts images.
    parts = torch.tensor([frechet_distance(moments, Moments.of(part)) for part in fake.tensor_split(_PARTS)])
    low, high = around(value, float(parts.std()) / _PARTS**0.5)
    ratio = value / max(least, 1e-9)
    verdict = "as near as real images are" if ratio < 1.5 else f"{ratio:,.0f} times as far as real images are"
    frechet = Score("fd-judge", value, least, max(low, 0.0), high, "lower", verdict, protocol)
    kernel, kernel_floor = kernel_distance(real, fake), kernel_distance(real, floor)
    verdict = ("not " if kernel.value < 3 * kernel.standard_error else "") + "told from real images"
    low, high = around(kernel.value, kernel.standard_error)
    return [
        frechet,
        Score("kd-judge", kernel.value, kernel_floor.value, low, high, "lower", verdict, protocol),
    ]


def _neighbourhoods(real: Tensor, fake: Tensor, floor: Tensor, protocol: Protocol) -> list[Score]:
    ours = precision_recall_density_coverage(real, fake, _NEIGHBOURS)
    theirs = precision_recall_density_coverage(real, floor, _NEIGHBOURS)
    verdicts = {
        "precision": f"{ours.precision:.0%} of the images are among real ones",
        "recall": f"{ours.recall:.0%} of real images are among these",
        "density": f"an image has {ours.density:.0%} of the real neighbours it should have",
        "coverage": f"{ours.coverage:.0%} of real images have one near them",
    }
    scores = []
    for (name, verdict), value, least in zip(verdicts.items(), ours, theirs, strict=True):
        low, high = (None, None) if name == "density" else around_share(value, len(fake))
        scores.append(Score(name, value, least, low, high, "higher", verdict, protocol))
    return scores


def _classifier(made: Opinion, floor: Opinion, protocol: Protocol) -> Score:
    ours, theirs = (
        classifier_score(made.probabilities, _SPLITS),
        classifier_score(floor.probabilities, _SPLITS),
    )
    low, high = around(ours.mean, ours.spread / _SPLITS**0.5)
    verdict = f"sure and varied as {ours.mean:.1f} classes are; real images as {theirs.mean:.1f}"
    return Score("classifier-score", ours.mean, theirs.mean, low, high, "higher", verdict, protocol)


def _fidelity(made: Opinion, labels: Tensor, accuracy: float, protocol: Protocol) -> Score:
    value = label_fidelity(labels, made.probabilities.argmax(1))
    low, high = around_share(value, len(labels))
    verdict = f"{value:.0%} are seen as the class asked for; of held-out real images {accuracy:.0%}"
    return Score("label-fidelity", value, accuracy, low, high, "higher", verdict, protocol)


def _memorised(memory: Memorisation, n: int, protocol: Protocol) -> Score:
    copies = memory.p_value < _CHANCE
    verdict = "copies of training images: look at the pairs" if copies else "no sign of copies"
    low, high = around_share(memory.share, n)
    return Score("memorised", memory.share, memory.expected, low, high, "near", verdict, protocol)
