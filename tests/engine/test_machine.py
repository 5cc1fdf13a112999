"""What a run trains on is chosen once, said, and the same when it goes on."""

from __future__ import annotations

import os

import pytest
import torch

from gander.engine.machine import choose_machine
from gander.errors import UsageError, exit_code
from gander.recipe.schema import Engine
from gander.training.checkpoint import newest_checkpoint
from gander.training.loop import resume, train
from tests.tiny import Notes, stopped_run, tiny


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_a_device_that_is_not_there_is_told_with_those_that_are(no_accelerator):
    with pytest.raises(UsageError, match=r'engine.device = "cuda": there is none; there are: cpu') as caught:
        choose_machine(Engine(device="cuda"))
    assert exit_code(caught.value) == 2


def test_a_cpu_computes_in_float32_unless_asked(no_accelerator):
    machine = choose_machine(Engine(threads=1))
    assert (machine.device.type, machine.precision) == ("cpu", "float32")
    layer, ones = torch.nn.Linear(2, 2), torch.ones(1, 2)
    with machine.autocast():
        assert layer(ones).dtype == torch.float32
    with choose_machine(Engine(precision="bf16", threads=1)).autocast():
        assert layer(ones).dtype == torch.bfloat16


def test_threads_are_the_recipes_or_those_of_before_or_a_share_of_the_cores(no_accelerator, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {*range(6)})
    assert choose_machine(Engine(threads=3), {"threads": 2}).threads == torch.get_num_threads() == 3
    assert choose_machine(Engine(), {"threads": 2}).threads == torch.get_num_threads() == 2
    assert choose_machine(Engine()).threads == 6
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert choose_machine(Engine()).threads == 1


def test_a_run_goes_on_with_the_threads_it_began_with(no_accelerator, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    run = stopped_run(tiny(tmp_path, patch={"engine.threads": 0}), tmp_path / "run", 1)
    began_with = run.env()["threads"]
    assert began_with in (1, 3)  # what was faster
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {*range(8)})
    heard = Notes()
    resume(run, heard)
    assert torch.get_num_threads() == began_with
    assert heard.notes == []


def test_a_run_says_what_it_was_made_with(tmp_path):
    env = train(tiny(tmp_path), tmp_path / "run").env()
    assert env["torch"] == torch.__version__
    assert (env["device"], env["threads"], env["processes"]) == ("cpu", 1, 1)
    assert env["images_total"] == 96
    assert {name: env["data"][name] for name in ("images", "channels", "size", "classes")} == {
        "images": 64,
        "channels": 3,
        "size": 8,
        "classes": ["circle", "square"],
    }
    assert len(env["data"]["fingerprint"]) == 64


def test_bf16_trains_on_a_cpu_and_saves_float32(tmp_path):
    run = train(tiny(tmp_path, patch={"engine.precision": "bf16", "train.images": 16}), tmp_path / "run")
    assert run.env()["precision"] == "bf16"
    saved = newest_checkpoint(run)[0].tensors
    weights = [tensor for name, tensor in saved.items() if name.endswith("weight")]
    assert len(weights) > 5
    assert {weight.dtype for weight in weights} == {torch.float32}
