"""What the filters drop is what they say they drop."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gander.errors import UsageError
from gander.generation.sieve import Rules, Sieve, _repeated, too_near
from gander.scores.extractor import Outputs

TRAINED = torch.stack([torch.arange(0, 100.0), torch.zeros(100)], 1)


def memory():
    """Training images a step apart; held-out images half a step from them."""
    return SimpleNamespace(features=TRAINED, held_out=TRAINED + torch.tensor([0, 0.5]))


def outputs(features, sure):
    """Two classes; `sure` is the probability of the first."""
    sure = torch.tensor(sure)
    return Outputs(torch.tensor(features), torch.stack([sure, 1 - sure], 1))


def sift(seen, labels, counts, rules):
    """Assess images by their numbers, and choose; without labels, all are of one cell."""
    judge = SimpleNamespace(extract=lambda places: Outputs(seen.features[places], seen.probabilities[places]))
    sieve = Sieve(rules, judge, memory())
    cells = np.zeros(len(seen.features), int) if labels is None else labels
    assessed = sieve.assess(np.arange(len(seen.features)), labels)
    return sieve.choose(assessed, cells, counts, ("one", "other"))


def far(count):
    return [[float(place), 50.0] for place in range(count)]


def test_the_surest_of_each_class_are_kept():
    labels = np.array([0, 1] * 4)
    sure = [0.9, 0.9, 0.8, 0.1, 0.1, 0.2, 0.7, 0.3]  # of the first class
    found = sift(outputs(far(8), sure), labels, [2, 2], Rules(keep=0.5))
    assert found.places.tolist() == [0, 2, 3, 5]
    assert found.dropped == {"least like their class, to the judge": 4}


def test_without_labels_any_class_is_as_good():
    found = sift(outputs(far(4), [0.9, 0.5, 0.1, 0.6]), None, [2], Rules(keep=0.5))
    assert found.places.tolist() == [0, 2]


def test_near_copies_are_nearer_than_held_out_images_are():
    assert too_near(memory()) == pytest.approx(0.5)
    features = [
        [3.0, 0.0],
        [3.0, -0.49],
        [3.0, -0.51],
        [7.5, 4.0],
        [3.0, 0.9],
    ]  # the last is near a held-out one
    found = sift(outputs(features, [0.5] * 5), None, [2], Rules(no_copies=True))
    assert found.places.tolist() == [2, 3]
    assert found.dropped == {"near copies of real images": 3}


def test_of_near_duplicates_the_first_is_kept():
    features = [[0.0, 9.0], [0.4, 9.0], [0.8, 9.0], [5.0, 9.0]]  # the third is near the second only
    found = sift(outputs(features, [0.5] * 4), None, [3], Rules(no_duplicates=True))
    assert found.places.tolist() == [0, 2, 3]
    assert found.dropped == {"near duplicates of images that are kept": 1}


def test_duplicates_are_those_that_pairs_of_loops_find():
    rng = np.random.default_rng(0)
    features, standing = rng.normal(size=(1200, 2)).astype(np.float32), rng.random(1200) < 0.9
    expected = np.zeros(1200, bool)
    for place in range(1200):
        earlier = np.flatnonzero(standing[:place] & ~expected[:place])
        near = np.linalg.norm(features[earlier].astype(float) - features[place], axis=1) < 0.05
        expected[place] = standing[place] and near.any()
    assert 50 < expected.sum() < 1000
    assert np.array_equal(_repeated(torch.from_numpy(features), standing, 0.05), expected)


def test_a_collapsed_generator_leaves_one_image():
    features = torch.ones(3000, 4)
    assert _repeated(features, np.ones(3000, bool), 0.5).sum() == 2999
    with pytest.raises(UsageError, match="the filters leave 1 of 3,000 images, not 10"):
        sift(Outputs(features, torch.ones(3000, 2) / 2), None, [10], Rules(no_duplicates=True))


def test_enough_candidates_are_made():
    assert Rules(keep=0.8).candidates(800) == 1000
    assert Rules().candidates(800) == 800
    assert Rules(no_copies=True).candidates(1000) == 1100
    assert Rules().idle
    assert not Rules(no_duplicates=True).idle


def test_what_is_left_over_is_counted_apart():
    found = sift(outputs(far(4), [0.5] * 4), None, [2], Rules(no_copies=True))
    assert found.dropped == {"near copies of real images": 0, "not needed": 2}
