"""All scores of a set of images, beside what real images would get."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from gander import __version__
from gander.data.images import Images, hashes_of
from gander.data.store import cache_folder
from gander.engine.exact import exact
from gander.errors import DataError
from gander.files import write_whole
from gander.scores.classes import confusion, within_class_diversity
from gander.scores.extractor import Extractor, Outputs
from gander.scores.frechet import IMAGES_A_FEATURE, Moments
from gander.scores.judge import training_and_held_out, weakness
from gander.scores.neighbours import (
    Memorisation,
    Neighbourhood,
    memorised_share,
    precision_recall_density_coverage,
)
from gander.scores.score import VERSION, Estimate, Protocol, Score, around_share, ratio
from gander.scores.spectrum import checkerboard_energy
from gander.scores.table import METRICS, Frechet, Metric
from gander.scores.use import Usefulness

LEAST = 100
"""Images, below which scores say nothing."""

_PRECISE, _NARROW = 0.75, 1 / 3
"""Images that have such a share of the precision of real ones, and not this one of recall or coverage."""

Indices = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Samples:
    """Images to be scored: uint8 (N, C, S, S), with the labels (N,) that were asked for, if any were.

    Args:
        weights: of the generator, averaged or latest; "as they are" where there is none.
    """

    name: str
    pixels: Pixels
    labels: Tensor | None
    weights: str


@dataclass(frozen=True)
class Memory:
    """What copies are looked for among: the images that nobody held out, and those that were."""

    training: Indices  # places in the data
    features: Tensor  # of these
    held_out: Tensor  # features


class Reference:
    """Real images that n others are compared with, and their features.

    Args:
        n: how many images there will be to score.
        seed: which of the real ones are taken.
        whole: look at all images, for the test of copies.
    Raises: DataError where there are too few images.
    """

    @exact()
    def __init__(self, images: Images, extractor: Extractor, n: int, seed: int = 0, whole: bool = True):
        if n < LEAST:
            raise DataError(f"n = {n}: scores need at least {LEAST} images", hint="-n 2000")
        self.images, self.extractor, self.n, self.seed, self.whole = images, extractor, n, seed, whole
        training, aside = training_and_held_out(images)
        compared, against = map(np.sort, split_reals(training, aside, n, seed))
        chosen = np.arange(len(images)) if whole else np.concatenate([compared, against])
        seen = real_outputs(images, extractor, chosen)
        place = np.empty(len(images), np.int64)
        place[chosen] = np.arange(len(chosen))
        self.features, self.compared = seen.features[place[compared]], compared
        self.diversity = _diversity(self.features, _labels(images, compared))
        self.moments = Moments.of(self.features)
        self.floor: Comparison | None = None
        if len(against):
            outputs = Outputs(*(values[place[against]] for values in seen))
            labels = _labels(images, against)
            self.floor = Comparison(self, outputs, labels, lambda: images.pixels[against])
        self.memory = None
        if whole and len(aside):
            self.memory = Memory(training, seen.features[training], seen.features[aside])
        in_floor = f"the floor has {np.isin(against, aside).sum():,} held-out images of {n:,}"
        self.split = f"train; {in_floor if len(against) else 'no floor: too few real images'}"
        self._floors: dict[str, Estimate | None] = {}

    @cached_property
    def checkerboard(self) -> Estimate:
        """Energy at period 2, as a share of which that of others is given."""
        return checkerboard_energy(self.images.pixels[self.compared])

    def floor_of(self, metric: Metric) -> Estimate | None:
        """Compute a score of real images that are not among these; once, for all that are compared."""
        if metric.name not in self._floors:
            self._floors[metric.name] = None if self.floor is None else metric.estimate(self.floor)
        return self._floors[metric.name]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What scores are made of: real images and others beside them.

    Args:
        outputs: of the others.
        labels: (N,) that they were asked to be of; None where nothing was asked for.
        pixels: gives the others.
    """

    reference: Reference
    outputs: Outputs
    labels: Tensor | None
    pixels: Callable[[], Pixels]

    @property
    def offers(self) -> set[str]:
        """What it has of that which scores need."""
        accuracy, memory = self.reference.extractor.accuracy, self.reference.memory
        needs = {"labels": self.labels, "judge": accuracy, "copies": memory}
        return {need for need, there in needs.items() if there is not None}

    @cached_property
    def _order(self) -> Tensor:
        # Images come class by class, and some scores take parts of them.
        rng = torch.Generator().manual_seed(self.reference.seed)
        return torch.randperm(len(self.outputs.features), generator=rng)

    @cached_property
    def features(self) -> Tensor:
        """The others' features (N, D), shuffled."""
        return self.outputs.features[self._order]

    @cached_property
    def probabilities(self) -> Tensor:
        """The others' class probabilities (N, K), in the order of `features`."""
        return self.outputs.probabilities[self._order]

    @cached_property
    def neighbourhood(self) -> Neighbourhood:
        """Precision, recall, density and coverage, by the fifth neighbour."""
        return precision_recall_density_coverage(self.reference.features, self.features, k=5, within=0.9)

    @property
    def varies_less(self) -> bool:
        """Say whether recall or coverage is below that of real images, beyond chance."""
        real, n = self.reference.floor, len(self.reference.features)
        if real is None:
            return False
        pairs = [*zip(self.neighbourhood, real.neighbourhood, strict=True)]
        return any(around_share(ours, n)[1] < around_share(theirs, n)[0] for ours, theirs in pairs[1:4:2])

    @cached_property
    def diversity(self) -> dict[int, Estimate]:
        """Mean distance of two images of a class, over that of real ones, of each class with two of both."""
        real = self.reference.diversity
        ours = _diversity(self.outputs.features, self.labels)
        shares = {label: ratio(ours[label], real[label]) for label in ours if label in real}
        return {label: share for label, share in shares.items() if share is not None}

    @cached_property
    def memorisation(self) -> Memorisation | None:
        """The tests for copies; their rows are those of `outputs`."""
        memory = self.reference.memory
        if memory is None:
            return None
        return memorised_share(self.outputs.features, memory.features, memory.held_out)


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """What came out: `evaluation["fd-judge"].value`.

    Args:
        confusion: (K, K) counts; a row is what was asked for, a column what the judge saw.
        caveats: what keeps the numbers from meaning what they seem to.
        use: what the images are good for, where that was asked.
        ancestry: known or unknown of what made the images; "" where gander did not make them.
        seconds, machine: what it took, and on what.
    """

    samples: Samples
    reference: Reference
    scores: tuple[Score, ...]
    outputs: Outputs
    confusion: Tensor | None
    memorisation: Memorisation | None
    caveats: tuple[str, ...]
    use: Usefulness | None = None
    ancestry: str = ""
    seconds: float = 0.0
    machine: str = ""

    def __getitem__(self, name: str) -> Score:
        return {score.name: score for score in self.scores}[name]

    def __repr__(self) -> str:
        return "\n".join(map(str, self.scores))

    @property
    def protocol(self) -> Protocol:
        """How all of the scores came to be."""
        return self.scores[0].protocol

    def facts(self, command: str = "") -> dict[str, Any]:
        """Give what `scores.json` holds; `docs/scores.md` describes it."""
        accuracy = self.reference.extractor.accuracy
        return {
            "subject": self.samples.name,
            "data": self.reference.images.source,
            "command": command,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"gander": __version__, "torch": torch.__version__},
            "protocol": asdict(self.protocol) | ({"ancestry": self.ancestry} if self.ancestry else {}),
            "judge": None if accuracy is None else {"accuracy": accuracy},
            "scores": [score.row() for score in self.scores],
            "caveats": self.caveats,
            "classes": self.reference.images.classes,
            "memorisation": self.memorisation and self.memorisation.row(),
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "use": self.use and self.use.row(),
            "seconds": self.seconds,
            "machine": self.machine,
        }


