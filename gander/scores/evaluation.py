"""All scores of a set of images, beside what real images would get."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gander.data.images import Images, hashes_of
from gander.data.store import cache_folder
from gander.errors import DataError
from gander.files import write_whole
from gander.scores.classes import classifier_score, confusion, label_fidelity, within_class_diversity
from gander.scores.extractor import Extractor, Opinion
from gander.scores.frechet import Estimate, Moments, frechet_at_infinity, frechet_with_error
from gander.scores.judge import learned_and_held_out
from gander.scores.kernel import kernel_distance
from gander.scores.modes import MODES, covered_modes, has_known_modes
from gander.scores.neighbours import Memorisation, memorised_share, precision_recall_density_coverage
from gander.scores.score import NORMAL, Protocol, Score, around, around_share

LEAST = 100
"""Images, below which scores say nothing."""

_STANDARD_ERRORS = {"frechet": 2.262, "infinity": 2.228, "classifier": 2.262}
"""To either end of a 95 % interval: Student's t for 9, 10 and 9 degrees of freedom. The others have many."""

_NEIGHBOURS = 5
_SPLITS = 10
_OF_REALS = ("recall", "coverage")  # are shares of the real images
_CHANCE = 0.001  # below which a share of near copies is no chance
_FOR_INFINITY = 10  # images a feature

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Subject:
    """The images to be scored: uint8 (N, C, S, S), with the labels (N,) that were asked for, if any were."""

    name: str
    pixels: npt.NDArray[np.uint8]
    labels: Tensor | None
    weights: str


@dataclass(frozen=True)
class Memory:
    """What copies are looked for among: the images that nobody held out, and those that were."""

    learned: Indices  # places in the data
    features: Tensor  # of the learned
    held_out: Tensor  # features


