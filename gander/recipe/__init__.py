"""Recipes: schema, reading, writing."""

from gander.recipe.read import build_recipe, load_recipe, parse_recipe, recipe_names, recipe_text
from gander.recipe.schema import Recipe
from gander.recipe.write import recipe_toml

__all__ = [
    "Recipe",
    "build_recipe",
    "load_recipe",
    "parse_recipe",
    "recipe_names",
    "recipe_text",
    "recipe_toml",
]
