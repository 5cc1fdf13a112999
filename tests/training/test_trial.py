"""A run is calibrated once, and by that no different from one that was told the same."""

import json

import pytest
import torch

from gander.engine.calibrate import Calibration
from gander.training import trial
from gander.training.loop import train
from tests.tiny import contents, tiny

OPEN = {"engine.memory": "auto", "engine.precision": "auto", "engine.compiled": "auto"}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Calibration, "quiet", True)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tried(monkeypatch):
    """Counts the calibrations that are made."""
    made = []
    calibrate = trial.calibrate
    monkeypatch.setattr(trial, "calibrate", lambda *given: made.append(1) or calibrate(*given))
    return made


@pytest.mark.parametrize("flavour", ["projection", "lecam", "per class"])
def test_a_calibration_leaves_no_trace_in_the_run(tmp_path, tried, flavour):
    run = train(tiny(tmp_path, flavour, OPEN), tmp_path / "open")
    env = run.env()
    assert len(tried) == 1
    assert len(env["engine"]["images_per_second"]) >= 2
    told = {f"engine.{choice}": env[choice] for choice in ("memory", "precision", "compiled")}
    twin = train(tiny(tmp_path, flavour, told), tmp_path / "told")
    assert twin.env()["engine"].keys() == {"said"}
    assert twin.env()["engine"]["said"].endswith("1 thread, as the recipe says")
    ours, theirs = contents(run), contents(twin)
    for holds_the_recipe in ("recipe.toml", "generator.safetensors"):
        del ours[holds_the_recipe], theirs[holds_the_recipe]
    assert ours == theirs


def test_the_same_nets_are_not_tried_twice(tmp_path, tried):
    recipes = [
        {},
        {"seed": 3, "train.g_lr": 0.1, "train.images": 16},
        {"train.batch": 4},
        {"views": [{"kind": "diffaugment"}]},
    ]
    said = [
        train(tiny(tmp_path, patch=OPEN | edits), tmp_path / str(place)).env()["engine"]["said"]
        for place, edits in enumerate(recipes)
    ]
    assert len(tried) == 3
    assert [line.endswith("as measured before") for line in said] == [False, True, False, False]


def test_a_result_of_a_busy_machine_is_used_and_forgotten(tmp_path, tried, monkeypatch):
    monkeypatch.setattr(Calibration, "quiet", False)
    run = train(tiny(tmp_path, patch=OPEN), tmp_path / "run")
    assert run.env()["engine"]["said"].endswith("which is not kept, as the machine is busy")
    assert not (tmp_path / "cache" / "calibration").exists()
    assert json.loads(run.env_file.read_text())["memory"] in ("channels_last", "contiguous")
