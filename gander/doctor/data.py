"""What is wrong with the data, by the counts that `gander/data/facts.py` made of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gander.doctor.case import Case
from gander.doctor.finding import Finding, Severity, beyond, fact

_AUGMENTS = ("diffaugment", "ada")
_CLASS_LOSSES = ("auxiliary_classifier", "d2d_ce", "classifier_guidance")


def data_facts(case: Case) -> Iterator[Finding]:
    """Give what the counts say; nothing where the data were not counted."""
    counted = case.data.get("facts") or {}
    if counted:
        for check in (_size, _repeats, _values, _channels, _labels, _classes):
            yield from check(case, counted)


def _size(case: Case, counted: Mapping[str, Any]) -> Iterator[Finding]:
    number, what, few = counted["images"], "images", 2_000
    if case.setting("train.per_class") and counted["counts"]:
        number, what, few = min(counted["counts"]), "images for the GAN of one class", 1_000
    augmented = any(case.technique("views", kind) is not None for kind in _AUGMENTS)
    if severity := beyond(number, below=(1_000, 200) if augmented else (few, few, 200)):
        says = f"{number:,} {what} are few enough for D to know each by heart"
        remedy = [] if augmented else [("views.+diffaugment",), ("views.+ada",)]
        yield fact("data-tiny", severity, says, "data.images", number, f"{few:,} or more", *remedy)


def _classes(case: Case, counted: Mapping[str, Any]) -> Iterator[Finding]:
    counts = counted["counts"]
    costly: Severity = "warning" if _uses_labels(case) else "note"
    held = [count for count in counts if count]
    if len(counts) < 2:
        return
    for code, number, says in (
        ("class-empty", len(counts) - len(held), "classes have a name and no image"),
        ("class-single", held.count(1), "classes hold a single image"),
    ):
        if number:
            yield fact(code, costly, f"{number:,} {says}", "data.counts", number, "none")
    if sum(held) < 20 * len(counts) or counted["duplicates"] > sum(held) / 10:
        return  # chance, or copies, made them uneven
    ratio = max(held) / min(held)
    if severity := beyond(ratio, (10, 10 if costly == "warning" else 30)):
        says = f"the largest class has {max(held):,} images, {ratio:,.0f} times those of the smallest"
        remedy = _uses_labels(case)
        yield fact("data-imbalanced", severity, says, "data.counts", ratio, "within 10 times", *remedy)


def _repeats(case: Case, counted: Mapping[str, Any]) -> Iterator[Finding]:
    share = counted["duplicates"] / counted["images"]
    if severity := beyond(share, (0.01, 0.1)):
        says = f"{counted['duplicates']:,} of {counted['images']:,} images repeat another, pixel by pixel"
        yield fact("data-duplicates", severity, says, "data.duplicates", share, "below 1 %")
    elif severity := beyond(counted["near"], (0.05, 0.3)):
        says = f"{counted['near']:.0%} of the images have another that is all but the same"
        yield fact("data-near-duplicates", severity, says, "data.near", counted["near"], "below 5 %")


def _values(case: Case, counted: Mapping[str, Any]) -> Iterator[Finding]:
    low, high = counted["low"], counted["high"]
    if severity := beyond(counted["flat"], (0.01, 0.2, 0.9)):
        says = f"{counted['flat']:.0%} of the images are of one colour"
        yield fact("data-constant", severity, says, "data.flat", counted["flat"], "none")
    elif severity := beyond(high - low, below=(128, 90, 8)):
        where = "dark" if high < 128 else "bright" if low > 127 else "faded"
        says = f"the images are {where}: 99 % of their values lie in {low:.0f} to {high:.0f}, of 0 to 255"
        yield fact("data-range", severity, says, "data.range", high - low, "most of 0 to 255")
    if severity := beyond(counted["noise"], (0.02, 0.1, 0.6)):
        says = f"{counted['noise']:.0%} of the images are noise: a pixel says nothing of the next"
        yield fact("data-corrupt", severity, says, "data.noise", counted["noise"], "none")


def _channels(case: Case, counted: Mapping[str, Any]) -> Iterator[Finding]:
    known = counted.get("known", {"distance": 0.0, "least": 0.0})
    if known["distance"] > 0.02 and known["least"] < known["distance"] / 5:
        says = f"the colours are those of {known['name']} only if read as {known['best']}"
        code = "data-inverted" if "inverted" in known["best"] else "channels-swapped"
        swapped = fact(code, "warning", says, "data.channels", known["distance"], "below 0.02")
        yield replace(swapped, confidence=0.95)


def _labels(case: Case, counted: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge labels by the images most alike; a shift of all of them by one is beyond this."""
    asked, agreement, chance = (counted.get(name, 0.0) for name in ("asked", "agreement", "chance"))
    if asked < 200 or chance > 0.7 or counted["noise"] > 0.02:
        return
    remedy = _uses_labels(case)
    severity: Severity = "warning" if remedy else "note"
    if agreement - chance < 3 * math.sqrt(chance * (1 - chance) / asked):
        says = f"labels agree with those of like images in {agreement:.0%}, as by chance ({chance:.0%})"
        shuffled = fact("labels-shuffled", severity, says, "data.agreement", agreement, "well above", *remedy)
        yield replace(shuffled, confidence=0.9)
        return
    usual = counted.get("known", {}).get("agreement", 0.0) if counted["images"] >= 10_000 else 0.0
    wrong = 1 - (agreement - chance) / (usual - chance) if usual else 0.0
    if not usual and agreement > 0.5 and counted["sure"] * asked >= 100:
        wrong = 1 - counted["right"]
    if wrong > (0.2 if usual else 0.12):
        says = f"some {wrong:.0%} of the labels do not fit their images, by those of images most alike"
        noisy = fact("labels-noisy", severity, says, "data.agreement", agreement, "below 10 %", *remedy)
        yield replace(noisy, confidence=0.85)


def _uses_labels(case: Case) -> list[tuple[str, ...]]:
    """Give the patch that makes a recipe one without labels; [] where it is."""
    edits = [f"{net}.labels=ignored" for net in ("generator", "discriminator")]
    edits = [edit for edit in edits if case.setting(edit.partition("=")[0], "ignored") != "ignored"]
    edits += [f"penalties.-{kind}" for kind in _CLASS_LOSSES if case.technique("penalties", kind) is not None]
    edits += ["features.kind=rotations"] if case.setting("features.kind") == "classes" else []
    return [tuple(edits)] if edits else []
