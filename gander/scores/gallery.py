"""Which images a person should look at beside the numbers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gander.scores.evaluation import Evaluation, Indices

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


def choose_gallery(evaluation: Evaluation) -> Gallery:
    """Choose the best and worst images, the nearest pairs, and some of each class.

    Where labels were asked for, an image is as good as its class is probable; else as its likeliest class is.
    """
    reference, probabilities = evaluation.reference, evaluation.outputs.probabilities
    confidence, labels = probabilities.max(1)
    asked = evaluation.samples.labels
    by_judge = reference.extractor.accuracy is not None
    if asked is not None:
        labels = asked
        if by_judge:
            confidence = probabilities.gather(1, labels[:, None])[:, 0]
    order = confidence.argsort(descending=True, stable=True)
    shown = min(_SHOWN, len(order) // 2)
    nothing = torch.zeros(0, dtype=torch.long).numpy()
    pairs, copies = (nothing, nothing), evaluation.memorisation
    if copies is not None and reference.memory is not None:
        nearest = reference.memory.training[copies.nearest[:_PAIRS].numpy()]
        pairs = copies.fakes[:_PAIRS].numpy(), nearest
    by_class = _by_class(labels)
    known = asked is not None or by_judge
    names = tuple(reference.images.classes[label] if known else f"class {label}" for label in by_class)
    best, worst = order[:shown].numpy(), order.flip(0)[:shown].numpy()
    return Gallery(best, worst, pairs, by_class, names, asked is not None)


def _by_class(labels: Tensor) -> dict[int, Indices]:
    places = {label: (labels == label).nonzero()[:_EACH, 0].numpy() for label in sorted({*labels.tolist()})}
    enough = [(label, rows) for label, rows in places.items() if len(rows) == _EACH]
    return dict(enough[:_MOST_CLASSES])
