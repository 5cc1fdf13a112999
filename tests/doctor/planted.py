"""Histories with planted numbers: a healthy training, and what is changed of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gander.doctor.case import Case
from gander.history import History
from gander.recipe.read import load_recipe

ROWS, TOTAL = 40, 400_000
Curve = Callable[[float], float]  # of the share of the run that is over


def wobble(share: float) -> float:
    """Give a number from -1 to 1 that looks random, and is the same each time."""
    return (share * 7919.0 % 1.0) * 2 - 1


HEALTHY: Mapping[str, Curve] = {
    "probe/auc": lambda t: 0.9 + 0.05 * wobble(t),
    "probe/auc_held_out": lambda t: 0.52 + 0.04 * wobble(t),
    "probe/distance": lambda t: 1.2 + 26 * 0.001**t + 0.2 * wobble(t),
    "probe/diversity": lambda t: min(0.25 + 2 * t, 0.95) + 0.03 * wobble(t),
    "probe/diversity_features": lambda t: min(0.3 + 2 * t, 0.95) + 0.03 * wobble(t),
    "probe/slope": lambda t: 20 + 10 * t,
    "probe/update_g": lambda t: -1.9 + 0.1 * wobble(t),
    "probe/update_d": lambda t: -2.0 + 0.1 * wobble(t),
    "probe/frozen_g": lambda t: 0.0,
    "probe/frozen_d": lambda t: 0.0,
    "loss/d": lambda t: 0.9,
    "loss/g": lambda t: 1.5,
}


def planted(
    curves: Mapping[str, Curve | None] | None = None,
    recipe: str = "shapes-dcgan",
    rows: int = ROWS,
    patch: Mapping[str, Any] | None = None,
) -> Case:
    """Give the case of a healthy run with other curves in some columns; None leaves a column out."""
    drawn = {name: curve for name, curve in {**HEALTHY, **(curves or {})}.items() if curve is not None}
    times = [(place + 1) / ROWS for place in range(rows)]
    history = History(
        {"images": round(t * TOTAL)} | {name: curve(t) for name, curve in drawn.items()} for t in times
    )
    tree = load_recipe(recipe, patch or {}).as_tree()
    return Case(tree, {}, history, TOTAL)
