"""Signals, full disks and numbers out of range end a training with its state in order."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import time

import pytest
import torch
from safetensors.torch import load_file

from gander.errors import Interrupted, NumericsError, StorageError, exit_code
from gander.run import Run
from gander.training.checkpoint import newest_checkpoint
from gander.training.loop import resume, train
from gander.training.trainer import Trainer
from gander.training.watcher import Watcher
from tests.tiny import BATCH, Stop, command, contents, finish, start, tiny, tiny_file

LONGER = {"train.images": 40 * BATCH}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return train(tiny(folder), folder / "run")


def wait_for(there):
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_saves_the_state_says_so_and_sets_the_exit_code(number, code, tmp_path):
    run, told = Run(tmp_path / "run"), tmp_path / "told"
    recipe = tiny_file(tmp_path, patch=LONGER)
    process = start(command, "train", recipe, "--run", str(run.path), output=told)
    wait_for(lambda: run.history().images)
    os.killpg(process.pid, number)
    assert finish(process) == code
    saved, skipped = newest_checkpoint(run)
    assert skipped == []
    text = told.read_text()
    assert f"stopped by {number.name} after {saved.progress['images']} images; the state is saved" in text
    assert f"Try: gander resume {run.path}" in text
    assert "Traceback" not in text
    assert finish(start(command, "resume", str(run.path))) == 0
    assert contents(run) == contents(train(tiny(tmp_path, patch=LONGER), tmp_path / "whole"))


def test_a_signal_after_the_last_step_is_too_late_to_matter(whole, tmp_path):
    run = train(tiny(whole.path.parent), tmp_path / "run", Stop(12))
    assert contents(run) == contents(whole)


def test_handlers_are_put_back(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Interrupted):
        train(tiny(tmp_path), tmp_path / "run", Stop(3))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def train_into_a_long_step(recipe, path, reached):
    def slow(self, step=Trainer.step):
        if self.clock.steps == 6:
            reached.touch()
            time.sleep(60)
        step(self)

    Trainer.step = slow
    command("train", recipe, "--run", str(path))


def test_a_third_signal_ends_at_once_and_the_last_save_stands(whole, tmp_path):
    run, reached = Run(tmp_path / "run"), tmp_path / "reached"
    process = start(train_into_a_long_step, str(whole.recipe_file), run.path, reached)
    wait_for(reached.exists)
    os.killpg(process.pid, signal.SIGTERM)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGTERM)
    time.sleep(0.2)
    assert process.is_alive(), "the first two wait for the step"
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)
    assert finish(process) == 143
    assert time.monotonic() - began < 10
    assert newest_checkpoint(run)[0].progress["images"] == 4 * BATCH
    assert contents(resume(run)) == contents(whole)


def test_two_signals_at_once_save_as_one_does(tmp_path):
    run = Run(tmp_path / "run")
    process = start(command, "train", tiny_file(tmp_path, patch=LONGER), "--run", str(run.path))
    wait_for(lambda: run.history().images)
    os.kill(process.pid, signal.SIGTERM)
    time.sleep(0.002)
    os.kill(process.pid, signal.SIGTERM)
    assert finish(process) == 143
    assert run.state()["state"] == "stopped"
    assert newest_checkpoint(run)[0].progress["images"] == run.state()["images"]


def train_for_nobody(recipe, path):
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)
    command("train", recipe, "--run", str(path))


def test_a_reader_that_has_gone_does_not_stop_the_training(whole, tmp_path):
    run, told = Run(tmp_path / "run"), tmp_path / "told"
    assert finish(start(train_for_nobody, str(whole.recipe_file), run.path, output=told)) == 0
    assert contents(run) == contents(whole)
    assert told.read_text() == ""


def train_within(bytes_a_file, *words):
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, resource.RLIM_INFINITY))
    command(*words)


def test_a_disk_that_refuses_is_exit_5_and_nothing_is_lost(whole, tmp_path):
    largest = max(path.stat().st_size for path in whole.path.rglob("*") if path.is_file())
    reached = set()
    for limit in (0, 1_000, 2_000, 8_000, largest - 1):
        run, told = Run(tmp_path / f"run-{limit}"), tmp_path / f"told-{limit}"
        words = ("train", str(whole.recipe_file), "--run", str(run.path))
        os.mkfifo(told)  # a pipe, whose size has no limit
        with open(os.open(told, os.O_RDONLY | os.O_NONBLOCK)) as heard:
            assert finish(start(train_within, limit, *words, output=told)) == 5
            [line] = [line for line in heard if line.startswith("gander: ")]
        assert "cannot be written: File too large" in line
        if not run.path.exists():
            reached.add("nothing")
            continue
        kept = newest_checkpoint(run)[0]
        reached.add("a checkpoint" if kept else "a run")
        assert contents(resume(run)) == contents(whole)
    assert reached >= {"nothing", "a run"}, reached


def test_a_log_that_cannot_be_written_is_a_storage_error(whole, tmp_path):
    class Lose(Watcher):
        def started(self, run, images, total, notes):
            run.log_file.mkdir()

        def ended(self, state):
            self.state = state

    lose = Lose()
    with pytest.raises(StorageError, match="run: cannot be written: Is a directory") as caught:
        train(tiny(whole.path.parent), tmp_path / "run", lose)
    assert lose.state == "failed"
    assert exit_code(caught.value) == 5
    (tmp_path / "run" / "log.jsonl").rmdir()
    assert contents(resume(Run(tmp_path / "run"))) == contents(whole)


# Numbers out of range.


def poisoned(monkeypatch, spoil):
    """Spoil a trainer just before its seventh step; the last save is of four."""

    def step(self, real=Trainer.step):
        if self.clock.steps == 6:
            spoil(self)
        real(self)

    monkeypatch.setattr(Trainer, "step", step)


def weight(net, name):
    def spoil(trainer):
        with torch.no_grad():
            getattr(trainer, net).net.get_parameter(name).view(-1)[0] = float("inf")

    return spoil


def gradient(net, name):
    def spoil(trainer):
        getattr(trainer, net).net.get_parameter(name).register_hook(lambda grad: grad * float("nan"))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (weight("d", "head.score.weight"), r"loss/d is not finite.*head\.score\.weight"),
        (weight("g", "layers.0.weight"), r"loss/d is not finite"),
        (gradient("d", "layers.0.weight"), r"grad/d is not finite.*gradient of .*layers\.0\.weight"),
        (gradient("g", "layers.0.weight"), r"grad/g is not finite.*gradient of .*layers\.0\.weight"),
    ],
)
def test_the_first_number_that_is_not_finite_is_named_and_nothing_bad_is_saved(
    spoil, cause, whole, tmp_path, monkeypatch
):
    poisoned(monkeypatch, spoil)
    with pytest.raises(NumericsError, match=f"step 7, after 48 images: {cause}") as caught:
        train(tiny(whole.path.parent), tmp_path / "run")
    assert exit_code(caught.value) == 4
    monkeypatch.undo()
    run = Run(tmp_path / "run")
    saved, skipped = newest_checkpoint(run)
    assert (saved.progress["images"], skipped) == (32, [])
    assert contents(resume(run)) == contents(whole)


def test_an_average_that_is_not_finite_is_not_saved(whole, tmp_path, monkeypatch):
    def spoil(trainer):
        next(trainer.average.parameters()).data.fill_(float("nan"))

    poisoned(monkeypatch, spoil)
    with pytest.raises(
        NumericsError, match=r"after 64 images: average\..* is not finite, so it is not saved"
    ):
        train(tiny(whole.path.parent, patch={"average": {"kind": "ema"}}), tmp_path / "run")
    tensors = load_file(tmp_path / "run" / "generator.safetensors")
    assert all(tensor.isfinite().all() for tensor in tensors.values() if tensor.is_floating_point())


def test_an_absurd_learning_rate_ends_with_exit_4_and_a_sound_checkpoint(tmp_path):
    deep = {
        "train.images": 400 * BATCH,
        "train.g_lr": 1.0,
        "train.d_lr": {"from": 1e-4, "to": 1.0, "over": 100 * BATCH},
        "objective": "least_squares",
        "discriminator.layers": [{"kind": "dense", "width": 8, "activation": "linear"}] * 32,
        "every.save": 2 * BATCH,
    }
    run, told = Run(tmp_path / "run"), tmp_path / "told"
    words = ("train", tiny_file(tmp_path, patch=deep), "--run", str(run.path))
    assert finish(start(command, *words, output=told)) == 4
    [line] = [line for line in told.read_text().splitlines() if line.startswith("gander: ")]
    assert "is not finite (loss/" in line
    saved, _ = newest_checkpoint(run)
    assert all(tensor.isfinite().all() for tensor in saved.tensors.values() if tensor.is_floating_point())
    assert all("Infinity" not in json.dumps(row) for row in run.history().images)


def test_sheets_that_are_deleted_under_a_run_do_not_end_it(whole, tmp_path):
    class Tidy(Watcher):
        def started(self, run, images, total, notes):
            shutil.rmtree(run.path / "samples")

    run = train(tiny(whole.path.parent), tmp_path / "run", Tidy())
    assert run.sheets()
    assert run.state()["state"] == "finished"
