"""What is wrong with data: a planted fault is named, by counts of real pixels; clean data are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gander.data.facts import data_facts
from gander.data.images import Images
from gander.data.shapes import CLASSES, draw_shapes
from gander.doctor.case import Case
from gander.doctor.facts import facts
from gander.doctor.finding import Finding
from gander.recipe.read import load_recipe

PIXELS, FACTORS = draw_shapes(2_500, 7)
LABELS = FACTORS.label
RNG = np.random.default_rng(0)
CLEAN = data_facts(Images(PIXELS, LABELS, CLASSES, "clean shapes", "mine"))
PLAIN, CLASSED, FEATURED = "shapes-dcgan", "shapes-acgan", "quickstart"


def said(counted: dict, name: str, *edits: str) -> dict[str, Finding]:
    tree = load_recipe(name, edits).as_tree()
    found = facts(Case(tree, {"facts": counted}, total=200_000))
    return {each.code: each for each in found if each.evidence[0].column.startswith("data.")}


def counted_in(pixels=PIXELS, labels=LABELS, classes=CLASSES) -> dict:
    mark = f"{hash(pixels.tobytes())}{hash(labels.tobytes())}"
    return data_facts(Images(np.ascontiguousarray(pixels), labels, classes, mark, "mine"))


@pytest.mark.parametrize("name", [PLAIN, CLASSED, FEATURED])
def test_clean_data_and_data_that_were_not_counted_give_nothing(name: str):
    assert said(CLEAN, name) == {}
    assert said({}, name) == {}


def mostly(share: float, labels: np.ndarray) -> np.ndarray:
    return np.where(RNG.random(len(labels)) < share, RNG.integers(0, 10, len(labels)), labels)


SOME = RNG.random((len(PIXELS), 1, 1, 1))
NOISE = RNG.integers(0, 256, PIXELS.shape, np.uint8)
SPOILT = {
    "labels-shuffled": lambda: counted_in(labels=RNG.permutation(LABELS)),
    "channels-swapped": lambda: counted_in(PIXELS[:, ::-1]),
    "data-inverted": lambda: counted_in(255 - PIXELS),
    "data-duplicates": lambda: counted_in(np.concatenate([PIXELS[:1_250], PIXELS[:1_250]])),
    "data-corrupt": lambda: counted_in(np.where(SOME < 0.3, NOISE, PIXELS)),
    "data-range": lambda: counted_in(PIXELS // 4),
    "data-constant": lambda: counted_in(np.where(SOME < 0.4, np.uint8(77), PIXELS)),
    "data-imbalanced": lambda: CLEAN | {"counts": [1_600] + [100] * 9},
}


@pytest.mark.parametrize("code", SPOILT)
def test_a_planted_fault_is_named(code: str):
    counted = SPOILT[code]()
    finding = said(counted, CLASSED)[code]
    assert finding.severity == "warning"
    for patch in finding.remedy:
        assert code not in {key for key, each in said(counted, CLASSED, *patch).items() if each.alarms}


def test_labels_of_which_a_third_is_wrong_are_noisy_where_images_of_a_class_are_alike():
    """Drawn shapes of one colour and place, so that two and a half thousand images are enough."""
    some = (FACTORS.size == 1) | (FACTORS.size == 2)
    pixels, labels = PIXELS[some], LABELS[some]
    alike = pixels.copy()
    for label in range(10):  # each class in one place, as digits are
        of_class = np.flatnonzero(labels == label)
        alike[of_class] = pixels[of_class[0]] // 2 + pixels[of_class] // 2
    assert "labels-noisy" not in said(counted_in(alike, labels), CLASSED)
    assert said(counted_in(alike, mostly(0.4, labels)), CLASSED)["labels-noisy"].severity == "warning"
    assert said(counted_in(alike, mostly(0.4, labels)), PLAIN)["labels-noisy"].severity == "note"


def test_noisy_labels_of_a_known_set_are_told_by_how_well_they_fit_elsewhere():
    known = CLEAN | {"images": 50_000, "known": {"distance": 0, "least": 0, "agreement": 0.4}, "chance": 0.1}
    assert "labels-noisy" not in said(known | {"agreement": 0.37}, CLASSED)
    assert said(known | {"agreement": 0.29}, CLASSED)["labels-noisy"].evidence[0].value == 0.29


@pytest.mark.parametrize(
    ("number", "edits", "severity"),
    [
        (1_500, [], "warning"),
        (150, [], "error"),
        (1_500, ["views.+diffaugment"], None),
        (900, ["views.+ada"], "note"),
        (150, ["views.+ada"], "warning"),
        (2_000, [], None),
    ],
)
def test_few_images_are_no_harm_where_they_are_augmented(number: int, edits: list[str], severity: str | None):
    finding = said(CLEAN | {"images": number}, PLAIN, *edits).get("data-tiny")
    assert (finding and finding.severity) == severity
    for patch in finding.remedy if finding else ():
        mended = said(CLEAN | {"images": number}, PLAIN, *edits, *patch).get("data-tiny")
        assert mended is None or mended.severity != severity


def test_one_gan_a_class_needs_the_images_in_each_class():
    counted = CLEAN | {"images": 20_000, "counts": [10_000, 9_000, 999]}
    assert "data-tiny" in said(counted, "cifar10-perclass")
    assert "data-tiny" not in said(counted, PLAIN)


def test_imbalance_and_odd_classes_matter_more_to_nets_with_labels():
    counted = CLEAN | {"counts": [600, 600, 30, 1, 0]}
    with_labels, without = said(counted, CLASSED), said(CLEAN | {"counts": [600, 600, 30]}, PLAIN)
    assert {with_labels[code].severity for code in ("class-single", "class-empty", "data-imbalanced")} == {
        "warning"
    }
    assert without["data-imbalanced"].severity == "note"
    assert said(counted | {"counts": [600, 61]}, CLASSED) == {}


def test_near_duplicates_are_named_where_exact_ones_are_not():
    assert said(CLEAN | {"near": 0.2}, PLAIN)["data-near-duplicates"].severity == "note"
    assert "data-near-duplicates" not in said(CLEAN | {"near": 0.04}, PLAIN)


@pytest.mark.parametrize("name", [CLASSED, FEATURED, "shapes-sngan", "cifar10-r3", "folder-fast"])
def test_every_recipe_with_labels_is_given_the_patch_that_drops_them(name: str):
    shuffled = CLEAN | {"agreement": CLEAN["chance"]}
    (patch,) = said(shuffled, name)["labels-shuffled"].remedy
    assert not load_recipe(name, patch).uses_labels
    assert not any(each.alarms for each in said(shuffled, name, *patch).values())
    assert replace(said(shuffled, PLAIN)["labels-shuffled"], remedy=()).severity == "note"
