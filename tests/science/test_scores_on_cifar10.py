"""On real photographs, with the shipped judge, the scores say what a person would."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from gander.data.images import Images, open_images
from gander.scores.evaluation import Reference, Samples, score_samples
from gander.scores.judge import find_judge, held_out
from results.corruptions import CORRUPTIONS, junk

pytestmark = pytest.mark.slow
N = 1_000


@pytest.fixture(scope="module")
def judge(shared):
    return find_judge(open_images("cifar10", str(shared / "data" / "cifar10")))


@pytest.fixture(scope="module")
def photographs(shared):
    """Six thousand of them, and a thousand others that no judge has learned from."""
    every = open_images("cifar10", str(shared / "data" / "cifar10"))
    aside = held_out(every)[:N]
    rest = np.setdiff1d(np.arange(len(every)), aside)[:6_000]
    known = Images(every.pixels[rest], every.labels[rest], every.classes, "known", "cifar10", "known")
    return known, every.pixels[aside], every.labels[aside]


@pytest.fixture(scope="module")
def reals(photographs, judge):
    return Reference(photographs[0], judge, N)


def scored(reals, pixels, labels=None):
    told = None if labels is None else torch.from_numpy(labels)
    found = score_samples(Samples("made", pixels, told, "as they are"), reals)
    return {score.name: score for score in found.scores}


def blurred(pixels, radius):
    pictures = (Image.fromarray(image.transpose(1, 2, 0)) for image in pixels)
    soft = [np.asarray(picture.filter(ImageFilter.GaussianBlur(radius))) for picture in pictures]
    return np.stack(soft).transpose(0, 3, 1, 2)


def test_real_is_nearer_than_a_light_blur_a_light_than_a_heavy_one_and_that_than_noise(reals, photographs):
    _, fresh, _ = photographs
    noise = np.random.default_rng(0).integers(0, 256, fresh.shape, np.uint8)
    tables = [scored(reals, pixels) for pixels in (fresh, blurred(fresh, 0.6), blurred(fresh, 1.5), noise)]
    for name in ("fd-judge", "kd-judge"):
        values = [table[name] for table in tables]
        for near, far in pairwise(values):
            end = near.value if near.high is None else near.high  # the error of real images is unknown
            assert end < far.low, (name, near, far)
    assert tables[0]["kd-judge"].verdict in ("not told from real images", "too few images to tell")
    assert tables[0]["memorised"].verdict == "no sign of copies"


def test_dropped_classes_lower_recall_and_coverage_and_hardly_precision(reals, photographs):
    known, fresh, _ = photographs
    whole = scored(reals, fresh)
    few = np.flatnonzero(known.labels < 3)[-N:]  # airplanes, automobiles and birds alone
    some = scored(reals, known.pixels[few])
    assert some["recall"].value < whole["recall"].value - 0.2
    assert some["coverage"].value < whole["coverage"].value - 0.2
    assert some["precision"].value > whole["precision"].value - 0.1


def test_copies_among_fresh_photographs_are_called_out(reals, photographs):
    known, fresh, _ = photographs
    copies = known.pixels[reals.memory.training[:60]]
    found = score_samples(Samples("made", np.concatenate([fresh[60:], copies]), None, "-"), reals)
    table = {score.name: score for score in found.scores}
    assert table["memorised"].verdict == "nearer to training images than held-out ones: look at the pairs"
    assert {*range(N - 60, N)} <= {*found.memorisation.fakes[:70].tolist()}


def test_shuffled_labels_drop_fidelity_to_chance(reals, photographs):
    _, fresh, labels = photographs
    right = scored(reals, fresh, labels)["label-fidelity"].value
    wrong = scored(reals, fresh, np.random.default_rng(0).permutation(labels))["label-fidelity"].value
    assert right > 0.87
    assert abs(wrong - 0.1) < 0.03


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_photographs_that_are_spoilt_more_are_farther_from_real_ones(reals, photographs, name):
    corrupt, strengths = CORRUPTIONS[name]
    _, fresh, _ = photographs
    tables = [scored(reals, pixels) for pixels in (fresh, *(corrupt(fresh, each) for each in strengths))]
    distances = [table["fd-judge"].value for table in tables]
    assert distances == sorted(distances)
    assert tables[-1]["coverage"].value < 0.6 * tables[0]["coverage"].value


def test_junk_and_heavy_blur_are_not_called_real(reals, photographs):
    _, fresh, _ = photographs
    for kind, pixels in {**junk(N), "blur": blurred(fresh, 2)}.items():
        assert scored(reals, pixels)["precision"].value < 0.5, kind
    assert scored(reals, fresh)["precision"].value > 0.85
