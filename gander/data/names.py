"""The data sets that are known by name."""

from __future__ import annotations

from dataclasses import dataclass

SHAPES = "shapes"


@dataclass(frozen=True)
class Named:
    """A public data set."""

    classes: tuple[str, ...]


NAMED = {
    "cifar10": Named(
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    ),
    "mnist": Named(tuple("0123456789")),
    "fashion-mnist": Named(()),
}
