"""Which way of drawing images teaches most: coordinate by coordinate, and only what is more than noise."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from gander.data.images import Images
from gander.data.store import cache_folder, storage_errors
from gander.files import write_whole
from gander.scores.classifier import Labelled, split_data
from gander.scores.score import around_share

SPREADS = (0.85, 1.15, 1.3, 1.5, 1.7)
KEEPS = (0.9, 0.75, 0.5)
SEEDS = 4
"""The first screens, the others confirm: each has latents, classifiers and held-out images of its own."""

_MOST_HELD_OUT = 10_000  # images, of each seed
_STUDENT = 2.92  # beyond it lie 5 % of Student's t with two degrees of freedom


@dataclass(frozen=True)
class Setting:
    """How images are drawn.

    Args:
        weights: of each run's generator, by name.
        shares: of each run, relative to each other.
        spread: of the latents, relative to the training's.
        keep: of each class, the share that the judge most surely takes for it.
    """

    weights: tuple[str, ...]
    shares: tuple[float, ...]
    spread: float = 1.0
    keep: float = 1.0

    def __str__(self) -> str:
        parts = [name for name, share in zip(self.weights, self.shares, strict=True) if share]
        return f"{' + '.join(parts)}, spread {self.spread:g}, keep {self.keep:g}"


Coordinate = tuple[str, Callable[[Setting], list[Setting]]]
"""What is varied, and the alternatives to a setting."""


@dataclass
class Search:
    """Compares settings by what a classifier learns from each.

    Args:
        accuracy: of a classifier that learned from images drawn so, on the held-out images of the seed.
        protocol: what else decides an accuracy; trials of equal protocol are not made again.
        n_test: held-out images of each seed.
        report: hears a line a trial and a step.
    """

    accuracy: Callable[[Setting, int], float]
    protocol: Mapping[str, Any]
    n_test: int
    report: Callable[[str], object] = lambda line: None
    trials: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    _known: dict[tuple[Setting, int], float] = field(default_factory=dict)

    def run(self, plain: Setting, coordinates: Sequence[Coordinate]) -> Setting:
        """Begin with the plain setting, and take what is better beyond noise, coordinate by coordinate."""
        best = plain
        for name, alternatives in coordinates:
            if others := alternatives(best):
                best = self._step(name, best, others)
        return best

    def _step(self, name: str, best: Setting, others: list[Setting]) -> Setting:
        """Screen with one seed; confirm the first of them with the others, pair by pair.

        The seed that chose a setting flatters it, so that it does not count. What is taken is better at a
        level of 5 %, by a t-test of three pairs, which differ in all that may be noise.
        """
        before, plain = len(self.trials), self.trial(best, 0)
        first = max(others, key=lambda setting: self.trial(setting, 0))
        step: dict[str, Any] = {"step": name, "tried": asdict(first), "taken": False}
        said = f"nothing that was tried is ahead of {best}"
        if self.trial(first, 0) > plain:
            pairs = [(self.trial(first, seed), self.trial(best, seed)) for seed in range(1, SEEDS)]
            gains = [ours - theirs for ours, theirs in pairs]
            right, gain, n = fmean(ours for ours, _ in pairs), fmean(gains), self.n_test * len(pairs)
            low = gain - _STUDENT * stdev(gains) / len(gains) ** 0.5
            step |= {"taken": low > 0, "gain": gain, "at_least": low, "accuracy": right, "n": n}
            step["interval"] = around_share(right, n)
            said = f"{first}: {_share(right, n)}; {gain * 100:+.1f} points, at least {low * 100:+.1f}: "
            said += "taken" if low > 0 else "no more than noise, not taken"
        step["seconds"] = round(sum(trial["seconds"] for trial in self.trials[before:]), 1)
        step["sentence"] = f"{said}; {step['seconds']:.0f} s"
        self.steps.append(step)
        self.report(f"{name:<8}{step['sentence']}")
        return first if step["taken"] else best

    def trial(self, setting: Setting, seed: int) -> float:
        """Return an accuracy; from the cache where the same trial was made before."""
        if (setting, seed) not in self._known:
            which = json.dumps([asdict(setting), seed, self.protocol], sort_keys=True).encode()
            kept = cache_folder() / "trials" / f"{hashlib.sha256(which).hexdigest()[:32]}.json"
            made = _read(kept)
            if made is None:
                began = time.monotonic()
                made = {"accuracy": self.accuracy(setting, seed), "seconds": time.monotonic() - began}
                with storage_errors():
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    write_whole(kept, json.dumps(made).encode())
            right, n = made["accuracy"], self.n_test
            row = {"setting": str(setting), **asdict(setting), "seed": seed, **made}
            self.trials.append(row | {"n": n, "interval": around_share(right, n)})
            self.report(f"trial   {setting}; seed {seed}: {_share(right, n)}, {made['seconds']:.0f} s")
            self._known[setting, seed] = right
        return self._known[setting, seed]


def _share(right: float, n: int) -> str:
    low, high = around_share(right, n)
    return f"{right:.1%} ({low:.1%} to {high:.1%}), n = {n:,}"


def _read(path: Path) -> dict[str, float] | None:
    try:
        made = json.loads(path.read_bytes())
        return {name: float(made[name]) for name in ("accuracy", "seconds")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def most_trials(alternatives: Sequence[int]) -> int:
    """Return how many trials there can be, from how many alternatives each coordinate has."""
    steps = [count for count in alternatives if count]
    return 1 + sum(steps) + (SEEDS - 1) * (len(steps) + 1 if steps else 0)


def held_out_for(images: Images, seed: int) -> Labelled:
    """Return the real images on which trials of a seed are tested; no other seed has one of them.

    They are of the training images, and none is of the tenth that `evaluate --use` may test on.

    Raises: DataError where the data have no two classes of at least ten images.
    """
    real, _ = split_data(images)
    order = np.random.default_rng(0).permutation(len(real.labels))
    own = np.sort(order[seed::SEEDS][:_MOST_HELD_OUT])
    return Labelled(real.pixels[own], real.labels[own])
