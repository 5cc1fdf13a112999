"""Scores of whole sets of images put them in the order in which a person would."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gander.data.images import Images
from gander.engine.machine import Machine
from gander.errors import DataError
from gander.scores.classifier import Classifier, Hyperparameters, split_data
from gander.scores.evaluation import Reference, Samples, real_outputs, score_samples, split_reals
from gander.scores.extractor import Outputs
from gander.scores.judge import Judge, Record, held_out, training_and_held_out

N = 400


def stripes(count, seed):
    """Images of four classes: wide or narrow stripes that lie or stand, at any place, in noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    place = np.arange(16)[None] + rng.integers(0, 8, (count, 1))
    wave = (place // np.where(labels < 2, 2, 4)[:, None] % 2 * 120)[:, None, :, None]
    turned = np.where((labels % 2 == 0)[:, None, None, None], wave, wave.swapaxes(2, 3))
    pixels = turned + rng.integers(0, 100, (count, 3, 16, 16))
    names, mark = ("wide", "tall", "broad", "high"), f"{seed}" * 64
    return Images(pixels.astype(np.uint8), labels, names, mark, "stripes", mark)


@pytest.fixture(scope="module")
def real():
    return stripes(2000, 1)


@pytest.fixture(scope="module")
def judge(real):
    torch.manual_seed(0)
    training_set, test = split_data(real)
    settings = Hyperparameters(epochs=3, batch=50, width=8, shift=0)
    classifier = Classifier(training_set, 4, settings, Machine(torch.device("cpu"), threads=1))
    while not classifier.finished:
        classifier.train_epoch()
    record = Record(
        "stripes",
        real.digest,
        real.classes,
        3,
        16,
        8,
        classifier.accuracy(test),
        200,
        3,
        0,
        "a command",
        "2.0",
    )
    return Judge(classifier.net, record, "d" * 64)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path_factory.getbasetemp() / "scores"))


def scored(real, judge, pixels, labels=None, seed=0):
    subject = Samples("made", pixels, None if labels is None else torch.from_numpy(labels), "as they are")
    return {
        score.name: score
        for score in score_samples(subject, Reference(real, judge, len(pixels), seed)).scores
    }


def blurred(pixels, times):
    for _ in range(times):
        pixels = (pixels.astype(np.float32) + np.roll(pixels, 1, 2) + np.roll(pixels, 1, 3)) / 3
    return pixels.astype(np.uint8)


def test_real_images_are_nearer_than_blurred_ones_and_those_nearer_than_noise(real, judge):
    fresh = stripes(N, 2)
    noise = np.random.default_rng(3).integers(0, 256, fresh.pixels.shape, np.uint8)
    sets = [fresh.pixels, blurred(fresh.pixels, 1), blurred(fresh.pixels, 4), noise]
    tables = [scored(real, judge, pixels) for pixels in sets]
    for name in ("fd-judge", "kd-judge"):
        values = [table[name].value for table in tables]
        assert values == sorted(values)
        assert tables[1][name].low > (tables[0][name].high or tables[0][name].value)
    assert tables[0]["fd-judge"].value < 3 * tables[0]["fd-judge"].floor
    assert tables[0]["kd-judge"].verdict == "not told from real images"
    assert tables[3]["precision"].value < 0.1 < 0.5 < tables[0]["precision"].value
    assert {table["memorised"].verdict for table in tables} == {"no sign of copies"}


def test_dropped_classes_lower_recall_and_coverage_but_hardly_precision(real, judge):
    fresh = stripes(2 * N, 2)
    whole = scored(real, judge, fresh.pixels[:N])
    half = scored(real, judge, fresh.pixels[fresh.labels < 2])
    for name in ("recall", "coverage"):
        assert half[name].value < 0.7 * whole[name].value
    assert half["precision"].value > 0.9 * whole["precision"].value
    assert half["classifier-score"].value < 0.7 * whole["classifier-score"].value


