"""Laying one recipe's plain data over another's, and making the edits of a patch in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gander.patch import Patch, apply_patch

_LENGTHS = {"images", "epochs"}  # settings of train that replace each other


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a recipe over the one that it extends."""
    train = over.get("train")
    return _lay(_without_other_length(base, train if isinstance(train, dict) else ()), over)


def edit(tree: Mapping[str, Any], patch: Patch) -> dict[str, Any]:
    """Make the edits of a patch; RecipeError where a path leads nowhere."""
    said = [path.removeprefix("train.").removeprefix("-") for path in patch if path.startswith("train.")]
    return apply_patch(_without_other_length(tree, said), patch)


def _lay(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay tables over tables; a table of another kind, a list or a value replaces what was there."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        tables = isinstance(old, dict) and isinstance(value, dict)
        same = tables and value.get("kind", old.get("kind")) == old.get("kind")  # type: ignore[union-attr]
        merged[key] = _lay(old, value) if same else value  # type: ignore[arg-type]
    return merged


def _without_other_length(tree: Mapping[str, Any], said: Collection[str]) -> dict[str, Any]:
    """Drop the length in images where only one in epochs is said anew, and the other way round."""
    train, lengths = tree.get("train"), _LENGTHS & {*said}
    if not isinstance(train, dict) or len(lengths) != 1:
        return dict(tree)
    return dict(tree) | {"train": {key: train[key] for key in train if key not in _LENGTHS - lengths}}
