"""Writing recipes: the resolved form that every run stores."""

from __future__ import annotations

from pathlib import Path

import tomli_w

from gander.recipe.schema import Recipe


def recipe_toml(recipe: Recipe) -> str:
    """Write a recipe with every setting it has, so that it can be read back to an equal one."""
    return tomli_w.dumps(recipe.as_tree())


def portable_toml(recipe: Recipe) -> str:
    """Write a recipe for others: of the paths of data, the last name alone."""
    data = recipe.data
    names = {name: Path(getattr(data, name)).name for name in ("source", "path")}
    return recipe_toml(recipe.model_copy(update={"data": data.model_copy(update=names)}))
