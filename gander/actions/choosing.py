"""How a data set is drawn that is to teach: chosen by what a small classifier learns from trial sets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from gander import __version__
from gander.actions.kept import Kept
from gander.data.images import Images
from gander.engine.machine import Machine
from gander.errors import UsageError
from gander.generation.load import BLOCK
from gander.generation.search import KEEPS, SPREADS, Coordinate, Search, Setting, held_out_for, most_trials
from gander.generation.sieve import Rules, Sieve, sifted
from gander.generation.stream import Stream, cells_of, drawn_from, interleaved, shares
from gander.scores.classifier import Classifier, Labelled
from gander.scores.judge import Judge
from gander.scores.use import hyperparameters, train_classifier

_TRIAL, _QUICK_TRIAL = (30_000, 90_000), (10_000, 30_000)  # images at most, and shown to the classifier
_LEAST = 100  # images of a trial set


@dataclass(frozen=True)
class Trials:
    """Makes trial sets and classifiers that learn from them.

    Args:
        kept: the generators of each run, the one that is meant first.
        weights: the share of each run.
        images: the real ones, with the classes of the runs.
        judge: filters; without one, no filter is tried.
        n: images that are wanted in the end; trial sets are no larger.
    """

    kept: Sequence[Sequence[Kept]]
    weights: Sequence[float]
    images: Images
    judge: Judge | None
    n: int
    machine: Machine
    quick: bool

    @property
    def size(self) -> tuple[int, int]:
        """Images of a trial set, and how many its classifier is shown."""
        most, shown = _QUICK_TRIAL if self.quick else _TRIAL
        return min(max(self.n, _LEAST), most), shown

    def generators(self, setting: Setting) -> list[Kept]:
        """Return the generator of each run."""
        names = zip(self.kept, setting.weights, strict=True)
        return [one for own, name in names for one in own if one.name == name]

    def drawn(self, setting: Setting, seed: int, n: int) -> Labelled:
        """Make n images in the mix of classes that the real ones have."""
        samplers = [drawn_from(one.sampler, None, setting.spread) for one in self.generators(setting)]
        for sampler in samplers:
            sampler.generator.to(self.machine.device)
        cells = cells_of(shares(self.images.counts().tolist(), n), setting.shares)
        if setting.keep < 1 and self.judge is not None:
            stream, _, selection = sifted(Sieve(Rules(setting.keep), self.judge, None), samplers, seed, cells)
            places = selection.places
        else:
            stream, places = Stream.of_cells(samplers, seed, interleaved(cells)), np.arange(n)
        assert stream.labels is not None
        return Labelled(np.concatenate([pixels for _, pixels in stream.at(places)]), stream.labels[places])

    def accuracy(self, setting: Setting, seed: int) -> float:
        """Train a classifier on a trial set, and test it on the seed's held-out images."""
        classifier = self._classifier(setting, seed, self.size[0])
        train_classifier(classifier, "trial")
        return classifier.accuracy(held_out_for(self.images, seed))

    def _classifier(self, setting: Setting, seed: int, n: int) -> Classifier:
        settings = hyperparameters(self.images, *self.size, seed)
        settings = replace(settings, batch=min(settings.batch, n // 2))
        fakes = self.drawn(setting, 1_000 + seed, n)  # no seed that a data set would have by itself
        return Classifier(fakes, len(self.images.classes), settings, self.machine)

    def seconds(self, plain: Setting) -> float:
        """Estimate how long a trial takes, by a block of images and an epoch on it."""
        n, shown = self.size
        began = time.monotonic()
        classifier, made = self._classifier(plain, 0, BLOCK), time.monotonic()
        classifier.train_epoch()
        return ((made - began) * n + (time.monotonic() - made) * shown) / BLOCK


def choose_setting(trials: Trials, report: Callable[[str], object]) -> tuple[Setting, dict[str, Any]]:
    """Choose weights, the latents' spread and the filter; give all that was tried, too.

    Args:
        report: hears how long it takes, and a line a trial and a step.
    Raises: UsageError where the runs make images without the classes of the real ones.
    """
    first, images = trials.kept[0][0], trials.images
    if not first.sampler.conditional or images.labels is None or images.classes != first.sampler.classes:
        raise UsageError(
            f"--for use: a classifier learns from labels, and {first.name} makes images without classes, or "
            f"without those of {images.source}",
            hint="a run of a recipe with labels, such as gander train quickstart",
        )
    kept, coordinates = trials.kept, _coordinates(trials)
    plain = Setting(tuple(own[0].name for own in kept), tuple(float(share) for share in trials.weights))
    n, shown = trials.size
    protocol = {
        "gander": __version__,
        "data": trials.images.digest[:12],
        "generators": [{one.name: one.digest for one in own} for own in kept],
        "judge": None if trials.judge is None else trials.judge.digest[:12],
        "images": n,
        "shown": shown,
        "held_out": "training images, of which each seed has its own; no test image",
        "device": trials.machine.device.type,
    }
    most, each = most_trials([len(others(plain)) for _, others in coordinates]), trials.seconds(plain)
    report(
        f"search  up to {most} trials of about {each:,.0f} s, {most * each / 60:,.1f} min in all; each "
        f"trains a classifier on {n:,} images, shown {shown:,}; what was tried before is not tried again"
    )
    if trials.judge is None:
        report("note    these data have no judge, so that no filter is tried; gander judge DATA trains one")
    search = Search(trials.accuracy, protocol, len(held_out_for(trials.images, 0).labels), report)
    chosen = search.run(plain, coordinates)
    report(f"chosen  {chosen}" + (", the plain setting" if chosen == plain else ""))
    found = {"chosen": asdict(chosen), "plain": asdict(plain), "protocol": protocol}
    return chosen, found | {"steps": search.steps, "trials": search.trials}


def _coordinates(trials: Trials) -> list[Coordinate]:
    """List what is varied: one run alone, the weights of each run, the spread, the filter."""
    runs = range(len(trials.kept))

    def alone(best: Setting) -> list[Setting]:
        only = [tuple(float(place == number) for place in runs) for number in runs]
        return [replace(best, shares=each) for each in only if len(runs) > 1]

    def others(best: Setting, number: int) -> list[Setting]:
        before, after = best.weights[:number], best.weights[number + 1 :]
        names = [one.name for one in trials.kept[number][1:]] if best.shares[number] else []
        return [replace(best, weights=(*before, name, *after)) for name in names]

    return [
        ("runs", alone),
        *(("weights", partial(others, number=number)) for number in runs),
        ("spread", lambda best: [replace(best, spread=spread) for spread in SPREADS]),
        ("keep", lambda best: [replace(best, keep=keep) for keep in KEEPS if trials.judge is not None]),
    ]
