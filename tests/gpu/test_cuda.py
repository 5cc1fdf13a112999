"""What a CUDA device must do as a CPU does, and what it alone can do wrong: waits, streams, memory."""

from __future__ import annotations

import gc
import math
import signal
import warnings

import pytest
import torch
from torch import nn

import gander
from gander.data.batches import Batches
from gander.data.images import open_images
from gander.errors import NumericsError
from gander.history import read_rows
from gander.nets.rewires import SpectralNorm
from gander.run import Run
from tests.tiny import BATCH, Stop, Watcher, finish, start, tiny

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none"),
]

DEVICE = "cuda"
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
            torch.cuda.synchronize()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch calls the mode a prototype
                torch.cuda.set_sync_debug_mode("error")

        def __exit__(self, *_):
            torch.cuda.set_sync_debug_mode("default")

    yield NoWaits
    torch.cuda.set_sync_debug_mode("default")


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
@pytest.mark.parametrize("flavour", ["projection", "d_steps"])
def test_compiled_nets_learn_as_plain_ones(flavour, compiled, tmp_path):
    plain, other = (
        gander.train(
            on_gpu(tmp_path, flavour, SURE | {"views": [], "engine.compiled": choice}, 24), tmp_path / choice
        )
        for choice in ("off", compiled)
    )
    alike(columns(plain), columns(other), rel=1e-3)


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