@exact()
def score_samples(samples: Samples, reference: Reference) -> Evaluation:
    """Score images against as many real ones, and real ones that are in neither set in the same way.

    Raises: DataError where they are not as many as the reference is for, or not of its shape.
    """
    n, extractor, labels = len(samples.pixels), reference.extractor, samples.labels
    if n != reference.n:
        raise DataError(f"{samples.name}: {n} images, where {reference.n} were to be scored")
    protocol = Protocol(
        features=extractor.description,
        data=reference.images.digest[:12],
        n_real=len(reference.features),
        n_fake=n,
        split=reference.split,
        resize=extractor.resize,
        weights=samples.weights,
        seed=reference.seed,
        device=torch.device(extractor.device).type,
    )
    compared = Comparison(reference, extractor.extract(samples.pixels), labels, lambda: samples.pixels)
    scores = [score for metric in METRICS if (score := _score(metric, compared, protocol))]
    table = None
    if labels is not None and "judge" in compared.offers:
        table = confusion(labels, compared.outputs.probabilities.argmax(1), len(reference.images.classes))
    caveats = (*_caveats(samples, reference), *_narrowness(compared))
    return Evaluation(
        samples, reference, tuple(scores), compared.outputs, table, compared.memorisation, caveats
    )


def _labels(images: Images, places: Indices) -> Tensor | None:
    return None if images.labels is None else torch.from_numpy(images.labels[places])


