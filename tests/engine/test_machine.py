"""What a run trains on is chosen once, said, and the same when it goes on."""

from __future__ import annotations

import os

import pytest
import torch

from gander.engine import machine as module
from gander.engine import neighbours
from gander.engine.distributed import process_group
from gander.engine.machine import choose_machine, multiplies_bf16, settings_restored
from gander.errors import UsageError, exit_code
from gander.recipe.schema import Engine
from gander.training.checkpoint import newest_checkpoint
from gander.training.loop import resume, train
from tests.tiny import Notes, stopped_run, tiny


@pytest.fixture(autouse=True)
def nobody_asks_for_threads(monkeypatch):
    """The tests themselves run with OMP_NUM_THREADS=1, which would decide."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch, tmp_path):
    monkeypatch.setattr(neighbours, "_STAT", tmp_path / "none")  # whoever else is busy here is not the matter
    with settings_restored():
        yield


@pytest.fixture
def no_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def cpu_with(monkeypatch):
    """Let the CPU have these flags, and no others."""
    return lambda *flags: monkeypatch.setattr(module, "_cpu", lambda _: " ".join(flags))


def test_a_device_that_is_not_there_is_told_with_those_that_are(no_accelerator):
    with pytest.raises(UsageError, match=r'engine.device = "cuda": there is none; there are: cpu') as caught:
        choose_machine(Engine(device="cuda"))
    assert exit_code(caught.value) == 2


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ("sse4_2 avx2", "float32"),
        ("avx2 avx512f avx512_vnni", "float32"),  # torch says that it has bf16, and emulates it
        ("avx2 avx512f avx512_bf16", "bf16"),
        ("avx512f avx512_bf16 amx_bf16 amx_tile", "bf16"),
    ],
)
def test_a_cpu_computes_in_bf16_where_it_multiplies_it(no_accelerator, cpu_with, flags, precision):
    cpu_with(flags)
    machine = choose_machine(Engine())
    assert (machine.device.type, machine.precision) == ("cpu", precision)
    assert (machine.memory, machine.compiled) == ("channels_last", "off")
    assert choose_machine(Engine(precision="float32")).precision == "float32"
    assert choose_machine(Engine(precision="bf16")).precision == "bf16"


def test_a_gpu_that_only_emulates_bf16_computes_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert not multiplies_bf16("cuda")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert multiplies_bf16("cuda")


def test_the_nets_alone_compute_in_the_precision(no_accelerator):
    layer, ones = torch.nn.Linear(2, 2), torch.ones(1, 2)
    with choose_machine(Engine(precision="float32", threads=1)).autocast():
        assert layer(ones).dtype == torch.float32
    with choose_machine(Engine(precision="bf16", threads=1)).autocast():
        assert layer(ones).dtype == torch.bfloat16


def test_threads_are_the_recipes_or_those_of_before_or_a_share_of_the_cores(no_accelerator, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {*range(6)})
    before = {"device": "cpu", "threads": 2}
    assert choose_machine(Engine(threads=3), before).threads == torch.get_num_threads() == 3
    assert choose_machine(Engine(), before).threads == torch.get_num_threads() == 2
    assert choose_machine(Engine()).threads == 6
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert choose_machine(Engine()).threads == 1


def test_a_run_goes_on_with_the_threads_it_began_with(no_accelerator, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    run = stopped_run(tiny(tmp_path, patch={"engine.threads": 0}), tmp_path / "run", 1)
    assert run.env()["threads"] == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {*range(8)})
    used = []
    heard = Notes()
    monkeypatch.setattr(heard, "stepped", lambda _: used.append(torch.get_num_threads()))
    resume(run, heard)
    assert {*used} == {3}
    assert heard.notes == []


def test_what_was_chosen_for_another_kind_of_device_is_left_behind(no_accelerator, cpu_with):
    cpu_with("avx2")
    gpu = {
        "device": "cuda:0",
        "precision": "bf16",
        "memory": "contiguous",
        "threads": 64,
        "compiled": "graphs",
    }
    assert choose_machine(Engine(), gpu) == choose_machine(Engine())


def test_tf32_is_refused_where_there_is_none():
    with pytest.raises(UsageError, match=r'engine.precision = "tf32": only CUDA devices have it'):
        choose_machine(Engine(device="cpu", precision="tf32"))


def test_a_mac_trains_on_its_cpu_unless_asked_and_then_says_that_it_is_untried(no_accelerator, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_machine(Engine()).device.type == "cpu"
    asked = choose_machine(Engine(device="mps"))
    assert (asked.device.type, asked.precision) == ("mps", "float32")
    assert asked.said.endswith("gander has not been run on such a device yet")


def test_more_processes_than_gpus_are_told_of(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name, value in (("RANK", "1"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=r"LOCAL_RANK = 1: .* there is one") as caught, process_group(True):
        pass
    assert "--nproc-per-node 1" in str(caught.value)


def test_a_training_leaves_the_settings_of_the_process_as_they_were(tmp_path, monkeypatch):
    torch.set_num_threads(2)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    torch.set_float32_matmul_precision("high")
    train(tiny(tmp_path, patch={"engine.threads": 1}), tmp_path / "run")
    assert torch.get_num_threads() == 2
    assert torch.get_float32_matmul_precision() == "high"
    with settings_restored():
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("highest")
    assert not torch.backends.cudnn.benchmark
    assert torch.get_float32_matmul_precision() == "high"


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


def test_omp_num_threads_is_a_wish_that_no_neighbour_changes(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    machine = choose_machine(Engine(device="cpu"))
    assert (machine.threads, machine.gives_way) == (3, False)
