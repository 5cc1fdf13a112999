"""Images that a tiny GAN learns something of within thirty steps: bright squares on black."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gander.doctor.finding import Finding, Prediction
from gander.recipe.schema import Recipe
from tests.tiny import tiny

BATCH = 32
_WIDE = {f"{net}.layers.{place}.width": 16 for net in ("generator", "discriminator") for place in (0, 1)}
_EVERY = {"every.save": 5 * BATCH, "every.keep": 9, "every.samples": 10**6}
_PATCH: dict[str, Any] = _EVERY | {"train.batch": BATCH, "train.images": 20 * BATCH}


def bright(folder: Path, patch: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe on 256 of them, of 8 x 8, that trains 20 steps."""
    rng = np.random.default_rng(0)
    images = np.zeros((256, 8, 8, 3), np.uint8)
    for image in images:
        y, x = rng.integers(0, 5, 2)
        image[y : y + 4, x : x + 4] = rng.integers(100, 256, 3)
    if not (folder / "data.npz").exists():
        np.savez(folder / "data.npz", images=images, labels=np.arange(256) % 2, classes=["a", "b"])
    return tiny(folder, patch=_WIDE | _PATCH | dict(patch or {}))


def finding(
    *remedies: str, since: int = 0, predicts: str = "probe/auc above 0.6", within: int = 960
) -> Finding:
    """A finding with these remedies, each a patch as it is typed, and a prediction for them."""
    column, direction, bound = predicts.split()
    predicted = Prediction(column, direction, float(bound), within)  # type: ignore[arg-type]
    patches = tuple(tuple(remedy.split()) for remedy in remedies)
    return Finding(
        "d-uninformed", "warning", 0.8, "D is no teacher", since, remedy=patches, prediction=predicted
    )
