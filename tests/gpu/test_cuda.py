"""What a CUDA device must do as a CPU does, and what it alone can do wrong: waits, streams, memory."""

from __future__ import annotations

import gc
import math
import os
import signal
import warnings

import pytest
import torch
from torch import nn

import gander
from gander.data.batches import Batches
from gander.data.images import open_images
from gander.engine.machine import choose_machine
from gander.errors import NumericsError
from gander.history import read_rows
from gander.nets.blocks import Head
from gander.nets.rewires import SpectralNorm
from gander.recipe.read import load_recipe, read_recipe
from gander.run import Run
from gander.training.checkpoint import newest_checkpoint
from gander.training.memory import measure_memory, with_batch
from gander.training.speed import random_images
from gander.training.state import restore_trainer, trainer_state
from gander.training.trainer import Trainer
from tests.tiny import BATCH, RESIDUAL, Notes, Stop, Watcher, finish, start, stopped_run, tiny

DEVICE = os.environ.get("GANDER_GPU_TESTS_ON", "cuda")
"""With `cpu` the tests are rehearsed where there is no CUDA device, but for those of what it alone has."""

only_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none")
pytestmark = [pytest.mark.gpu, *[only_cuda] * (DEVICE == "cuda")]
QUIET = {"every.log": 10**6, "every.samples": 0, "every.save": 0}  # nothing but steps until the end
SURE = {"discriminator.layers.2.rate": 0.0}  # a compiled net draws its dropout in its own way
LOSSES = ("loss/d", "loss/g", "grad/d", "grad/g")


def on_gpu(folder, flavour="plain", patch=None, steps=12):
    """A tiny recipe for the device; `steps` are of a flavour with one D update a step."""
    edits = {"engine.device": DEVICE, "train.images": steps * BATCH} | (patch or {})
    return tiny(folder, flavour, edits)


def columns(run, names=LOSSES):
    history = run.history()
    return {name: history.column(name) for name in names}


def alike(one, other, rel):
    for name, numbers in one.items():
        assert len(numbers) >= 2
        assert all(map(math.isfinite, numbers)), name
        assert other[name] == pytest.approx(numbers, rel=rel, abs=rel), name


@pytest.mark.parametrize("flavour", ["plain", "projection", "lecam"])
def test_bf16_and_float32_learn_alike(flavour, tmp_path):
    slow = {"train.g_lr": 2e-4, "train.d_lr": 2e-4, "every.log": 10 * BATCH}
    exact, rounded = (
        gander.train(
            on_gpu(tmp_path, flavour, slow | {"engine.precision": precision}, 100), tmp_path / precision
        )
        for precision in ("float32", "bf16")
    )
    names = ("loss/d", "loss/g", "score/real", "score/fake")
    alike(columns(exact, names), columns(rounded, names), rel=0.05)


def train_and_die(recipe, path, steps):
    gander.train(recipe, path, Stop(steps, signal.SIGKILL))


@pytest.mark.parametrize("flavour", ["plain", "lecam"])
def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(flavour, tmp_path):
    whole = gander.train(on_gpu(tmp_path, flavour), tmp_path / "whole")
    run = Run(tmp_path / "run")
    assert finish(start(train_and_die, on_gpu(tmp_path, flavour), run.path, 7)) == -signal.SIGKILL
    gander.resume(run)
    assert run.history().images == whole.history().images
    # A device adds up in an order of its own, so this holds to rounding and not to the bit.
    alike(columns(whole), columns(run), rel=0.02)


@only_cuda
def test_small_data_lie_on_the_device_and_come_without_a_wait(tmp_path, no_waits):
    images = open_images(path=tiny(tmp_path).data.path)
    ours, theirs = (Batches(images, 0, torch.device(name), mirror=True) for name in (DEVICE, "cpu"))
    with no_waits():
        pixels, labels = ours.take(60, 8)  # over the end of a pass
    assert pixels.device.type == labels.device.type == DEVICE
    expected = theirs.take(60, 8)
    torch.testing.assert_close(pixels.cpu(), expected[0])
    assert torch.equal(labels.cpu(), expected[1])


@pytest.fixture
def no_waits():
    """A context in which torch refuses to wait for the device."""

    class NoWaits:
        def __enter__(self):
            if DEVICE != "cuda":
                return
            torch.cuda.synchronize()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch calls the mode a prototype
                torch.cuda.set_sync_debug_mode("error")

        def __exit__(self, *_):
            if DEVICE == "cuda":
                torch.cuda.set_sync_debug_mode("default")

    yield NoWaits
    NoWaits().__exit__()


