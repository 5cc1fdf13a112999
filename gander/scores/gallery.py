"""Which images a person should look at beside the numbers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gander.scores.evaluation import Evaluation, Indices, Reals, Subject

_SHOWN = 50
_PAIRS = 40
_MOST_CLASSES, _EACH = 20, 10


class Gallery(NamedTuple):
    """Rows of the scored images, and for the pairs of the real ones."""

    best: Indices  # most surely of their class, by the judge
    worst: Indices
    pairs: tuple[Indices, Indices]  # images nearest to training images, and these
    by_class: dict[int, Indices]  # the first ten of each class that has ten
    names: tuple[str, ...]  # of these classes
    labelled: bool  # whether they were asked for


def choose_gallery(found: Evaluation, subject: Subject, reals: Reals) -> Gallery:
    """Choose the best and worst images, the nearest pairs, and some of each class.

    Where labels were asked for, an image is as good as its class is probable; else as its likeliest class is.
    """
    sure, seen = found.opinion.probabilities.max(1)
    labels = seen if subject.labels is None else subject.labels
    if subject.labels is not None and reals.extractor.accuracy is not None:
        sure = found.opinion.probabilities.gather(1, labels[:, None])[:, 0]
    order = sure.argsort(descending=True, stable=True)
    shown = min(_SHOWN, len(order) // 2)
    nothing = torch.zeros(0, dtype=torch.long).numpy()
    pairs = nothing, nothing
    if found.memorisation is not None and reals.memory is not None:
        nearest = reals.memory.learned[found.memorisation.nearest[:_PAIRS].numpy()]
        pairs = found.memorisation.fakes[:_PAIRS].numpy(), nearest
    by_class = _by_class(labels)
    known = subject.labels is not None or reals.extractor.accuracy is not None
    names = tuple(reals.images.classes[label] if known else f"class {label}" for label in by_class)
    best, worst = order[:shown].numpy(), order.flip(0)[:shown].numpy()
    return Gallery(best, worst, pairs, by_class, names, subject.labels is not None)


def _by_class(labels: Tensor) -> dict[int, Indices]:
    places = {label: (labels == label).nonzero()[:_EACH, 0].numpy() for label in sorted({*labels.tolist()})}
    whole = [(label, found) for label, found in places.items() if len(found) == _EACH]
    return dict(whole[:_MOST_CLASSES])
