"""`gander bench`: its table, and what it refuses before any work."""

import json

import pytest

from gander.engine.machine import choose_machine
from gander.recipe.schema import Engine
from gander.training.speed import Speed, measure_speed


@pytest.fixture
def asked(monkeypatch):
    """A machine of 16 GFLOP/s, on which every recipe runs at 8 images of 1 GFLOP a second."""
    asked = []

    def measured(recipe, rounds, seconds):
        asked.append((recipe, rounds, seconds))
        machine = choose_machine(Engine(device="cpu", precision="float32"))
        return Speed(machine, 4, 1.0, [8.0] * rounds, {"float32": 16.0, "bf16": 50.0})

    monkeypatch.setattr("gander.training.speed.measure_speed", measured)
    return asked


def test_a_recipe_is_a_share_of_the_matrix_product_in_its_own_precision(gander, asked):
    out = gander("bench", "mnist-dcgan", "--rounds", 3).out
    assert "8.0" in out
    assert "50% of 16 GFLOP/s" in out
    assert "best matrix product here: 16 GFLOP/s in float32, 50 GFLOP/s in bf16" in out
    assert asked[0][1:] == (3, 1.0)


def test_the_same_as_json(gander, asked):
    (row,) = json.loads(gander("bench", "mnist-dcgan", "--json").out)["speed"]
    assert (row["images_per_second"], row["of_matrix_product"]) == (8.0, 0.5)


def test_without_a_recipe_all_are_measured(gander, asked):
    gander("bench")
    assert len(asked) >= 17


def test_data_alone_are_decoded_into_a_store_of_their_own(gander, asked, tmp_path, monkeypatch):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path / "cache"))
    answer = json.loads(gander("bench", "--data", "shapes", "--json").out)["data"]
    assert asked == []
    assert answer["images"] > 0 < answer["decode_seconds"]
    assert not (tmp_path / "cache").exists()


def test_a_mistake_is_named_before_any_work(gander, asked):
    answer = gander("bench", "cifar10-dgan")
    assert (answer.code, asked) == (2, [])
    assert 'cifar10-dgan: no recipe; did you mean "cifar10-dcgan"?' in answer.err


def test_a_recipe_is_measured_in_turns_with_the_matrix_product():
    from gander.recipe.read import load_recipe

    edits = ("engine.threads=1", "engine.precision=float32", "engine.device=cpu", "train.batch=8")
    speed = measure_speed(load_recipe("mnist-dcgan", edits), rounds=2, seconds=0.01)
    assert (speed.batch, len(speed.rounds)) == (8, 2)
    assert 0 < speed.share < 1.5