class Between(Watcher):
    """Be inside a context from the third step to the eighth."""

    def __init__(self, context):
        self.context, self.steps = context, 0

    def stepped(self, images):
        self.steps += 1
        if self.steps == 3:
            self.context.__enter__()
        if self.steps == 8:
            self.context.__exit__()


@pytest.mark.parametrize("flavour", ["plain", "projection", "lecam", "separate", "class head", "d_steps"])
def test_no_step_waits_for_the_device(flavour, tmp_path, no_waits):
    watcher = Between(no_waits())
    gander.train(on_gpu(tmp_path, flavour, QUIET, steps=24), tmp_path / "run", watcher)
    assert watcher.steps >= 8


def test_the_guard_names_the_step_whose_numbers_were_not_finite_first(tmp_path, monkeypatch):
    take = Batches.take

    def broken(batches, position, count):
        images, labels = take(batches, position, count)
        if position == 5 * BATCH:
            images[0, 0, 0, 0] = torch.nan
        return images, labels

    monkeypatch.setattr(Batches, "take", broken)
    lazy = QUIET | {"penalties": [{"kind": "r1", "every": 4}], "discriminator.layers.1.batch_norm": False}
    with pytest.raises(NumericsError, match=rf"^step 6, after {5 * BATCH} images: loss/d is not finite"):
        gander.train(on_gpu(tmp_path, "plain", lazy), tmp_path / "run")


@only_cuda
def test_a_training_that_ended_leaves_nothing_on_the_device(tmp_path):
    def left(name):
        gander.train(on_gpu(tmp_path, "lecam"), tmp_path / name)
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()

    left("warm up")  # a workspace of cuBLAS stays
    gc.collect()
    gc.disable()  # nets that wait for a collection lie beside those of the next training
    try:
        assert left("first") == left("second")
    finally:
        gc.enable()