def _diversity(features: Tensor, labels: Tensor | None) -> dict[int, Estimate]:
    return {} if labels is None else within_class_diversity(features, labels)


def _score(metric: Metric, compared: Comparison, protocol: Protocol) -> Score | None:
    if not metric.needs <= compared.offers or (estimate := metric.estimate(compared)) is None:
        return None
    floor = metric.floor(compared)
    return Score(
        metric.name_with(compared.reference.extractor.network),
        estimate.value,
        None if floor is None else floor.value,
        *metric.interval(estimate, compared),
        metric.better,
        metric.verdict(estimate, floor, compared),
        protocol,
    )


def split_reals(training: Indices, aside: Indices, n: int, seed: int) -> tuple[Indices, Indices]:
    """Choose n real images to compare with, and n others, those held out from the judge first, for the floor.

    Where they do not suffice for both, there is no floor; where n is more than all, all are compared.
    """
    rng = np.random.default_rng(seed)
    first = rng.permutation(aside)[:n]
    others = rng.permutation(training)
    if n > min((len(training) + len(aside)) // 2, len(others)):
        return np.concatenate([others, rng.permutation(aside)])[:n], first[:0]
    return others[:n], np.concatenate([first, others[n : 2 * n - len(first)]])


def real_outputs(images: Images, extractor: Extractor, places: Indices) -> Outputs:
    """Give what a network makes of some real images; it is kept in the cache, where that can be written."""
    # Devices round differently, and a floor must be of the same arithmetic as what it is compared with.
    network = f"{extractor.digest} {torch.device(extractor.device).type} {VERSION}"
    which = hashlib.sha256(f"{images.fingerprint} {network}".encode() + places.tobytes())
    path = cache_folder() / "features" / f"{which.hexdigest()[:32]}.safetensors"
    with suppress(OSError, SafetensorError):  # not there, or half a file: it is written anew
        return Outputs(**safetensors.torch.load_file(path))
    outputs = extractor.extract(images.pixels[places])
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, safetensors.torch.save(outputs._asdict()))
    return outputs


def _narrowness(compared: Comparison) -> Iterator[str]:
    """Say so where images are like real ones and vary far less: a distance may be small all the same."""
    precision, recall, _, coverage, _ = compared.neighbourhood
    floor = compared.reference.floor
    real = Neighbourhood(1.0, 1.0, 1.0, 1.0, 0.0) if floor is None else floor.neighbourhood
    if precision > _PRECISE * real.precision and (
        recall < _NARROW * real.recall or coverage < _NARROW * real.coverage
    ):
        yield (
            f"{precision:.0%} of the images are like real ones, but they vary too little "
            f"(recall {recall:.2g}, coverage {coverage:.2g}): no distance alone says how good they are"
        )


def _caveats(samples: Samples, reference: Reference) -> tuple[str, ...]:
    n, width, images = len(samples.pixels), reference.features.shape[1], reference.images
    caveats = []
    hashes = {*hashes_of(samples.pixels)}
    repeated = n - len(hashes)
    if repeated:
        caveats.append("all images are equal" if repeated == n - 1 else f"{repeated:,} images repeat others")
    same = len(hashes & {*images.hashes}) if reference.whole else 0
    if same:
        caveats.append(f"{same:,} images are, to the pixel, among the real images")
    if n < IMAGES_A_FEATURE * width:
        distance = Frechet().name_with(reference.extractor.network)
        caveats.append(
            f"{n:,} images are few for {width} features: much of {distance} is bias, "
            f"and it is not extrapolated; -n {IMAGES_A_FEATURE * width} does"
        )
    if reference.whole and reference.memory is None:
        caveats.append("no test of copies: no image of these classes is held out")
    if weak := weakness(reference.extractor.accuracy, len(images.classes)):
        caveats.append(weak)
    if len(reference.features) < n:
        caveats.append(f"{len(reference.features):,} real images are all there are for {n:,} others")
    if reference.floor is None:
        caveats.append(f"no floor: it takes {2 * n:,} real images, and there are {len(images):,}")
    labels = {*range(len(images.classes))} if samples.labels is None else {*samples.labels.tolist()}
    missing = [name for label, name in enumerate(images.classes) if label not in labels]
    if missing:
        caveats.append(f"no image was asked for of {', '.join(missing)}")
    return tuple(caveats)
