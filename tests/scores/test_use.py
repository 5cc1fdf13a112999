"""A classifier that learned from generated images: good images teach, wrong labels do not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gander.data.images import Images
from gander.engine.machine import Machine
from gander.errors import UsageError
from gander.scores import use
from gander.scores.classifier import Classifier, Labelled, split_data
from gander.scores.use import measure_use, real_split

CPU = Machine(torch.device("cpu"), threads=1)


def stripes(count, seed):
    """Images of three classes: lying, standing and checked stripes in noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    wave = (np.arange(12) // 2 % 2)[:, None] + np.zeros((12, 12), int)
    kinds = np.stack([wave, wave.T, wave ^ wave.T]) * 120
    pixels = kinds[labels][:, None] + rng.integers(0, 100, (count, 3, 12, 12))
    return Images(pixels.astype(np.uint8), labels, ("lying", "standing", "checked"), "f", "stripes", "d")


@pytest.fixture(autouse=True)
def short(monkeypatch, tmp_path):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(use, "_IMAGES", 2400)
    monkeypatch.setattr(use, "_QUICK_IMAGES", 800)
    monkeypatch.setattr(use, "_WIDTH", 8)


def used(make, quick=False):
    return measure_use(make, stripes(400, 1), CPU, quick, 0, lambda text: None)


def fresh(labels, seed):
    made = stripes(3 * len(labels), 2)
    places = [np.flatnonzero(made.labels == label)[turn] for turn, label in enumerate(labels)]
    return Labelled(made.pixels[places], labels)


def shuffled(labels, seed):
    return Labelled(fresh(labels, seed).pixels, np.random.default_rng(0).permutation(labels))


def without_checked(labels, seed):
    return fresh(np.where(labels == 2, 0, labels), seed)


def test_images_as_good_as_real_teach_as_well():
    found = used(fresh)
    assert (found.from_these, found.from_real, found.on_these) == (1.0, 1.0, 1.0)
    assert found.each_from_these.tolist() == [1.0] * 3
    assert found.interval[0] > 0.85
    assert found.protocol["n_test"] == 40 - 1  # a tenth of 134, 133 and 133
    assert found.protocol["n_training"] == 400 - 39


def test_shuffled_labels_teach_nothing_and_are_not_what_they_say():
    found = used(shuffled)
    assert found.from_these < 0.7
    assert abs(found.on_these - 1 / 3) < 0.1
    assert found.from_real == 1.0


def test_a_class_that_is_missing_is_never_named_and_has_no_share_of_its_own():
    found = used(without_checked)
    assert found.each_from_these[2] == 0
    assert found.from_these == pytest.approx(2 / 3, abs=0.02)
    assert np.isnan(found.each_on_these[2])
    assert [row["on_these"] for row in found.row()["classes"]] == [1.0, 1.0, None]


def test_fewer_images_are_compared_with_as_few_real_ones(monkeypatch):
    sizes = []
    train = use.train_classifier
    monkeypatch.setattr(
        use,
        "train_classifier",
        lambda classifier, *rest, **named: (
            sizes.append(len(classifier._labels)) or train(classifier, *rest, **named)
        ),
    )
    found = used(lambda labels, seed: fresh(labels[:120], seed), quick=True)
    assert sizes == [120, 120]
    assert found.protocol["epochs"] == round(800 / 120), "as much training as on more images"


def test_the_baseline_is_trained_once_for_all_that_are_compared_on_the_same_images(monkeypatch):
    first, trained = used(fresh), []
    train_epoch = Classifier.train_epoch
    monkeypatch.setattr(
        Classifier, "train_epoch", lambda classifier: trained.append(classifier) or train_epoch(classifier)
    )
    second = used(fresh)
    assert len(trained) == first.protocol["epochs"]
    assert second.row() == first.row()


def test_the_worst_class_is_named():
    found = used(without_checked)
    assert found.row()["worst"] == found.worst == "checked"
    assert "worst checked (0.0%)" in found.sentence


def test_fresh_images_are_new_in_each_epoch_and_the_first_are_those_that_are_scored():
    seeds: list[int] = []

    def make(labels, seed):
        seeds.append(seed)
        return fresh(labels, seed)

    found = measure_use(make, stripes(400, 1), CPU, True, 0, lambda text: None, fresh=True)
    assert len(seeds) == len({*seeds}) == found.protocol["epochs"] == 2
    assert seeds[0] == 0
    assert "new ones each epoch" in found.sentence


def mixed(make, monkeypatch):
    for name, value in (("_MIXED", (2, 1_000)), ("_MIX_SEEDS", 2), ("_QUICK_IMAGES", 1_600)):
        monkeypatch.setattr(use, name, value)
    steps: list[int] = []
    train_epoch = Classifier.train_epoch

    def counted(classifier):
        steps.append(len(classifier._labels) // classifier.settings.batch)
        return train_epoch(classifier)

    monkeypatch.setattr(Classifier, "train_epoch", counted)
    found = measure_use(make, stripes(200, 1), CPU, True, 0, lambda text: None, mix=True)
    assert len({*steps}) == 1, "the same number of steps for all"
    return found.mix


def test_good_images_help_where_real_ones_are_few(monkeypatch):
    few, many = mixed(fresh, monkeypatch)
    assert (few.n_real, many.n_real) == (2, 179), "all there are, where fewer than asked"
    assert few.gain > 0.1
    assert few.gain == pytest.approx(few.mixed - few.real_only)
    assert few.interval[0] < few.gain < few.interval[1]
    assert min(many.real_only, many.fakes_only, few.mixed) > 0.9
    assert abs(many.gain) < 0.1


def test_wrong_labels_help_nobody(monkeypatch):
    many = mixed(shuffled, monkeypatch)[1]
    assert many.fakes_only < 0.7
    assert many.gain <= 0


def test_half_of_what_is_shown_is_real_and_all_fakes_have_their_turn(monkeypatch):
    shown: list[Labelled] = []
    monkeypatch.setattr(use, "Classifier", lambda *_: SimpleNamespace(epoch=0, accuracy=lambda test: 0.5))
    monkeypatch.setattr(
        use, "train_classifier", lambda *_, renewed: shown.extend(renewed(epoch) for epoch in (0, 1))
    )
    marked = Labelled(np.full((10, 1, 2, 2), 0, np.uint8), np.arange(10))
    fakes = Labelled(np.full((10, 1, 2, 2), 1, np.uint8), np.arange(10))
    monkeypatch.setattr(use, "_MIXED", (3,))
    use.measure_mix(lambda *_: fakes, marked, marked, 10, use.Hyperparameters(), CPU, lambda text: None)
    only_fakes, _, only_real, _, first, second = shown[:6]
    assert [one.pixels[:, 0, 0, 0].mean() for one in (only_fakes, only_real, first)] == [1.0, 0.0, 0.5]
    assert len({*only_real.labels}) == 3
    assert {*first.labels[5:]} | {*second.labels[5:]} == {*range(10)}


def test_images_of_one_class_are_refused():
    with pytest.raises(UsageError, match="these images are of one"):
        used(lambda labels, seed: fresh(labels * 0, seed))


def test_test_images_are_held_out_where_no_exact_ones_are_published():
    training_set, test, split = real_split(stripes(400, 1))
    for ours, theirs in zip((training_set, test), split_data(stripes(400, 1)), strict=True):
        assert np.array_equal(ours.pixels, theirs.pixels)
    assert "held-out" in split


@pytest.mark.slow
def test_official_test_images_are_used_where_they_are_exact(shared, monkeypatch):
    from gander.data.images import open_images
    from gander.data.names import NAMED

    folder = str(shared / "data" / "mnist")
    monkeypatch.setattr(
        use, "open_images", lambda source, size, split: open_images(source, folder, size, split)
    )
    reals = replace(open_images("mnist", folder), source=NAMED["mnist"].name)
    training_set, test, split = real_split(reals)
    assert (len(training_set.labels), len(test.labels), split) == (60_000, 10_000, "official test images")