@only_cuda
def test_pictures_and_files_do_not_move_the_devices_random_stream(tmp_path):
    rows = {"every.log": 3 * BATCH // 2}
    busy = rows | {"every.samples": BATCH // 2, "every.save": BATCH // 2}
    quiet = rows | {"every.samples": 0, "every.save": 0}
    runs = [  # these draw dropout on the device, and build the nets of classes to come for each picture
        gander.train(on_gpu(tmp_path, "per class", patch, 6), tmp_path / name)
        for name, patch in (("busy", busy), ("quiet", quiet))
    ]
    alike(*map(columns, runs), rel=0.01)
    before = torch.cuda.get_rng_state()
    sampler = gander.load(runs[0])
    sampler.images(sampler.draw(4), torch.tensor([0, 1, 0, 1]))
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_one_gan_a_class_is_trained_saved_and_loaded(tmp_path):
    run = gander.train(on_gpu(tmp_path, "per class", QUIET, steps=6), tmp_path / "run")
    assert [row["class"] for row in read_rows(run.log_file)] == ["circle", "square"]
    sampler = gander.load(run)
    latents = sampler.draw(1).expand(2, -1)
    circle, square = sampler.images(latents, torch.tensor([0, 1]))
    assert circle.shape == (3, 8, 8)
    assert not torch.equal(circle, square)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own
@pytest.mark.parametrize("compiled", ["nets", "graphs"])
@pytest.mark.parametrize(
    ("flavour", "edits"),
    [("projection", SURE), ("d_steps", SURE), ("class head", SURE), ("plain", RESIDUAL)],
    ids=["projection", "d_steps", "class head", "residual"],
)
def test_compiled_nets_learn_as_plain_ones(flavour, edits, compiled, tmp_path):
    plain, other = (
        gander.train(
            on_gpu(tmp_path, flavour, edits | {"views": [], "engine.compiled": choice}, 24), tmp_path / choice
        )
        for choice in ("off", compiled)
    )
    alike(columns(plain), columns(other), rel=1e-3)


@only_cuda
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_graphs_are_captured_and_not_quietly_left_out(tmp_path):
    from torch._dynamo.utils import counters

    counters.clear()
    gander.train(on_gpu(tmp_path, "projection", SURE | {"engine.compiled": "graphs"}, 24), tmp_path / "run")
    assert not counters["inductor"]["cudagraph_skips"]
    assert not counters["graph_break"]


@only_cuda
@pytest.mark.parametrize("flavour", ["plain", "lecam", "projection"])
@pytest.mark.parametrize("there", [True, False], ids=["to the GPU", "to the CPU"])
def test_a_run_goes_on_with_a_device_of_another_kind(there, flavour, tmp_path, monkeypatch):
    def choose(has_cuda):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)

    choose(not there)
    run = stopped_run(on_gpu(tmp_path, flavour, {"engine.device": "auto"}), tmp_path / "run", 7)
    assert run.env()["device"].startswith("cpu" if there else "cuda")
    saved = newest_checkpoint(run)[0]
    recipe, images = read_recipe(run), open_images(path=tiny(tmp_path).data.path)
    choose(there)
    trainer = Trainer(recipe, images, choose_machine(recipe.engine))
    restore_trainer(trainer, saved.tensors, saved.progress["images"], saved.progress["steps"])
    state = trainer_state(trainer)
    assert {name for name in state if not torch.equal(state[name], saved.tensors[name])} == set()
    heard = Notes()
    gander.resume(run, heard)
    assert any(note.startswith("not bit-identical from here on: device_name") for note in heard.notes)
    assert all(math.isfinite(number) for numbers in columns(run).values() for number in numbers)


def test_the_nets_compute_in_bf16_and_all_that_adds_up_is_float32(tmp_path, monkeypatch):
    seen = []

    def heard(net, images, labels, call=Head.forward):
        logits = call(net, images, labels)
        seen.append((logits.score.dtype, images.device.type))
        return logits

    monkeypatch.setattr(Head, "forward", heard)
    run = gander.train(on_gpu(tmp_path, "lecam", {"engine.precision": "bf16"}), tmp_path / "run")
    assert {*seen} == {(torch.bfloat16, DEVICE)}
    assert run.env()["precision"] == "bf16"
    saved = newest_checkpoint(run)[0].tensors
    assert {tensor.dtype for tensor in saved.values()} <= {torch.float32, torch.float64, torch.int64}


def shipped(name, batch, precision):
    recipe = load_recipe(name, [f"train.batch={batch}", f"engine.precision={precision}"])
    recipe = recipe.patched([f"engine.device={DEVICE}"])
    return recipe, random_images(recipe), choose_machine(recipe.engine)


@only_cuda
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", ["cifar10-dcgan", "cifar10-sngan", "cifar10-r3"])
def test_a_step_takes_the_memory_that_was_predicted(name, precision):
    recipe, images, machine = shipped(name, 256, precision)
    predicted = measure_memory(recipe, images, machine).at(256)
    gc.collect()
    before = torch.cuda.memory_allocated()
    trainer = Trainer(recipe, images, machine)
    resident = images.pixels.nbytes
    for _ in range(3):  # the first looks for the fastest algorithm, which may take what it likes
        torch.cuda.reset_peak_memory_stats()
        trainer.step()
    taken = torch.cuda.max_memory_allocated() - before - resident
    assert taken == pytest.approx(predicted, rel=0.15)


@only_cuda
def test_the_batch_that_is_said_to_fit_fits_and_much_more_does_not():
    recipe, images, machine = shipped("cifar10-dcgan", 65_536, "float32")
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(machine.device).total_memory
    torch.cuda.set_per_process_memory_fraction(2 * 2**30 / whole)
    try:
        trainer = Trainer(recipe, images, machine)
        with pytest.raises(torch.OutOfMemoryError):
            trainer.step()
        del trainer
        gc.collect()
        torch.cuda.empty_cache()
        fits = measure_memory(recipe, images, machine).largest(0.9 * 2 * 2**30)
        trainer = Trainer(with_batch(recipe, fits - fits % 8), images, machine)
        trainer.step()
        trainer.step()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("layer", [nn.Conv2d(8, 20, 3), nn.Linear(30, 20), nn.ConvTranspose2d(20, 8, 4)])
def test_spectral_norm_is_float32_to_the_bit_where_the_net_is_bf16(layer):
    net = nn.Sequential(layer).to(DEVICE)
    SpectralNorm()(net)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with torch.no_grad():
        exact = layer.weight.clone()
        net.load_state_dict(before)
        with torch.autocast(DEVICE, torch.bfloat16):
            rounded = layer.weight
    assert rounded.dtype == torch.float32
    assert torch.equal(exact, rounded)