class Reals:
    """Real images to compare n others with, looked at once.

    Args:
        n: how many images there will be to score.
        seed: which of the real ones are taken.
        whole: look at all images, for the test of copies.
    Raises: DataError where there are too few images.
    """

    def __init__(self, images: Images, extractor: Extractor, n: int, seed: int = 0, whole: bool = True):
        if n < LEAST:
            raise DataError(f"n = {n}: scores need at least {LEAST} images", hint="-n 2000")
        self.images, self.extractor, self.n, self.seed, self.whole = images, extractor, n, seed, whole
        learned, aside = learned_and_held_out(images)
        compared, against = split_reals(learned, aside, n, seed)
        every = np.arange(len(images))
        chosen = every if whole else np.concatenate([compared, against])
        features = real_features(images, extractor, chosen)
        place = np.empty(len(images), np.int64)
        place[chosen] = np.arange(len(chosen))
        self.features = features[place[compared]]
        self.moments = Moments.of(self.features)
        self.floor: dict[str, Estimate] | None = None
        self.floor_labels: Tensor | None = None
        self.floor_opinion: Opinion | None = None
        if len(against):
            self.floor_opinion = extractor.opinion(features[place[against]])
            self.floor = self.values(self.floor_opinion, lambda: images.pixels[np.sort(against)])
            if images.labels is not None:
                self.floor_labels = torch.from_numpy(images.labels[against])
        self.memory: Memory | None = None
        if whole and len(aside):
            self.memory = Memory(learned, features[learned], features[aside])
        in_floor = f"the floor has {np.isin(against, aside).sum():,} held-out images of {n:,}"
        self.split = f"train; {in_floor if len(against) else 'no floor: too few real images'}"

    def values(self, opinion: Opinion, pixels: Callable[[], npt.NDArray[np.uint8]]) -> dict[str, Estimate]:
        """Score others against these; `pixels` gives their images where a score needs them.

        Shares have no standard error here: their interval is not the normal one. Others are shuffled first:
        images come class by class, and some scores take parts of them.
        """
        order = torch.randperm(len(opinion.features), generator=torch.Generator().manual_seed(self.seed))
        real, other, probabilities = self.features, opinion.features[order], opinion.probabilities[order]
        near = precision_recall_density_coverage(real, other, _NEIGHBOURS)
        sure = classifier_score(probabilities, _SPLITS)
        values = {
            "frechet": frechet_with_error(self.moments, other),
            "kernel": kernel_distance(real, other),
            "precision": Estimate(near.precision, math.nan),
            "recall": Estimate(near.recall, math.nan),
            "density": Estimate(near.density, near.density_error),
            "coverage": Estimate(near.coverage, math.nan),
            "classifier": Estimate(sure.mean, sure.spread / (_SPLITS - 1) ** 0.5),
        }
        if len(other) >= _FOR_INFINITY * real.shape[1]:
            values["infinity"] = frechet_at_infinity(self.moments, other, self.seed)
        if has_known_modes(self.images):
            values["modes"] = Estimate(covered_modes(pixels()), math.nan)
        return values


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Args:
        confusion: (K, K) counts; a row is what was asked for, a column what the judge saw.
        caveats: what keeps the numbers from meaning what they seem to.
    """

    scores: tuple[Score, ...]
    opinion: Opinion
    confusion: Tensor | None
    memorisation: Memorisation | None
    caveats: tuple[str, ...]


def evaluate(subject: Subject, reals: Reals) -> Evaluation:
    """Score images against as many real ones, and real ones that are in neither set in the same way.

    Raises: DataError where they are not as many as `reals` is for, or not of its shape.
    """
    n, extractor, labels = len(subject.pixels), reals.extractor, subject.labels
    if n != reals.n:
        raise DataError(f"{subject.name}: {n} images, where {reals.n} were to be scored")
    protocol = Protocol(
        features=extractor.told,
        data=reals.images.digest[:12],
        n_real=len(reals.features),
        n_fake=n,
        split=reals.split,
        resize=extractor.resize,
        weights=subject.weights,
        seed=reals.seed,
    )
    made = extractor.look(subject.pixels)
    scores = _distances(made, subject, reals, protocol)
    found = None
    if labels is not None and extractor.accuracy is not None:
        scores.append(_fidelity(made, labels, extractor.accuracy, protocol))
        found = confusion(labels, made.probabilities.argmax(1), len(reals.images.classes))
    if labels is not None and _has_pair(labels):
        scores.append(_diversity(made, labels, reals, protocol))
    memory = None
    if reals.memory is not None:
        memory = memorised_share(made.features, reals.memory.features, reals.memory.held_out)
        scores.append(_memorised(memory, n, protocol))
    return Evaluation(tuple(scores), made, found, memory, _caveats(subject, reals))


def split_reals(learned: Indices, aside: Indices, n: int, seed: int) -> tuple[Indices, Indices]:
    """Choose n real images to compare with, and n others, those held out from the judge first, for the floor.

    Where they do not suffice for both, there is no floor; where n is more than all, all are compared.
    """
    rng = np.random.default_rng(seed)
    first = rng.permutation(aside)[:n]
    others = rng.permutation(learned)
    if n > min((len(learned) + len(aside)) // 2, len(others)):
        return np.concatenate([others, rng.permutation(aside)])[:n], first[:0]
    return others[:n], np.concatenate([first, others[n : 2 * n - len(first)]])


def real_features(images: Images, extractor: Extractor, places: Indices) -> Tensor:
    """Give the features (n, D) of some real images; they are kept in the cache, where that can be written."""
    which = hashlib.sha256(f"{images.fingerprint} {extractor.digest}".encode() + places.tobytes())
    path = cache_folder() / "features" / f"{which.hexdigest()[:32]}.npy"
    with suppress(OSError, ValueError, EOFError):  # not there, or half a file: it is written anew
        return torch.from_numpy(np.load(path))
    features = extractor.look(images.pixels[places]).features
    whole = io.BytesIO()
    np.save(whole, features.numpy())
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, whole.getvalue())
    return features


def _distances(made: Opinion, subject: Subject, reals: Reals, protocol: Protocol) -> list[Score]:
    ours, names = reals.values(made, lambda: subject.pixels), reals.extractor.names
    floors = reals.floor or {}
    floor = {key: estimate.value for key, estimate in floors.items()}
    value = {key: estimate.value for key, estimate in ours.items()}
    known = {
        "frechet": (names.frechet, "lower", _beside(ours["frechet"], floors.get("frechet"), "frechet")),
        "infinity": (f"{names.frechet}-infinity", "lower", "what endlessly many of these images would get"),
        "kernel": (names.kernel, "lower", _beside(ours["kernel"], floors.get("kernel"), "kernel")),
        "precision": (f"precision{names.suffix}", "higher", "of the images are among real ones"),
        "recall": (f"recall{names.suffix}", "higher", "of real images are among these"),
        "density": (f"density{names.suffix}", "higher", "of the real neighbours that an image should have"),
        "coverage": (f"coverage{names.suffix}", "higher", "of real images have one of these near them"),
        "classifier": (
            names.classifier,
            "higher",
            f"sure and varied as {value['classifier']:.1f} classes are",
        ),
        "modes": ("modes", "higher", f"of {MODES:,} kinds (class, colour, size, place) are drawn well"),
    }
    scores = []
    for key, (name, better, verdict) in known.items():
        if key in ours:
            if key in ("precision", "recall", "density", "coverage"):
                verdict = f"{value[key]:.0%} {verdict}"
            n = len(reals.features) if key in _OF_REALS else len(made.features)
            low, high = _ends(key, ours[key], n)
            scores.append(Score(name, value[key], floor.get(key), low, high, better, verdict, protocol))
    return scores


def _ends(key: str, estimate: Estimate, n: int) -> tuple[float | None, float | None]:
    if key == "modes":
        return None, None
    if math.isnan(estimate.standard_error):
        return around_share(estimate.value, n)
    low, high = around(*estimate, _STANDARD_ERRORS.get(key, NORMAL))
    return max(low, 0.0) if key == "frechet" else low, high


def _beside(ours: Estimate, floor: Estimate | None, key: str) -> str:
    """Say whether a distance is more than chance makes of the floor, and how many times it."""
    if floor is None:
        return "no floor to compare it with"
    chance = _STANDARD_ERRORS.get(key, NORMAL) * math.hypot(ours.standard_error, floor.standard_error)
    if ours.value - floor.value <= chance:
        return "not told from real images"
    told = "told from real images"
    if floor.value <= 2 * floor.standard_error:  # nothing to be a multiple of
        return told
    times = ours.value / floor.value
    return f"{told}: {times:,.{0 if times >= 10 else 1}f} times the floor"


def _fidelity(made: Opinion, labels: Tensor, accuracy: float, protocol: Protocol) -> Score:
    value = label_fidelity(labels, made.probabilities.argmax(1))
    low, high = around_share(value, len(labels))
    verdict = f"{value:.0%} are seen as the class asked for; of held-out real images {accuracy:.0%}"
    return Score("label-fidelity", value, accuracy, low, high, "higher", verdict, protocol)


def _diversity(made: Opinion, labels: Tensor, reals: Reals, protocol: Protocol) -> Score:
    """Score how far apart the images of a class are; the least varied class is named."""
    ours = within_class_diversity(made.features, labels)
    value, floor, told = sum(ours.values()) / len(ours), None, ""
    if reals.floor_opinion is not None and reals.floor_labels is not None and _has_pair(reals.floor_labels):
        theirs = within_class_diversity(reals.floor_opinion.features, reals.floor_labels)
        shares = {label: ours[label] / max(theirs[label], 1e-9) for label in ours if label in theirs}
        if shares:
            value = sum(ours[label] for label in shares) / len(shares)
            floor = sum(theirs[label] for label in shares) / len(shares)
            least = min(shares, key=shares.__getitem__)
            told = f"least in {reals.images.classes[least]}: {shares[least]:.0%} of what real images have"
    return Score("class-diversity", value, floor, None, None, "near", told, protocol)


def _has_pair(labels: Tensor) -> bool:
    """Tell whether a class has two images."""
    return len({*labels.tolist()}) < len(labels)


def _memorised(memory: Memorisation, n: int, protocol: Protocol) -> Score:
    copies = memory.p_value < _CHANCE
    verdict = (
        "nearer to training images than held-out ones: look at the pairs" if copies else "no sign of copies"
    )
    low, high = around_share(memory.share, n)
    return Score("memorised", memory.share, memory.expected, low, high, "near", verdict, protocol)


def _caveats(subject: Subject, reals: Reals) -> tuple[str, ...]:
    n, width = len(subject.pixels), reals.features.shape[1]
    said = []
    seen = {*hashes_of(subject.pixels)}
    repeated = n - len(seen)
    if repeated:
        said.append("all images are equal" if repeated == n - 1 else f"{repeated:,} images repeat others")
    same = len(seen & {*reals.images.hashes}) if reals.whole else 0
    if same:
        said.append(f"{same:,} images are, to the pixel, among the real images")
    if n < _FOR_INFINITY * width:
        said.append(
            f"{n:,} images are few for {width} features: much of {reals.extractor.names.frechet} is bias, "
            f"and it is not extrapolated; -n {_FOR_INFINITY * width} does"
        )
    if reals.whole and reals.memory is None:
        said.append("no test of copies: no image of these classes is held out")
    if len(reals.features) < n:
        said.append(f"{len(reals.features):,} real images are all there are for {n:,} others")
    if reals.floor is None:
        said.append(f"no floor: it takes {2 * n:,} real images, and there are {len(reals.images):,}")
    labels = subject.labels
    missing = set() if labels is None else {*range(len(reals.images.classes))} - {*labels.tolist()}
    if missing:
        said.append(
            f"no image was asked for of {', '.join(reals.images.classes[k] for k in sorted(missing))}"
        )
    return tuple(said)
