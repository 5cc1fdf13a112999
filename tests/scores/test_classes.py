"""Scores by class in closed form."""

import pytest
import torch

from gander.errors import DataError, UsageError
from gander.scores.classes import classifier_score, confusion, label_fidelity, within_class_diversity


def test_sure_and_even_predictions_score_the_count_of_classes():
    sorted_by_class = torch.eye(4).repeat_interleave(20, dim=0)
    assert classifier_score(sorted_by_class) == pytest.approx((4, 0))
    assert classifier_score(torch.full((30, 4), 0.25)) == pytest.approx((1, 0))


def test_the_score_is_averaged_over_splits():
    rows = torch.tensor([[1.0, 0], [0.5, 0.5], [0, 1], [0.5, 0.5]])  # in turn: sure and even, unsure
    assert classifier_score(rows, splits=2) == pytest.approx((1.5, 0.5))
    assert classifier_score(rows, splits=1) == pytest.approx((2**0.5, 0))  # half of the mean of log 2


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (torch.randn(20, 3), "apply softmax first"),
        (torch.full((20, 3), 0.3), "sum to 1"),
        (torch.eye(3), "3 given, at least 10 needed"),
        (torch.full((20, 3), float("nan")), "not finite"),
    ],
)
def test_what_are_no_probabilities_is_refused(rows, complaint):
    with pytest.raises(DataError, match=complaint):
        classifier_score(rows)


def test_a_score_needs_a_split():
    with pytest.raises(UsageError, match="splits: 0 given"):
        classifier_score(torch.eye(3), splits=0)


def test_labels_are_compared_and_counted_with_what_was_asked_in_rows():
    asked, predicted = torch.tensor([0, 0, 2, 1]), torch.tensor([0, 1, 2, 0])
    assert label_fidelity(asked, predicted) == 0.5
    assert confusion(asked, predicted, 3).tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_diversity_is_the_mean_distance_of_pairs_in_a_class():
    features = torch.tensor([[0.0, 0], [9, 9], [3, 4], [0.1, 0.7], [0.1, 0.7], [6, 8]])
    labels = torch.tensor([5, 3, 5, 0, 0, 5])
    found = within_class_diversity(features, labels)
    assert [*found] == [0, 5]  # of class 3 there is no pair
    assert [each.value for each in found.values()] == pytest.approx([0, (5 + 5 + 10) / 3], abs=1e-5)


def test_labels_that_do_not_fit_are_refused():
    labels = torch.tensor([0, 1])
    with pytest.raises(DataError, match="2 for 3 images"):
        label_fidelity(labels, torch.tensor([0, 1, 1]))
    with pytest.raises(DataError, match="0 for 0 images"):
        label_fidelity(labels[:0], labels[:0])
    with pytest.raises(DataError, match="0 to 1 given, 0 to 0 wanted"):
        confusion(labels, labels, 1)
    with pytest.raises(DataError, match="whole numbers"):
        label_fidelity(labels.float(), labels)
    with pytest.raises(DataError, match="2 for 3 images"):
        within_class_diversity(torch.randn(3, 3), labels)
