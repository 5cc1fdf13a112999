"""Use: how well a classifier that learned from generated images names real ones, and the other way round."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
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

Shares = npt.NDArray[np.float64]


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

    @property
    def sentence(self) -> str:
        """Say it in a sentence."""
        low, high = self.interval
        return (
            f"a classifier that learned from {self.protocol['n_lesson']:,} of these images names "
            f"{self.from_these:.1%} ({low:.1%} to {high:.1%}) of {self.protocol['n_test']:,} real ones; "
            f"one that learned from as many real images {self.from_real:.1%}, and it names "
            f"{self.on_these:.1%} of these"
        )

    def row(self) -> dict[str, Any]:
        """Give it as it is written to a file."""
        columns = (self.each_from_these, self.each_from_real, self.each_on_these)
        names = ("from_these", "from_real", "on_these")
        classes = [
            {"name": name}
            | {
                key: None if np.isnan(shares[label]) else float(shares[label])
                for key, shares in zip(names, columns, strict=True)
            }
            for label, name in enumerate(self.classes)
        ]
        return {
            "told": self.sentence,
            **{name: getattr(self, name) for name in names},
            "interval": self.interval,
            "classes": classes,
            "protocol": self.protocol,
        }


@exact()
def measure_use(
    make: Callable[[npt.NDArray[np.int64], int], Labelled],
    images: Images,
    machine: Machine,
    quick: bool,
    seed: int,
    report: Callable[[str], object],
) -> Usefulness:
    """Train a small classifier from scratch on generated images, and a baseline on as many real ones.

    The two differ in their images alone: same net, epochs, augmentation and seeds.

    Args:
        make: gives images for the classes (N,) of the real ones, from a seed.
        images: the real ones.
        machine: where; in float32, as all scores.
        quick: a fifth of the training.
        report: hears a line an epoch.
    Raises: DataError where the data have no two classes of at least ten images.
    Source: Ravuri and Vinyals 2019, section 3 (trained on generated images); Shmelkov, Schmid and Alahari
    2018, section 3 (both directions).
    """
    real, test, split = real_split(images)
    fakes = make(real.labels, seed)
    if len(np.unique(fakes.labels)) < 2:
        raise UsageError("--use: a classifier tells classes apart, and these images are of one")
    # Of unequal counts, the comparison would not be of the images.
    chosen = np.sort(np.random.default_rng(seed).permutation(len(real.labels))[: len(fakes.labels)])
    real, n = Labelled(real.pixels[chosen], real.labels[chosen]), len(chosen)
    epochs = max(1, round((_QUICK_IMAGES if quick else _IMAGES) / n))
    mirror = may_be_mirrored(images)
    settings = Hyperparameters(epochs, default_batch(n), mirror=mirror, width=_WIDTH, seed=seed)
    count, machine = len(images.classes), replace(machine, precision="float32")
    classifier = Classifier(fakes, count, settings, machine)
    _train(classifier, "generated", report)
    baseline = Classifier(real, count, settings, machine)
    _train(baseline, "real", report, _baseline_file(images, split, n, settings, machine))
    from_these, from_real = (each.predict(test.pixels).numpy() for each in (classifier, baseline))
    on_these = baseline.predict(fakes.pixels).numpy()
    right = float((from_these == test.labels).mean())
    return Usefulness(
        classes=images.classes,
        from_these=right,
        from_real=float((from_real == test.labels).mean()),
        on_these=float((on_these == fakes.labels).mean()),
        each_from_these=_each(from_these, test.labels, count),
        each_from_real=_each(from_real, test.labels, count),
        each_on_these=_each(on_these, fakes.labels, count),
        interval=around_share(right, len(test.labels)),
        protocol={
            "n_lesson": n,
            "n_test": len(test.labels),
            "test": split,
            "data": images.digest[:12],
            "quick": quick,
            "device": machine.device.type,
            **asdict(settings),
        },
    )


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


def _train(
    classifier: Classifier, kind: str, report: Callable[[str], object], kept: Path | None = None
) -> None:
    """Train to the end; what is kept is not trained again."""
    if kept is not None and classifier.restore(kept) and classifier.finished:
        report(f"learned from {kind} images before")
    began = time.monotonic()
    while not classifier.finished:
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
