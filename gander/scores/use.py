"""Use: how well a classifier that learned from generated images names real ones, and the other way round."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gander.data.images import Images, open_images
from gander.data.names import NAMED
from gander.data.store import cache_folder, storage_errors
from gander.engine.machine import Machine
from gander.errors import GanderError, UsageError
from gander.scores.schooling import Labelled, Pupil, Schooling, lessons, may_be_mirrored, usual_batch
from gander.scores.score import around_share

_WIDTH = 32
_LOOKS, _QUICK_LOOKS = 450_000, 90_000  # at images, of each of the two classifiers

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
    def told(self) -> str:
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
            "told": self.told,
            **{name: getattr(self, name) for name in names},
            "interval": self.interval,
            "classes": classes,
            "protocol": self.protocol,
        }


def measure_use(
    make: Callable[[npt.NDArray[np.int64], int], Labelled],
    images: Images,
    machine: Machine,
    quick: bool,
    seed: int,
    tell: Callable[[str], object],
) -> Usefulness:
    """Train a small classifier from scratch on generated images, and its twin on as many real ones.

    The two differ in their images alone: same net, looks, changes and seeds.

    Args:
        make: gives images for the classes (N,) of the real ones, from a seed.
        images: the real ones.
        quick: a fifth of the looks.
        tell: hears a line now and then.
    Raises: DataError where the data have no two classes of at least ten images.
    Source: Ravuri and Vinyals 2019, section 3 (trained on generated images); Shmelkov, Schmid and Alahari
    2018, section 3 (both directions).
    """
    lesson, test, split = real_lesson(images)
    fakes = make(lesson.labels, seed)
    if len(np.unique(fakes.labels)) < 2:
        raise UsageError("--use: a classifier tells classes apart, and these images are of one")
    lesson = _as_few(lesson, len(fakes.labels), seed)
    looks = _QUICK_LOOKS if quick else _LOOKS
    schooling = Schooling(
        epochs=max(1, round(looks / len(lesson.labels))),
        batch=usual_batch(len(lesson.labels)),
        rate=0.2,
        mirror=may_be_mirrored(images),
        width=_WIDTH,
        seed=seed,
    )
    count = len(images.classes)
    pupil = Pupil(fakes, count, schooling, machine)
    by_fakes = _taught(pupil, "generated", tell).name(test.pixels).numpy()
    twin = Pupil(lesson, count, schooling, machine)
    by_real = _taught(twin, "real", tell, _twin_file(images, split, lesson, schooling))
    named, on_these = by_real.name(test.pixels).numpy(), by_real.name(fakes.pixels).numpy()
    right = float((by_fakes == test.labels).mean())
    return Usefulness(
        classes=images.classes,
        from_these=right,
        from_real=float((named == test.labels).mean()),
        on_these=float((on_these == fakes.labels).mean()),
        each_from_these=_each(by_fakes, test.labels, count),
        each_from_real=_each(named, test.labels, count),
        each_on_these=_each(on_these, fakes.labels, count),
        interval=around_share(right, len(test.labels)),
        protocol={
            "n_lesson": len(fakes.labels),
            "n_test": len(test.labels),
            "test": split,
            "data": images.digest[:12],
            "quick": quick,
            **asdict(schooling),
        },
    )


def _as_few(lesson: Labelled, count: int, seed: int) -> Labelled:
    """Choose as many images: of unequal counts, the comparison is not of the images."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(lesson.labels))[:count])
    return Labelled(lesson.pixels[chosen], lesson.labels[chosen])


def _twin_file(images: Images, split: str, lesson: Labelled, schooling: Schooling) -> Path:
    """Give the place of a classifier of real images: every run that is compared on them has the same one."""
    which = json.dumps([images.digest, split, len(lesson.labels), asdict(schooling)])
    return cache_folder() / "twins" / f"{hashlib.sha256(which.encode()).hexdigest()[:32]}.safetensors"


def real_lesson(images: Images) -> tuple[Labelled, Labelled, str]:
    """Give the real images to learn from, those to test on, and how these were chosen.

    The official test images, where they are there and known to be pixel-exact; else the tenth that no judge
    learns from, which a generator trained on the whole data set has seen.
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
    return *lessons(images), "held-out training images, which the generator may have learned from"


def _taught(pupil: Pupil, kind: str, tell: Callable[[str], object], kept: Path | None = None) -> Pupil:
    """Teach a classifier; what is kept is not taught again."""
    if kept is not None and pupil.restore(kept) and pupil.finished:
        tell(f"learned from {kind} images before")
    began = time.monotonic()
    while not pupil.finished:
        loss = pupil.learn(lambda count: None)
        done = f"{pupil.epoch} of {pupil.schooling.epochs}, loss {loss:.3f}, {time.monotonic() - began:.0f} s"
        tell(f"learning from {kind} images: {done}")
        if kept is not None:
            with storage_errors():
                pupil.save(kept)
    return pupil


def _each(named: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], count: int) -> Shares:
    """Give the share of rightly named images of each class."""
    whole = np.bincount(labels, minlength=count)
    right = np.bincount(labels[named == labels], minlength=count)
    return np.where(whole > 0, right / np.maximum(whole, 1), np.nan)
