"""The memory of a step is said before the step is made, and a batch that is too large with one that fits."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from gander.data.images import open_images
from gander.engine.machine import Machine
from gander.errors import UsageError, exit_code
from gander.recipe.read import load_recipe
from gander.training import memory as module
from gander.training.loop import train
from gander.training.memory import Memory, measure_memory
from gander.training.speed import random_images
from gander.training.state import trainer_state
from gander.training.trainer import Trainer
from tests.tiny import FLAVOURS, RESIDUAL, tiny

CPU = torch.device("cpu")
MIB = 2**20


@pytest.mark.parametrize("flavour", [*FLAVOURS, "residual"])
def test_two_small_steps_tell_to_the_byte_what_is_alive_in_a_large_one(flavour, tmp_path, monkeypatch):
    recipe = tiny(tmp_path, *(["plain", RESIDUAL] if flavour == "residual" else [flavour]))
    images, machine = open_images(path=recipe.data.path), Machine(CPU)
    predicted = measure_memory(recipe, images, machine).at(48)
    monkeypatch.setattr(module, "_LARGE", 48)  # is made, and not predicted
    made = measure_memory(recipe, images, machine).at(48)
    # An energy distance compares all with all, which grows with the square of the batch, from little.
    assert predicted == (pytest.approx(made, rel=0.01) if flavour == "features" else made)


def test_weights_moments_average_and_activations_are_all_in_it(tmp_path):
    recipe = tiny(tmp_path, "projection")
    images = open_images(path=recipe.data.path)
    memory = measure_memory(recipe, images, Machine(CPU))
    trainer = Trainer(recipe, images, Machine(CPU))
    g, d = (sum(w.nbytes for w in learner.weights) for learner in (trainer.g, trainer.d))
    kept = 4 * g + 3 * d  # each with two moments, and G's average
    assert kept <= memory.at(0) < 2 * kept
    images_alone = 4 * 3 * 8 * 8 * 2  # real and fake ones
    assert memory.at(101) - memory.at(100) > images_alone


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", ["shapes-dcgan", "shapes-sngan", "shapes-r3"])
@pytest.mark.slow
def test_what_an_allocator_gives_out_is_what_was_predicted_within_15_per_cent(name, precision):
    recipe, machine = load_recipe(name, ()), Machine(CPU, precision)
    images, batch = random_images(recipe), recipe.train.batch
    predicted = measure_memory(recipe, images, machine).at(batch)
    trainer = Trainer(recipe, images, machine)
    trainer.step()
    kept = sum(tensor.nbytes for tensor in trainer_state(trainer).values())
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        trainer.step()
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    assert predicted == pytest.approx(kept + most, rel=0.15)


def test_the_largest_batch_is_the_one_whose_worst_moment_fits():
    memory = Memory([(100.0, 1.0), (10.0, 3.0), (50.0, 0.0)])
    assert [memory.at(batch) for batch in (0, 45, 60)] == [100, 145, 190]
    assert [memory.largest(room) for room in (190, 189.9, 145, 99)] == [60, 59, 45, 0]


@pytest.mark.parametrize(
    ("mib", "hint"), [(8, "train.batch=48"), (2, "train.batch=8"), (0, "narrower nets, for no batch fits")]
)
def test_too_large_a_batch_is_told_with_what_to_type(mib, hint, tmp_path, monkeypatch):
    def full(trainer):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(module, "measure_memory", lambda *_: Memory([(MIB / 2, MIB / 8)]))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (mib * MIB / 4, 0))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: mib * MIB * 3 / 4)
    monkeypatch.setattr(Trainer, "step", full)
    with pytest.raises(UsageError) as caught:
        train(tiny(tmp_path, patch={"train.batch": 64}), tmp_path / "run")
    assert caught.value.hint == hint
    assert str(caught.value).startswith("train.batch = 64: takes about 0.0083 GiB; cpu has ")
    assert exit_code(caught.value) == 2
