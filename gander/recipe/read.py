"""Reading recipes: shipped ones by name, others by path; extending one another; patched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gander.errors import RecipeError, shorten, show
from gander.patch import as_patch
from gander.recipe.merge import edit, merge
from gander.recipe.plugins import import_plugins
from gander.recipe.schema import Recipe
from gander.recipe.schema import build_recipe as build_recipe  # as runs and tests know it
from gander.recipe.shipped import recipe_names, recipe_tree
from gander.registry import Technique, techniques
from gander.run import Run

# So that a patch can add to a list that the recipe does not mention.
_EMPTY: dict[str, Any] = {"penalties": [], "views": [], "rewires": {"generator": [], "discriminator": []}}


def load_recipe(name: str, patch: Mapping[str, Any] | Sequence[str] = ()) -> Recipe:
    """Read a recipe by shipped name or path, with what it extends, and make the edits of a patch.

    Args:
        name: a name that `gander recipes` lists, or the path of a .toml file.
        patch: `{"train.batch": 32}`, or texts as on the command line: `["train.batch=32"]`.
    Raises: RecipeError, one line a problem.
    """
    edits, tree = as_patch(patch), _extended(name, ())
    folder = Path(name).parent if name.endswith(".toml") else None
    try:
        return build_recipe(edit(merge(_EMPTY, tree), edits), folder)
    except RecipeError as error:
        lines = [f"{_shown(name)}: {problem}" for problem in error.problems]
        shipped = name if name in recipe_names() else "quickstart"
        raise RecipeError(*lines, hint=error.hint or f"gander recipes {shipped}") from None


def read_recipe(run: Run) -> Recipe:
    """Read the recipe that a run stores; RecipeError, one line a problem."""
    tree = recipe_tree(str(run.recipe_file))
    if isinstance(tree.get("data"), dict):
        tree["data"].setdefault("held_out", 0)  # a run of before showed all its images
    return build_recipe(tree)


def nameable(plugin: str = "") -> Mapping[str, Mapping[str, type[Technique]]]:
    """Give all techniques that a recipe can name, by slot and kind; those of a plugin, too."""
    import_plugins([plugin])
    return techniques()


def _extended(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen:
        circle = " -> ".join(Path(each).name for each in (*seen, name))
        raise RecipeError(f"{_shown(name)}: extends itself: {shorten(circle, 200)}")
    tree = recipe_tree(name)
    base = tree.pop("extends", None)
    if base is None:
        return tree
    if not isinstance(base, str):
        raise RecipeError(
            f'{_shown(name)}: extends = {show(base)}: write one name, as in extends = "quickstart"'
        )
    if base.endswith(".toml") and name.endswith(".toml"):
        base = str(Path(name).parent / base)
    return merge(_extended(base, (*seen, name)), tree)


def _shown(name: str) -> str:
    return shorten(name, 200) if name.endswith(".toml") else f"recipe {shorten(name)}"
