"""Scores that rest on classes: what a classifier makes of fakes, and how they differ within a class."""

from __future__ import annotations

import math
from collections import Counter

import torch
from torch import Tensor

from gander.errors import DataError, UsageError
from gander.scores.frechet import checked_features
from gander.scores.neighbours import mean_pairwise_distance
from gander.scores.score import Estimate


def classifier_score(probabilities: Tensor, splits: int = 10) -> Estimate:
    """Give exp of the mean divergence KL(p(y|x) || p(y)) for class probabilities (N, K).

    K for sure and evenly spread predictions; 1 where all images are predicted alike. Rows are dealt to the
    splits in turn, so that images sorted by class do not leave each split with one class.

    Raises: DataError where there are fewer rows than splits, or rows are no probabilities.
    Source: Salimans et al. 2016, section 4.
    """
    if splits < 1:
        raise UsageError(f"splits: {splits} given, at least 1 wanted")
    given = checked_features(probabilities, "class probabilities", least=splits).double()
    if bool((given < 0).any()) or bool(((given.sum(1) - 1).abs() > 1e-3).any()):
        raise DataError("class probabilities: each row must be at least 0 and sum to 1; apply softmax first")
    scores = []
    for place in range(splits):
        split = given[place::splits]
        marginal = split.mean(0)
        divergence = torch.special.xlogy(split, split) - torch.special.xlogy(split, marginal)
        scores.append(divergence.sum(1).mean().exp())
    every = torch.stack(scores)
    return Estimate(float(every.mean()), float(every.std(correction=0)) / math.sqrt(max(splits - 1, 1)))


def label_fidelity(labels: Tensor, predicted: Tensor) -> float:
    """Give the share of images whose predicted class is the one that was asked for, (N,) both."""
    _check_labels(labels, predicted)
    return float((labels == predicted).double().mean())


def confusion(labels: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """Count the images (K, K) int64 by the class asked for (row) and the class predicted (column)."""
    _check_labels(labels, predicted)
    for given in (labels, predicted):
        low, high = int(given.min()), int(given.max())
        if low < 0 or high >= num_classes:
            raise DataError(f"labels: {low} to {high} given, 0 to {num_classes - 1} wanted")
    cells = labels.long() * num_classes + predicted
    return cells.bincount(minlength=num_classes**2).reshape(num_classes, num_classes)


def within_class_diversity(features: Tensor, labels: Tensor) -> dict[int, Estimate]:
    """Give the mean distance between two images of a class, by class; near 0 where a class collapsed.

    Classes with fewer than two images are left out.

    Raises: DataError where the counts differ.
    """
    features = checked_features(features)
    _check_labels(labels, features)
    counts = sorted(Counter(labels.tolist()).items())
    return {label: mean_pairwise_distance(features[labels == label]) for label, count in counts if count > 1}


def _check_labels(labels: Tensor, others: Tensor) -> None:
    if labels.ndim != 1 or labels.is_floating_point():
        raise DataError(f"labels: whole numbers (N,) wanted, not {labels.dtype} {[*labels.shape]}")
    if not len(labels) or len(labels) != len(others):
        raise DataError(f"labels: {len(labels)} for {len(others)} images")
