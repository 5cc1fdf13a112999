"""What is counted in images: each planted fault moves its number, and clean data move none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gander.data.facts import data_facts
from gander.data.images import Images
from gander.data.shapes import CLASSES, draw_shapes

PIXELS, FACTORS = draw_shapes(3_000, 7)
RNG = np.random.default_rng(0)


def shapes(pixels=PIXELS, labels=FACTORS.label, classes=CLASSES) -> Images:
    mark = f"{hash(pixels.tobytes())} {hash(labels.tobytes()) if labels is not None else ''} {classes}"
    return Images(pixels, labels, classes if labels is not None else (), str(abs(hash(mark))), "mine")


def test_clean_data():
    counted = data_facts(shapes())
    assert (counted["images"], counted["counts"]) == (3_000, [300] * 10)
    assert counted["duplicates"] == 3_000 - len(np.unique(PIXELS, axis=0))
    assert (counted["flat"], counted["noise"]) == (0, 0)
    assert (counted["low"], counted["high"]) == (10, 255)
    assert counted["near"] < 0.03
    assert counted["agreement"] > 0.6 > 0.15 > counted["chance"] > 0.05
    assert counted["right"] > 0.95
    assert counted["known"]["name"] == "shapes"
    assert counted["known"]["distance"] < 0.002


def test_repeats_are_counted_and_near_ones_are_estimated():
    copied = np.concatenate([PIXELS[:500], PIXELS[:10].repeat(50, axis=0)])
    assert data_facts(shapes(copied, None))["duplicates"] == 500
    noisy = np.concatenate([PIXELS[:500], PIXELS[:500] ^ RNG.integers(0, 4, (500, 3, 32, 32), np.uint8)])
    counted = data_facts(shapes(noisy, None))
    assert counted["near"] > 0.85
    assert counted["duplicates"] == 0


def test_flat_dark_and_noise_images():
    spoilt = PIXELS.copy()
    spoilt[:750] = 90
    spoilt[750:2_250] = RNG.integers(0, 256, (1_500, 3, 32, 32), np.uint8)
    counted = data_facts(shapes(spoilt))
    assert counted["flat"] == pytest.approx(0.25, abs=0.05)
    assert counted["noise"] == pytest.approx(0.5, abs=0.05)
    assert data_facts(shapes(PIXELS // 4))["high"] == 63


@pytest.mark.parametrize(
    ("spoilt", "best"), [(PIXELS[:, ::-1], "bgr"), (255 - PIXELS, "rgb, inverted"), (PIXELS, "rgb")]
)
def test_channels_in_another_order_and_inverted_images_are_known_by_the_set_they_claim_to_be(spoilt, best):
    known = data_facts(shapes(np.ascontiguousarray(spoilt)))["known"]
    assert known["best"] == best
    assert (known["least"] < known["distance"] / 5) == (best != "rgb")
    assert "known" not in data_facts(shapes(np.ascontiguousarray(spoilt), classes=tuple("abcdefghij")))


def test_shuffled_labels_agree_by_chance_and_shifted_ones_cannot_be_told():
    clean = data_facts(shapes())
    shuffled = data_facts(shapes(labels=RNG.permutation(FACTORS.label)))
    assert abs(shuffled["agreement"] - shuffled["chance"]) < 0.04
    shifted = data_facts(shapes(labels=(FACTORS.label + 1) % 10))
    assert shifted["agreement"] == pytest.approx(clean["agreement"], abs=0.02)


def test_data_without_labels_and_grey_data_of_any_size():
    grey = RNG.integers(0, 256, (9, 1, 13, 13), np.uint8)
    counted = data_facts(Images(grey, None, (), "grey", "mine"))
    assert counted["counts"] == []
    assert "agreement" not in counted
    assert len(counted["means"]) == 1
    one = data_facts(Images(grey[:1], np.zeros(1, np.int64), ("a", "b"), "one", "mine"))
    assert one["near"] == 0


def test_what_was_counted_is_kept_and_a_cache_that_cannot_be_written_is_no_error(
    monkeypatch,
):
    images = shapes(PIXELS[:300], FACTORS.label[:300])
    counted = data_facts(images)
    monkeypatch.setattr("gander.data.facts._count", lambda _: {"counted": "again"})
    assert data_facts(replace(images, source="elsewhere")) == counted
    other = replace(images, fingerprint="another", classes=())
    monkeypatch.setenv("GANDER_CACHE", "/proc/nowhere")
    assert data_facts(other) == {"counted": "again"}
