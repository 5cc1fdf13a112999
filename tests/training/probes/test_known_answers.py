"""Probes of images, nets and answers whose numbers are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gander.data.images import open_images
from gander.engine.machine import Machine
from gander.techniques.slots import Logits
from gander.training.probes import pixels, variety
from gander.training.probes.answers import answers, area
from gander.training.probes.closeness import energy
from gander.training.probes.movement import movement, recurrence
from gander.training.probes.nets import activity, dead_units, spectra
from gander.training.probes.prober import Prober, plan
from gander.training.probes.scene import make_scene, untouched
from gander.training.probes.weights import keep_weights, updates
from gander.training.trainer import Trainer
from tests.tiny import tiny


@pytest.fixture
def trainer(tmp_path):
    recipe = tiny(tmp_path, "projection")
    images = open_images(recipe.data.source, recipe.data.path)
    return Trainer(recipe, images, Machine(torch.device("cpu")))


@pytest.fixture
def scene(trainer):
    with untouched(trainer):
        return make_scene(trainer, Prober(trainer, 32).references)


def showing(scene, images):
    """The same look at other fakes."""
    return type(scene)(scene.references, scene.streams, scene.scene, scene.held_out, images, {})


def test_the_area_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    ours, theirs = rng.integers(0, 9, 40), rng.integers(0, 7, 30)
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in ours for b in theirs]
    assert float(area(torch.tensor(ours), torch.tensor(theirs))) == pytest.approx(np.mean(pairs))


def test_real_images_are_as_varied_as_real_images_and_one_image_is_not(trainer, scene):
    reals = scene.references
    same = variety.diversity(trainer, showing(scene, reals.pool[:32]))
    assert float(same["diversity"]) == pytest.approx(1, abs=0.05)
    assert float(same["diversity_features"]) == pytest.approx(1, abs=0.05)
    assert float(same["rank"]) == pytest.approx(1)
    assert float(same["repeats"]) == 0
    one = variety.diversity(trainer, showing(scene, reals.pool[:1].repeat(32, 1, 1, 1)))
    assert float(one["diversity"]) == float(one["diversity_features"]) == 0
    assert float(one["repeats"]) == 1


def test_one_collapsed_class_is_the_worst(trainer, scene):
    labels = scene.fake.labels
    images = scene.references.real.detach().clone()
    images[labels == 1] = images[0].clone()
    assert float(variety.class_diversity(trainer, showing(scene, images))["diversity_class"]) == 0


def test_shown_images_as_fakes_are_copies(trainer, scene):
    shown = variety.copies(trainer, showing(scene, scene.references.pool[:32]))
    assert float(shown["copies"]) < -3
    noise = variety.copies(trainer, showing(scene, torch.randn_like(scene.fakes)))
    assert float(noise["copies"]) > -3


def test_a_planted_pattern_is_seen_at_its_period(trainer, scene):
    real = scene.references.pool
    sign = (-1.0) ** torch.arange(8)
    two = pixels.spectrum(trainer, showing(scene, real + 0.5 * sign[:, None] * sign))
    assert float(two["checkerboard"]) > 3 > 1.1 > float(two["period4"]) > 0.9
    steps = torch.cos(torch.arange(8) * torch.pi / 2)
    four = pixels.spectrum(trainer, showing(scene, real + 0.5 * steps))
    assert float(four["period4"]) > 3 > 1.1 > float(four["checkerboard"]) > 0.9
    smooth = F.avg_pool2d(F.pad(real, (1, 1, 1, 1), "circular"), 3, 1)
    assert float(pixels.spectrum(trainer, showing(scene, smooth))["blur"]) < 0.5


def test_swapped_channels_and_another_range_are_found(trainer, scene):
    reals = scene.references
    reals.pool = (
        reals.pool * torch.tensor([1.0, 0.5, 0.2])[:, None, None]
        + torch.tensor([0.0, 0.3, -0.3])[:, None, None]
    )
    straight = pixels.colour(trainer, showing(scene, reals.pool))
    assert float(straight["colour"]) < 1e-6
    swapped = pixels.colour(trainer, showing(scene, reals.pool.flip(1)))
    assert float(swapped["colour"]) > 10
    assert float(swapped["colour_swapped"]) < 0.01
    white = pixels.saturation(trainer, showing(scene, torch.ones_like(scene.fakes)))
    assert float(white["high"]) > 0.9
    assert float(white["low"]) <= 0


def test_the_energy_distance_is_nothing_of_a_set_to_itself():
    rows = torch.randn(50, 6)
    assert float(energy(rows, rows)) == pytest.approx(0, abs=1e-3)
    assert float(energy(rows, rows + 3)) > 1


def test_the_frechet_distance_of_two_normals_is_known():
    one, four = torch.eye(3).double(), 4 * torch.eye(3).double()
    shift = torch.tensor([3.0, 0, 0]).double()
    assert float(pixels.frechet((shift * 0, one), (shift, four))) == pytest.approx(9 + 3)


def test_a_frozen_generator_does_not_move_and_its_step_is_nothing(trainer, scene):
    kept = keep_weights(trainer)
    trainer.step_d()
    numbers = updates(trainer, kept)
    assert float(numbers["frozen_g"]) == 1
    assert float(numbers["frozen_d"]) < 0.5
    assert float(numbers["update_g"]) == -12 < float(numbers["update_d"]) < 0
    with untouched(trainer):
        assert "movement" not in movement(trainer, scene)
        trainer.clock.images += 500
        assert float(movement(trainer, scene)["movement"]) == 0


def test_a_planted_cycle_recurs_and_a_straight_way_does_not():
    a, b, c = torch.randn(3, 8, 20)
    cycle = recurrence(a, torch.stack([a, b, c]))
    assert float(cycle["recurrence"]) == pytest.approx(1)
    line = recurrence(a + 3, torch.stack([a, a + 1, a + 2]))
    assert float(line["recurrence"]) == pytest.approx(-1)
    assert "recurrence" not in recurrence(a, torch.stack([b, c]))


def test_planted_dead_units_are_counted():
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(inplace=True), nn.Linear(8, 4), nn.LeakyReLU(0.2))
    with torch.no_grad():
        net[0].bias[:2] = -1e3
        net[2].bias[:] = torch.tensor([-1e3, -1e3, -1e3, 1e3])
    with activity(net) as units:
        net(torch.randn(64, 5))
    scene = SimpleNamespace(active={"d": [units], "g": []})
    assert {name: float(dead) for name, dead in dead_units(None, scene).items()} == {"dead_d": 0.75}


def test_singular_values_are_those_of_the_weights_as_used(trainer):
    largest = [float(values.max()) for values in spectra(trainer.d)]
    assert len(largest) == 4  # two convolutions, the score, the embedding of labels
    weight = trainer.g.net.layers[0].weight.detach()
    assert float(spectra(trainer.g)[0].max()) == pytest.approx(np.linalg.norm(weight, 2), rel=1e-4)


def test_a_discriminator_that_knows_images_by_heart_is_seen(trainer, scene):
    class Heart(nn.Module):
        def forward(self, images, labels):
            known = scene.references.pool.flatten(1)
            return Logits(-torch.cdist(images.flatten(1), known).amin(1))

    trainer.parts.views.clear()
    trainer.d.net = Heart()
    with untouched(trainer):
        numbers = answers(trainer, make_scene(trainer, scene.references))
    assert float(numbers["auc"]) == float(numbers["auc_held_out"]) == 1


@pytest.mark.parametrize("steps", [10, 1_000, 20_000, 10**6])
def test_probes_are_planned_within_a_fiftieth_of_the_steps(steps, tmp_path):
    recipe = tiny(tmp_path, patch={"train.batch": 64})
    every, n = plan(recipe, steps)
    looks = steps * 64 // every if every else 0
    assert looks * n * 1.2 <= 0.02 * steps * 64
    assert looks == 0 if steps == 10 else 10 <= looks <= 200
    assert plan(tiny(tmp_path, patch={"every.probe": 0}), steps)[0] == 0
