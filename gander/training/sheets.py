"""The contact sheets of a run: the same latents every time, and real images in the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gander.data.images import Images
from gander.generation.load import Sampler
from gander.pictures.sheet import contact_sheet, save_png
from gander.recipe.schema import Recipe

_SAMPLE_SEED = 20_131  # of the fixed latents, beside the run's own seed


def draw_samples(sampler: Sampler, recipe: Recipe, file: Path) -> None:
    """Draw images of the fixed latents, a row a class where there are classes."""
    names = sampler.classes if sampler.conditional else ()
    rows, columns = len(names) or recipe.samples.rows, recipe.samples.columns
    latents = sampler.draw(rows * columns, recipe.seed + _SAMPLE_SEED)
    labels = torch.arange(rows).repeat_interleave(columns)
    images = sampler.images(latents, labels if sampler.conditional else None)
    file.parent.mkdir(exist_ok=True)  # somebody may have tidied up
    save_png(contact_sheet(images.numpy(), columns, row_names=names), file)


def draw_reals(images: Images, recipe: Recipe, file: Path) -> None:
    """Draw real images, with the rows of the samples where every class has enough."""
    names = images.classes if recipe.uses_labels or recipe.train.per_class else ()
    rows, columns = len(names) or recipe.samples.rows, recipe.samples.columns
    chosen = np.arange(min(rows * columns, len(images)))
    if names and images.labels is not None:
        of_class = [np.flatnonzero(images.labels == label)[:columns] for label in range(rows)]
        if all(len(places) == columns for places in of_class):
            chosen = np.concatenate(of_class)
    full = len(chosen) == rows * columns
    save_png(contact_sheet(images.pixels[chosen], columns, row_names=names if full else ()), file)
