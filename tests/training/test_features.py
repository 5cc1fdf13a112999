"""Frozen features: learned once from the run's own images, and never again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gander.data.images import open_images
from gander.engine.machine import Machine
from gander.errors import RecipeError
from gander.nets.features import ClassFeatures, RandomFeatures, RotationFeatures
from gander.recipe.read import build_recipe, read_recipe
from gander.training.features import learn_features
from gander.training.loop import train
from gander.training.trainer import Trainer
from tests.judged import dark_and_light
from tests.tiny import tiny

CPU = Machine(torch.device("cpu"))


def test_they_are_learned_once_and_then_found_in_the_cache(tmp_path, monkeypatch):
    images = open_images(str(dark_and_light(tmp_path)))
    features = ClassFeatures(epochs=4, width=6)
    first = learn_features(features, images, CPU)
    assert first.record["accuracy"] > 0.95
    monkeypatch.setattr("gander.training.features.Classifier", None)
    assert learn_features(features, images, CPU).record == first.record
    with pytest.raises(TypeError):  # others must be learned
        learn_features(features.model_copy(update={"seed": 12}), images, CPU)


def test_without_labels_they_learn_which_side_is_up(tmp_path):
    """Images that are light above and dark below."""
    rows = np.linspace(250, 0, 8).astype(np.uint8)[None, :, None, None]
    pixels = np.broadcast_to(rows, (400, 8, 8, 3)) - np.arange(400, dtype=np.uint8)[:, None, None, None] % 5
    np.savez(tmp_path / "data.npz", images=pixels)
    images = open_images(str(tmp_path / "data.npz"))
    assert learn_features(RotationFeatures(epochs=4, width=6), images, CPU).record["accuracy"] > 0.95
    assert "accuracy" not in learn_features(RandomFeatures(width=6), images, CPU).record


def test_no_step_moves_them_and_the_heads_learn(tmp_path):
    recipe = tiny(tmp_path, "features")
    trainer = Trainer(recipe, open_images(recipe.data.path), CPU)
    before = {name: tensor.clone() for name, tensor in trainer.d.net.state_dict().items()}
    trainer.step()
    moved = {name for name, tensor in trainer.d.net.state_dict().items() if not tensor.equal(before[name])}
    assert not any(name.startswith(("features.", "heads.across.", "heads.between.")) for name in moved)
    assert any(name.startswith("heads.heads.") for name in moved)
    assert any(name.startswith("net.") for name in moved)


def test_a_recipe_says_what_its_features_lack(tmp_path):
    with pytest.raises(RecipeError, match="energy_distance stands on frozen features, and there are none"):
        tiny(tmp_path, patch={"penalties": ["energy_distance"]})
    np.savez(tmp_path / "data.npz", images=np.zeros((20, 8, 8, 3), np.uint8))
    with pytest.raises(RecipeError, match="no labels, and this recipe's features are a classifier's"):
        train(tiny(tmp_path, patch={"features": "classes"}), tmp_path / "run")
    assert build_recipe(tiny(tmp_path, patch={"features": "rotations"}).as_tree()).features.weight == 0.3


def test_labels_that_a_recipe_uses_if_they_are_there_are_left_away_where_they_are_not(tmp_path):
    np.savez(tmp_path / "data.npz", images=np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3), np.uint8))
    run = train(tiny(tmp_path, "features", {"data.labels": "if_there"}), tmp_path / "run")
    became = read_recipe(run)
    assert not became.uses_labels
    assert became.features.kind == "rotations"
    assert [penalty.kind for penalty in became.penalties] == ["energy_distance"]
