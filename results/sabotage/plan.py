"""Which runs there are: rounds of a train and a test half, so that a part of the suite is balanced, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .changes import Sabotage, narrow
from .datasets import Spoil, tiny
from .kinds import KINDS, LABELLED, Kind

CELLS = {
    "train": (
        ("dcgan", "shapes"),
        ("sngan", "shapes"),
        ("wgan-gp", "mnist"),
        ("acgan", "mnist"),
        ("dcgan", "cifar10"),
        ("r3", "shapes"),
        ("lsgan", "shapes"),
    ),
    "test": (
        ("acgan", "shapes"),
        ("sngan", "cifar10"),
        ("dcgan", "mnist"),
        ("lsgan", "mnist"),
        ("r3", "cifar10"),
        ("wgan-gp", "cifar10"),
        ("fast", "shapes"),
    ),
}
"""Recipe and data set of the runs that thresholds are set on, and of those that they are tested on."""

CASES = (("mnist-dcgan", "mnist"), ("per-class", "mnist"), ("trial1", "cifar10"), ("trial3", "cifar10"))
"""Recipes whose sources report a failure; all are test runs."""

WITH_LABELS = {
    "train": (("sngan", "mnist"), ("acgan", "mnist")),
    "test": (("fast", "mnist"), ("acgan", "shapes")),
}
"""The same for kinds that spoil labels, from the second round on: digits show whether classes are heard."""

TURNS = (("strong", 0.0), ("strong", 0.5), ("mild", 0.0))
"""Strength and onset, as a share of the run, of each round; what can begin at the start only is then mild."""

SEEDS = {"train": 0, "test": 1000}
ROUNDS = 12


@dataclass(frozen=True)
class Planned:
    """One run: a healthy recipe on a data set with a seed, and what is done to it."""

    name: str
    kind: str
    cause: str
    strength: str
    onset: float
    base: str
    data: str
    seed: int
    split: str
    round: int
    sabotage: Sabotage
    equal: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        return not self.cause


ODD: tuple[tuple[str, str, str, dict[str, Any], Spoil | None], ...] = (
    (
        "decaying",
        "dcgan",
        "shapes",
        {
            "train.g_lr": {"from": 8e-4, "to": 0.0, "over": 40_000},
            "train.d_lr": {"from": 8e-4, "to": 0.0, "over": 40_000},
        },
        None,
    ),
    ("first-steps", "acgan", "mnist", {"train.images": 4_000, "every.log": 200, "every.probe": 400}, None),
    ("d-wins-and-learns-on", "dcgan", "mnist", {"discriminator.layers": "wide"}, None),
    (
        "few-augmented",
        "dcgan",
        "shapes",
        {"views": [{"kind": "diffaugment", "policy": ["shift"]}]},
        tiny(3_000),
    ),
    ("long-half-life", "sngan", "shapes", {"average.half_life": 10_000}, None),
    ("tiny-grey", "dcgan", "mnist", {"data.size": 8, "generator.layers.0.size": 2}, None),
    ("four-d-steps", "wgan-gp", "cifar10", {"train.d_steps": 4}, None),
    ("no-average", "acgan", "shapes", {"average": {"kind": "latest"}}, None),
    (
        "one-sided-smoothing",
        "dcgan",
        "cifar10",
        {"objective": {"kind": "smooth", "real": 0.9, "inner": {"kind": "non_saturating"}}},
        None,
    ),
    (
        "fading-noise",
        "lsgan",
        "shapes",
        {"views": [{"kind": "instance_noise", "sigma": {"from": 0.3, "to": 0.0, "over": 15_000}}]},
        None,
    ),
    ("hinge", "dcgan", "shapes", {"objective": "hinge"}, None),
    ("light-r1", "dcgan", "mnist", {"penalties.+r1.weight": 0.05}, None),
    ("long", "acgan", "mnist", {"train.images": 100_000, "every.log": 1_600, "every.probe": 3_200}, None),
    ("first-steps-2", "r3", "cifar10", {"train.images": 3_000, "every.log": 200, "every.probe": 400}, None),
)
"""Healthy runs that look unlike the others: name, recipe, data set, patch, data."""


def plan() -> list[Planned]:
    """List all runs in the order they are made."""
    runs = []
    for number in range(ROUNDS):
        for split in SEEDS:
            healthy = [*_healthy(number, split)]
            broken = [*_broken(number, split)]
            every = max(1, len(broken) // (len(healthy) + 1))
            while healthy or broken:  # mixed, so that neither is missing where the suite is stopped
                runs += healthy[:1] + broken[:every]
                del healthy[:1], broken[:every]
    return runs


def _healthy(number: int, split: str) -> Iterator[Planned]:
    cells = CELLS[split] + (CASES if split == "test" and number < 3 else ())
    cells += WITH_LABELS[split][: bool(number)]
    for place, (base, data) in enumerate(cells):
        yield _planned(number, split, "healthy", "", "", 0.0, base, data, Sabotage())
        if place % 2 == number % 2:  # what seeds differ by must be known before the second round
            yield _planned(number, split, "healthy", "", "again", 0.0, base, data, Sabotage())
    count = -(-len(ODD) // 4)
    first = 2 * number * count + (count if split == "test" else 0)
    for place in range(first, first + count):
        name, base, data, patch, spoil = ODD[place % len(ODD)]
        if patch.get("discriminator.layers") == "wide":
            wide = narrow("discriminator", 96)
            yield _planned(number, split, name, "", "odd", 0.0, base, data, wide)
        else:
            sabotage = Sabotage((lambda p: lambda _: p)(patch), spoil)
            yield _planned(number, split, name, "", "odd", 0.0, base, data, sabotage)


def _broken(number: int, split: str) -> Iterator[Planned]:
    for place, kind in enumerate(KINDS):
        strength, onset = TURNS[number % len(TURNS)]
        if onset and not kind.middle:
            strength, onset = "mild", 0.0
        elif strength == "mild" and not kind.middle:
            strength = "strong" if number % 2 == 0 else "mild"
        every = CELLS[split] + CASES * (split == "test")
        if number and {*kind.bases} <= {*LABELLED}:
            every = WITH_LABELS[split]
        cells = [cell for cell in every if _fits(kind, *cell)]
        if not cells and kind.name.startswith("case"):
            continue
        if (
            not cells
        ):  # the kind wants a recipe that this half does not have: another seed of the other half's
            cells = [cell for cell in CELLS["test" if split == "train" else "train"] if _fits(kind, *cell)]
        base, data = cells[(place + number) % len(cells)]
        sabotage = kind.strong if strength == "strong" else kind.mild
        yield _planned(
            number, split, kind.name, kind.cause, strength, onset, base, data, sabotage, kind.equal
        )


def _fits(kind: Kind, base: str, data: str) -> bool:
    return base in kind.bases and data in kind.data


def _planned(
    number: int,
    split: str,
    kind: str,
    cause: str,
    strength: str,
    onset: float,
    base: str,
    data: str,
    sabotage: Sabotage,
    equal: tuple[str, ...] = (),
) -> Planned:
    seed = SEEDS[split] + 10 * number + (3 if cause else strength == "again")  # siblings have other seeds
    when = "-middle" if onset else ""
    name = f"{number:02}-{split}-{kind}-{strength or 'plain'}{when}-{base}-{data}"
    return Planned(name, kind, cause, strength, onset, base, data, seed, split, number, sabotage, equal)
