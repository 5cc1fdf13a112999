"""Reading recipes: shipped ones by name, others by path; extending one another; patched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gander.errors import RecipeError, shorten, show
from gander.patch import Patch, apply_patch, parse_patch
from gander.recipe.problems import problem_lines
from gander.recipe.schema import Recipe
from gander.recipe.shipped import parse_recipe, recipe_names, recipe_text

_EITHER = (("train", "images", "epochs"),)  # settings of a table that replace each other


def load_recipe(name: str, patch: Mapping[str, Any] | Sequence[str] = ()) -> Recipe:
    """Read a recipe by shipped name or path, with what it extends, and make the edits of a patch.

    Args:
        name: a name that `gander recipes` lists, or the path of a .toml file.
        patch: `{"train.batch": 32}`, or texts as on the command line: `["train.batch=32"]`.
    Raises: RecipeError, one line a problem.
    """
    edits: Patch = dict(patch) if isinstance(patch, Mapping) else parse_patch(patch)
    tree = _extended(name, ())
    try:
        return build_recipe(_edit(tree, edits))
    except RecipeError as error:
        lines = [f"{_shown(name)}: {problem}" for problem in error.problems]
        shipped = name if name in recipe_names() else "quickstart"
        raise RecipeError(*lines, hint=error.hint or f"gander recipes {shipped}") from None


def build_recipe(tree: Mapping[str, Any]) -> Recipe:
    """Check plain data and make the recipe; RecipeError, one line a problem."""
    if not _bounded(tree):
        raise RecipeError("the recipe is nested too deep, or a number is too long")
    try:
        return Recipe.model_validate(dict(tree))
    except ValidationError as error:
        raise RecipeError(*problem_lines(error, dict(tree), Recipe)) from None


def _bounded(value: Any, levels: int = 50) -> bool:
    """Tell whether plain data can be shown: what cannot is no recipe, and trips the checks themselves."""
    if isinstance(value, int):
        return value.bit_length() < 10_000
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return levels > 0 and all(_bounded(part, levels - 1) for part in parts)


def _extended(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen:
        circle = " -> ".join(Path(each).name for each in (*seen, name))
        raise RecipeError(f"{_shown(name)}: extends itself: {shorten(circle, 200)}")
    tree = parse_recipe(recipe_text(name), _shown(name))
    base = tree.pop("extends", None)
    if base is None:
        return tree
    if not isinstance(base, str):
        raise RecipeError(
            f'{_shown(name)}: extends = {show(base)}: write one name, as in extends = "quickstart"'
        )
    if base.endswith(".toml") and name.endswith(".toml"):
        base = str(Path(name).parent / base)
    return _merge(_extended(base, (*seen, name)), tree)


def _merge(base: dict[str, Any], over: Mapping[str, Any], table: str = "") -> dict[str, Any]:
    """Lay tables over tables; a table of another kind, a list or a value replaces what was there."""
    merged = {key: value for key, value in base.items() if not _replaced(table, key, over)}
    for key, value in over.items():
        old = merged.get(key)
        same_kind = isinstance(old, dict) and isinstance(value, dict) and _same_kind(old, value)
        merged[key] = _merge(old, value, key) if same_kind else value  # type: ignore[arg-type]
    return merged


def _edit(tree: Mapping[str, Any], patch: Patch) -> dict[str, Any]:
    said: dict[str, dict[str, Any]] = {}
    for path in patch:
        table, _, key = path.rpartition(".")
        said.setdefault(table, {})[key] = True
    freed = {
        table: {key: value for key, value in values.items() if not _replaced(table, key, said.get(table, {}))}
        if isinstance(values, dict)
        else values
        for table, values in tree.items()
    }
    return apply_patch(freed, patch)


def _replaced(table: str, key: str, over: Mapping[str, Any]) -> bool:
    """Tell whether the other way to say a setting is said: `train.images` replaces `train.epochs`."""
    return any(
        table == where and key in pair and key not in over and any(other in over for other in pair)
        for where, *pair in _EITHER
    )


def _same_kind(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return "kind" not in new or old.get("kind") == new["kind"]


def _shown(name: str) -> str:
    return shorten(name, 200) if name.endswith(".toml") else f"recipe {shorten(name)}"