def test_copied_training_images_are_called_out(real, judge):
    reals = Reference(real, judge, N)
    learned = reals.memory.training
    made = np.concatenate([stripes(N, 2).pixels[: N - 40], real.pixels[learned[:40]]])
    found = score_samples(Samples("made", made, None, "-"), reals)
    (memory,) = [score for score in found.scores if score.name == "memorised"]
    assert memory.verdict == "nearer to training images than held-out ones: look at the pairs"
    assert set(found.memorisation.fakes[:40].tolist()) == {*range(N - 40, N)}
    assert sorted(learned[found.memorisation.nearest[:40]]) == learned[:40].tolist()


@pytest.mark.parametrize("order", ["in turns", "class by class"])
def test_the_order_in_which_classes_come_changes_no_score(real, judge, order):
    fresh, mixed = stripes(N, 2), np.random.default_rng(0).permutation(N)
    places = np.arange(N) if order == "in turns" else np.argsort(fresh.labels, kind="stable")
    ours, theirs = scored(real, judge, fresh.pixels[places]), scored(real, judge, fresh.pixels[mixed])
    assert ours["classifier-score"].value == pytest.approx(theirs["classifier-score"].value, abs=0.2)
    for name in ("classifier-score", "fd-judge"):
        widths = [score.high - score.low for score in (ours[name], theirs[name])]
        assert max(widths) < 3 * min(widths)


def test_data_of_classes_that_no_two_real_images_are_of_can_be_scored(real, judge):
    few = replace(real, labels=np.arange(len(real)) % 1000, classes=tuple(map(str, range(1000))))
    found = score_samples(
        Samples("made", stripes(200, 2).pixels, torch.full((200,), 7), "-"), Reference(few, judge, 200)
    )
    assert "class-diversity" not in {score.name for score in found.scores}


def test_shuffled_labels_drop_the_fidelity_to_chance(real, judge):
    fresh = stripes(N, 2)
    told = scored(real, judge, fresh.pixels, fresh.labels)["label-fidelity"]
    shuffled = scored(real, judge, fresh.pixels, np.random.default_rng(0).permutation(fresh.labels))
    assert told.value > 0.9
    assert abs(shuffled["label-fidelity"].value - 0.25) < 0.08
    assert "label-fidelity" not in scored(real, judge, fresh.pixels)


def test_the_same_images_score_the_same_with_or_without_the_cache(real, judge, monkeypatch, tmp_path):
    fresh = stripes(N, 2).pixels

    def values():  # where an array lies in memory decides the last bit of some
        return pytest.approx({name: score.value for name, score in scored(real, judge, fresh).items()})

    first = {name: score.value for name, score in scored(real, judge, fresh).items()}
    assert values() == first
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path))
    assert values() == first
    (kept,) = (tmp_path / "features").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert values() == first


def test_features_kept_on_one_device_are_not_taken_for_those_of_another(real, judge, monkeypatch, tmp_path):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path))
    computed, outputs = [], Outputs(torch.zeros(120, 2), torch.zeros(120, 2))
    monkeypatch.setattr(judge, "extract", lambda pixels: computed.append(judge.device) or outputs)
    for device in ("cpu", "cuda:0", "cpu", "cuda:1"):
        monkeypatch.setattr(judge, "device", device)
        real_outputs(real, judge, np.arange(120))
    assert computed == ["cpu", "cuda:0"]


def test_features_kept_by_an_older_version_are_not_taken(real, judge, monkeypatch, tmp_path):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path))
    for version in (1, 2):
        monkeypatch.setattr("gander.scores.evaluation.VERSION", version)
        real_outputs(real, judge, np.arange(120))
    assert len([*(tmp_path / "features").iterdir()]) == 2


def test_no_real_image_is_on_both_sides_of_the_floor(real):
    compared, against = split_reals(*training_and_held_out(real), 900, 0)
    assert len({*compared, *against}) == 1800
    assert not np.isin(compared, held_out(real)).any()
    assert np.isin(against[:200], held_out(real)).all()


def test_too_few_images_are_told(real, judge):
    with pytest.raises(DataError, match="n = 99: scores need at least 100 images"):
        Reference(real, judge, 99)
    with pytest.raises(DataError, match="made: 99 images, where 100 were to be scored"):
        score_samples(Samples("made", real.pixels[:99], None, "-"), Reference(real, judge, 100))


