"""The recipes that come with gander, and the text of any recipe; no torch."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from gander.errors import RecipeError, did_you_mean, shorten, show
from gander.patch import too_deep

_LARGEST_FILE = 1 << 20


def recipe_names() -> list[str]:
    """Name the shipped recipes."""
    files = resources.files("gander").joinpath("recipes").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """Give the text of a shipped recipe or of a file, comments and all.

    Raises: RecipeError where there is none of that name, or it cannot be read.
    """
    names, where = recipe_names(), shorten(name, 200)
    if name in names:
        return resources.files("gander").joinpath("recipes", f"{name}.toml").read_text("utf-8")
    if not name.endswith(".toml"):
        raise RecipeError(
            f"no recipe is called {show(name)}; there are: {', '.join(names)}{did_you_mean(name, names)}",
            hint="gander recipes, or the path of a .toml file",
        )
    try:
        with Path(name).open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise RecipeError(f"{where}: over 1 MiB, which is no recipe")
        return content.decode("utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise RecipeError(f"{where}: cannot be read: {reason}", hint="gander recipes") from None


def recipe_tree(name: str) -> dict[str, Any]:
    """Read a shipped recipe or a file into plain data, as it is written; RecipeError as of the two above."""
    return parse_recipe(recipe_text(name), shorten(name, 200) if name.endswith(".toml") else f"recipe {name}")


def parse_recipe(text: str, where: str) -> dict[str, Any]:
    """Read TOML text into plain data; RecipeError with line and column where it is not TOML."""
    if too_deep(text):
        raise RecipeError(f"{where}: is not a recipe: a key has more parts than any setting")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where}: is not TOML: {shorten(str(error), 150)}") from None
    except (RecursionError, ValueError):
        raise RecipeError(
            f"{where}: is not a recipe: it is nested too deep, or a number is too long"
        ) from None
