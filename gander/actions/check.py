"""What is wrong with a recipe and its data, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gander.data.facts import describe
from gander.doctor.case import Case
from gander.doctor.facts import facts
from gander.doctor.finding import Finding
from gander.recipe.read import load_recipe
from gander.recipe.schema import Recipe
from gander.training.loop import open_data
from gander.training.trainer import held_out_of, image_shape


def check(recipe: Recipe | str, patch: Mapping[str, Any] | Sequence[str] = ()) -> list[Finding]:
    """Give what is wrong by recipe and data alone, the worst first; nothing is trained.

    Raises: what `train` would before its first step: RecipeError, DataError.
    """
    asked = recipe.patched(patch) if isinstance(recipe, Recipe) else load_recipe(recipe, patch)
    asked, images = open_data(asked)
    held_out_of(asked, len(images))
    with torch.device("meta"):  # nets without weights tell whether they fit the data
        asked.generator.build(image_shape(asked, images), asked.latents.dim)
        asked.discriminator.build(image_shape(asked, images))
    sizes = images.counts().tolist() if asked.train.per_class else [len(images)]
    total = sum(asked.steps_for(size, len(sizes)) for size in sizes) * asked.shown_per_step
    return facts(Case(asked.as_tree(), describe(images), total=total))