def test_more_images_than_half_of_the_real_ones_have_no_floor_and_say_so(real, judge):
    for n in (1001, 2500):
        found = score_samples(Samples("made", stripes(n, 2).pixels, None, "-"), Reference(real, judge, n))
        assert {score.floor for score in found.scores if score.name != "memorised"} == {None}
        assert f"no floor: it takes {2 * n:,} real images, and there are 2,000" in found.caveats
        assert found.scores[0].protocol.n_real == min(n, 2000)


def test_the_in_training_protocol_gives_the_same_values(real, judge):
    """Looking at fewer real images must not change what is compared with what."""
    subject = Samples("made", stripes(N, 2).pixels, None, "-")
    whole, quick = (score_samples(subject, Reference(real, judge, N, whole=whole)) for whole in (True, False))
    ours = {score.name: (score.value, score.floor) for score in quick.scores}
    assert "memorised" not in ours
    theirs = {score.name: (score.value, score.floor) for score in whole.scores if score.name in ours}
    assert {*theirs} == {*ours}
    for name, values in theirs.items():
        assert values == pytest.approx(ours[name], rel=1e-5), name


def test_enough_images_are_extrapolated_to_endlessly_many(real, judge):
    table = scored(real, judge, stripes(900, 2).pixels)
    assert table["fd-judge-infinity"].value < table["fd-judge"].value
    assert "fd-judge-infinity" not in scored(real, judge, stripes(300, 2).pixels)


def test_a_class_that_collapsed_is_named(real, judge):
    fresh = stripes(N, 2)
    pixels = fresh.pixels.copy()
    pixels[fresh.labels == 2] = pixels[2]
    found = score_samples(
        Samples("made", pixels, torch.from_numpy(fresh.labels), "-"), Reference(real, judge, N)
    )
    told = {score.name: score for score in found.scores}["class-diversity"]
    assert told.verdict.startswith("least in broad: 0% of")
    assert found.caveats[0] == "99 images repeat others"


def test_the_diversity_of_a_class_is_1_for_the_real_images_themselves_and_0_for_one_image(real, judge):
    reals = Reference(real, judge, N)
    same = real.pixels[reals.compared]
    labels = torch.from_numpy(real.labels[reals.compared])
    score = score_samples(Samples("made", same, labels, "-"), reals)["class-diversity"]
    assert score.value == pytest.approx(1, abs=1e-5)
    assert score.low < 1 < score.high
    assert score.floor == pytest.approx(1, abs=0.1)
    alone = np.repeat(same[:1], N, 0)
    assert score_samples(Samples("made", alone, labels, "-"), reals)["class-diversity"].value < 1e-3


def test_the_checkerboard_of_real_images_is_1_and_that_of_marked_ones_more(real, judge):
    fresh = stripes(N, 2).pixels
    score = scored(real, judge, fresh)["checkerboard"]
    assert score.floor == pytest.approx(1, abs=0.1)
    assert score.low < 1 < score.high
    marked = fresh + 20 * (np.add.outer(np.arange(16), np.arange(16)) % 2).astype(np.uint8)
    assert scored(real, judge, marked)["checkerboard"].low > 1.1


def test_images_that_look_real_and_vary_too_little_are_called_so(real, judge):
    few = np.tile(stripes(8, 2).pixels, (N // 8, 1, 1, 1))
    reals = Reference(real, judge, N)
    found = score_samples(Samples("made", few, None, "-"), reals)
    assert found["precision"].value > 0.8 * found["precision"].floor
    assert [caveat for caveat in found.caveats if "they vary too little (recall 0" in caveat]
    for pixels in (stripes(N, 2).pixels, np.zeros((N, 3, 16, 16), np.uint8)):  # good, and plainly bad
        caveats = score_samples(Samples("made", pixels, None, "-"), reals).caveats
        assert not [caveat for caveat in caveats if "vary" in caveat]


def test_constant_images_get_finite_scores(real, judge):
    for score in scored(real, judge, np.zeros((N, 3, 16, 16), np.uint8)).values():
        assert np.isfinite([score.value, score.floor]).all()
