"""Use: how well a classifier that learned from generated images names real ones, and the other way round."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gander.data.images import Images, open_images
from gander.data.names import NAMED
from gander.data.store import cache_folder, storage_errors
from gander.engine.exact import exact
from gander.engine.machine import Machine
from gander.errors import GanderError, UsageError
from gander.scores.classifier import (
    Classifier,
    Hyperparameters,
    Labelled,
    default_batch,
    may_be_mirrored,
    split_data,
)
from gander.scores.score import around_share

_WIDTH = 32
_IMAGES, _QUICK_IMAGES = 450_000, 90_000  # that each of the two classifiers is trained on, with repetition
_MIXED = (100, 1_000, 10_000)  # real images
_MIX_SEEDS = 3
_STUDENT = 4.303  # beyond it, on either side, lie 2.5 % of Student's t with two degrees of freedom

Shares = npt.NDArray[np.float64]
Make = Callable[[npt.NDArray[np.int64], int], Labelled]
"""Gives images for the classes (N,) of the real ones, from a seed."""


@dataclass(frozen=True)
class Mix:
    """Accuracies of classifiers that take equal steps, means over seeds.

    Args:
        n_real: real images that there are.
        mixed: half of each epoch's images are real, half generated.
        gain: of `mixed` over `real_only`.
        interval: of the gain: 95 %, over pairs of equal seed.
    """

    n_real: int
    real_only: float
    mixed: float
    fakes_only: float
    gain: float
    interval: tuple[float, float]

    def __str__(self) -> str:
        low, high = (100 * end for end in self.interval)
        return (
            f"{self.n_real:,} real images: {self.real_only:.1%} alone, {self.mixed:.1%} with generated ones "
            f"({100 * self.gain:+.1f} points, {low:+.1f} to {high:+.1f})"
        )


@dataclass(frozen=True)
class Usefulness:
    """Shares of rightly named images, whole and for each class (K,); nan for a class without test images."""

    classes: tuple[str, ...]
    from_these: float  # learned from the generated images, tested on real ones
    from_real: float  # learned from as many real images, tested on the same real ones
    on_these: float  # learned from real images, tested on the generated ones
    each_from_these: Shares
    each_from_real: Shares
    each_on_these: Shares
    interval: tuple[float, float]  # of `from_these`: 95 %, for other test images
    protocol: dict[str, Any]
    mix: tuple[Mix, ...] = ()

    @property
    def worst(self) -> str:
        """The class of which the fewest real images are named rightly."""
        return self.classes[int(np.nanargmin(self.each_from_these))]

    @property
    def sentence(self) -> str:
        """Say it in a sentence."""
        low, high = self.interval
        worst = np.nanmin(self.each_from_these)
        return (
            f"a classifier that learned from {self.protocol['n_training']:,} of these images"
            f"{', new ones each epoch,' if self.protocol['fresh'] else ''} names "
            f"{self.from_these:.1%} ({low:.1%} to {high:.1%}) of {self.protocol['n_test']:,} real ones, "
            f"worst {self.worst} ({worst:.1%}); "
            f"one that learned from as many real images {self.from_real:.1%}, and it names "
            f"{self.on_these:.1%} of these"
        )

    def row(self) -> dict[str, Any]:
        """Give it as it is written to a file."""
        names = ("from_these", "from_real", "on_these")
        each = {name: getattr(self, f"each_{name}").tolist() for name in names}
        classes = [
            {"name": name} | {key: None if np.isnan(each[key][label]) else each[key][label] for key in names}
            for label, name in enumerate(self.classes)
        ]
        return {
            "sentence": self.sentence,
            **{name: getattr(self, name) for name in names},
            "interval": self.interval,
            "worst": self.worst,
            "classes": classes,
            "mix": [asdict(point) for point in self.mix],
            "protocol": self.protocol,
        }


@exact()
def measure_use(
    make: Make,
    images: Images,
    machine: Machine,
    quick: bool,
    seed: int,
    report: Callable[[str], object],
    fresh: bool = False,
    mix: bool = False,
) -> Usefulness:
    """Train a small classifier from scratch on generated images, and a baseline on as many real ones.

    The two differ in their images alone: same net, epochs, augmentation and seeds.

    Args:
        images: the real ones.
        machine: where; in float32, as all scores.
        quick: a fifth of the training.
        report: hears a line an epoch.
        fresh: the classifier learns from new images in each epoch.
        mix: measure, too, what adding the images to few real ones is worth.
    Raises: DataError where the data have no two classes of at least ten images.
    Source: Ravuri and Vinyals 2019, section 3 (trained on generated images); Shmelkov, Schmid and Alahari
    2018, section 3 (both directions); Lampis, Lomurno and Matteucci 2023 (new images in each epoch).
    """
    real, test, split = real_split(images)
    fakes = make(real.labels, seed)
    if len(np.unique(fakes.labels)) < 2:
        raise UsageError("--use: a classifier tells classes apart, and these images are of one")
    # Of unequal counts, the comparison would not be of the images.
    chosen = np.sort(np.random.default_rng(seed).permutation(len(real.labels))[: len(fakes.labels)])
    whole, real, n = real, Labelled(real.pixels[chosen], real.labels[chosen]), len(chosen)
    settings = hyperparameters(images, n, _QUICK_IMAGES if quick else _IMAGES, seed)
    count, machine = len(images.classes), replace(machine, precision="float32")
    classifier = Classifier(fakes, count, settings, machine)
    renewed = (lambda epoch: make(real.labels, _seed(seed, epoch)) if epoch else fakes) if fresh else None
    train_classifier(classifier, "generated", report, renewed=renewed)
    baseline = Classifier(real, count, settings, machine)
    train_classifier(baseline, "real", report, _baseline_file(images, split, n, settings, machine))
    from_these, from_real = (each.predict(test.pixels).numpy() for each in (classifier, baseline))
    on_these = baseline.predict(fakes.pixels).numpy()
    right = float((from_these == test.labels).mean())
    protocol = {"n_training": n, "n_test": len(test.labels), "test": split, "data": images.digest[:12]}
    protocol |= {"quick": quick, "fresh": fresh, "device": machine.device.type, **asdict(settings)}
    return Usefulness(
        classes=images.classes,
        from_these=right,
        from_real=float((from_real == test.labels).mean()),
        on_these=float((on_these == fakes.labels).mean()),
        each_from_these=_each(from_these, test.labels, count),
        each_from_real=_each(from_real, test.labels, count),
        each_on_these=_each(on_these, fakes.labels, count),
        interval=around_share(right, len(test.labels)),
        protocol=protocol,
        mix=measure_mix(make, whole, test, count, settings, machine, report) if mix else (),
    )


def measure_mix(
    make: Make,
    real: Labelled,
    test: Labelled,
    count: int,
    settings: Hyperparameters,
    machine: Machine,
    report: Callable[[str], object],
) -> tuple[Mix, ...]:
    """Measure what adding generated images to 100, 1,000 and 10,000 real ones is worth.

    Of each seed, all classifiers take as many steps; few images are repeated.

    Args:
        settings: of the classifiers, which are trained for a share of these epochs, one a seed.
    """
    settings = replace(settings, epochs=max(1, round(settings.epochs / _MIX_SEEDS)))
    sizes = sorted({min(size, len(real.labels)) for size in _MIXED})
    rights: dict[tuple[int, float], list[float]] = {}
    for number in range(_MIX_SEEDS):
        seed = settings.seed + number
        fakes = make(real.labels, seed)
        rng, n = np.random.default_rng(seed), len(fakes.labels)
        order, order_of_fakes = rng.permutation(len(real.labels)), rng.permutation(n)

        def training_set(epoch: int, size: int, share: float) -> Labelled:
            made = _in_turns(fakes, order_of_fakes, epoch, round(n * share))  # noqa: B023 - used before the next
            photographed = _in_turns(real, order[:size], epoch, n - round(n * share))  # noqa: B023
            pixels = np.concatenate([photographed.pixels, made.pixels])
            return Labelled(pixels, np.concatenate([photographed.labels, made.labels]))

        for size, share in [(0, 1.0), *((size, share) for size in sizes for share in (0.0, 0.5))]:
            what = f"{size:,} real{' and generated' * (share > 0)}" if size else "generated"
            what += f" (seed {number + 1} of {_MIX_SEEDS})"
            renewed = partial(training_set, size=size, share=share)
            classifier = Classifier(renewed(0), count, replace(settings, seed=seed), machine)
            train_classifier(classifier, what, report, renewed=renewed)
            rights.setdefault((size, share), []).append(classifier.accuracy(test))
    return tuple(_mix(size, rights[size, 0.0], rights[size, 0.5], rights[0, 1.0]) for size in sizes)


def _mix(n_real: int, alone: list[float], mixed: list[float], fakes: list[float]) -> Mix:
    gains = np.subtract(mixed, alone)
    gain, half = float(gains.mean()), _STUDENT * float(gains.std(ddof=1)) / len(gains) ** 0.5
    only, both, made = (float(np.mean(values)) for values in (alone, mixed, fakes))
    return Mix(n_real, only, both, made, gain, (gain - half, gain + half))


def _in_turns(images: Labelled, places: npt.NDArray[np.int64], epoch: int, count: int) -> Labelled:
    """Take the next so many of these places in each epoch, and begin anew after the last."""
    taken = places.take(np.arange(epoch * count, (epoch + 1) * count), mode="wrap")
    return Labelled(images.pixels[taken], images.labels[taken])


def _seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)


def hyperparameters(images: Images, n: int, shown: int, seed: int) -> Hyperparameters:
    """Give those of a classifier that is shown so many images of n different ones."""
    epochs = max(1, round(shown / n))
    return Hyperparameters(epochs, default_batch(n), mirror=may_be_mirrored(images), width=_WIDTH, seed=seed)


def _baseline_file(images: Images, split: str, n: int, settings: Hyperparameters, machine: Machine) -> Path:
    """Give the place of a classifier of real images: every run that is compared on them has the same one."""
    which = json.dumps([images.digest, split, n, asdict(settings), machine.device.type])
    return cache_folder() / "baselines" / f"{hashlib.sha256(which.encode()).hexdigest()[:32]}.safetensors"


def real_split(images: Images) -> tuple[Labelled, Labelled, str]:
    """Give the real images to train on, those to test on, and how these were chosen.

    The official test images, where they are there and known to be pixel-exact; else the tenth that no judge
    is trained on, which a generator of the whole data set has seen.
    """
    named = NAMED.get(images.source)
    if named is not None and images.labels is not None and "test" in named.digests:
        try:
            official = open_images(images.source, size=None, split="test")
        except GanderError:  # no network: the other way is always there
            official = None
        if official is not None and official.digest == named.digests["test"]:
            assert official.labels is not None
            test = Labelled(np.array(official.pixels), official.labels)
            if test.pixels.shape[1:] == images.pixels.shape[1:]:
                return Labelled(np.array(images.pixels), images.labels), test, "official test images"
    return *split_data(images), "held-out training images, which the generator may have learned from"


def train_classifier(
    classifier: Classifier,
    kind: str,
    report: Callable[[str], object] = lambda line: None,
    kept: Path | None = None,
    renewed: Callable[[int], Labelled] | None = None,
) -> None:
    """Train to the end; what is kept is not trained again.

    Args:
        renewed: gives the training set of each epoch.
    """
    if kept is not None and classifier.restore(kept) and classifier.finished:
        report(f"learned from {kind} images before")
    began = time.monotonic()
    while not classifier.finished:
        if renewed is not None:
            classifier.learn_from(renewed(classifier.epoch))
        loss = classifier.train_epoch()
        done = f"{classifier.epoch} of {classifier.settings.epochs}, loss {loss:.3f}"
        report(f"learning from {kind} images: {done}, {time.monotonic() - began:.0f} s")
        if kept is not None:
            with storage_errors():
                classifier.save(kept)


def _each(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], count: int) -> Shares:
    """Give the share of rightly named images of each class."""
    of_class = np.bincount(labels, minlength=count)
    right = np.bincount(labels[predicted == labels], minlength=count)
    return np.where(of_class > 0, right / np.maximum(of_class, 1), np.nan)
