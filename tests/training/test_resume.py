"""A run that was stopped goes on as if it had not been."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
import torch

from gander.errors import CheckpointError, DataError, Interrupted, StorageError
from gander.run import Run
from gander.training.checkpoint import newest_checkpoint, save_checkpoint
from gander.training.loop import resume, train
from tests.tiny import BATCH, FLAVOURS, Notes, Stop, command, contents, finish, start, stopped_run, tiny


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Train each flavour once without a stop."""
    runs = {}

    def trained(flavour):
        if flavour not in runs:
            folder = tmp_path_factory.mktemp("whole")
            runs[flavour] = train(tiny(folder, flavour), folder / "run")
        return runs[flavour]

    return trained


def other_fate():
    """Leave this process as a fresh one might be: with random streams at other places."""
    torch.manual_seed(random.randrange(2**32))
    np.random.seed(random.randrange(2**32))


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    "apart", [pytest.param(1, marks=pytest.mark.slow), 2], ids=["each step", "each second"]
)
def test_a_run_stopped_again_and_again_ends_in_the_same_bytes(apart, flavour, whole, tmp_path):
    run = stopped_run(tiny(whole(flavour).path.parent, flavour), tmp_path / "run", 1)
    stops = 1
    while True:
        other_fate()
        try:
            resume(run, Stop(apart))
            break
        except Interrupted:
            stops += 1
    assert stops in ((5, 6) if apart == 2 else (10, 11))
    assert contents(run) == contents(whole(flavour))


@pytest.mark.slow
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_crash_between_saves_leaves_no_trace_at_the_end(flavour, whole, tmp_path):
    class Crash(Stop):
        def stepped(self, images):
            self.steps_left -= 1
            if self.steps_left == 0:
                raise MemoryError

    with pytest.raises(MemoryError):
        train(tiny(whole(flavour).path.parent, flavour), tmp_path / "run", Crash(11))
    other_fate()
    run = resume(Run(tmp_path / "run"))
    assert contents(run) == contents(whole(flavour))
    assert {*os.listdir(run.checkpoints)} == {*os.listdir(whole(flavour).checkpoints)}


# Left out, each makes the run that goes on refuse to start, or end in other bytes.
TENSORS = (
    *("g", "d", "average", "g_optimiser", "d_optimiser"),
    *("stats", "penalties.lecam"),
)
PROGRESS = ("stage", "images", "steps", "log_rows", "metrics_rows", "digests")


def rewritten(run, tensors, progress):
    """Replace all checkpoints of a run by a whole one that holds other things."""
    shutil.rmtree(run.checkpoints)
    run.checkpoints.mkdir()
    save_checkpoint(run, progress["images"], tensors, progress, keep=2)
    return run


def is_noticed(run, whole):
    other_fate()
    try:
        return contents(resume(run)) != contents(whole)
    except CheckpointError:
        return True


@pytest.fixture
def midway(whole, tmp_path):
    """A run of the flavour with most kinds of state, stopped between two rows of its log."""
    return stopped_run(tiny(whole("lecam").path.parent, "lecam"), tmp_path / "run", 7)


def test_the_kinds_of_state_below_are_all_there_are(midway):
    saved, _ = newest_checkpoint(midway)
    assert {kind for kind in TENSORS for name in saved.tensors if name.startswith(f"{kind}.")} == {*TENSORS}
    assert all(name.startswith(tuple(f"{kind}." for kind in TENSORS)) for name in saved.tensors)
    assert {*saved.progress} == {"format", *PROGRESS}


def test_the_same_checkpoint_rewritten_changes_nothing(midway, whole):
    saved, _ = newest_checkpoint(midway)
    assert not is_noticed(rewritten(midway, saved.tensors, saved.progress), whole("lecam"))


@pytest.mark.parametrize("kind", TENSORS)
def test_no_kind_of_tensor_can_be_left_out(kind, midway, whole):
    saved, _ = newest_checkpoint(midway)
    left = {name: saved.tensors[name] for name in saved.tensors if not f"{name}.".startswith(f"{kind}.")}
    assert len(left) < len(saved.tensors)
    assert is_noticed(rewritten(midway, left, saved.progress), whole("lecam"))


@pytest.mark.parametrize("key", ["images", "steps", "log_rows"])
def test_no_count_can_be_another(key, midway, whole):
    saved, _ = newest_checkpoint(midway)
    progress = saved.progress | {key: saved.progress[key] - 1}
    assert is_noticed(rewritten(midway, saved.tensors, progress), whole("lecam"))


def test_a_tensor_too_many_is_refused_by_name(midway):
    saved, _ = newest_checkpoint(midway)
    rewritten(midway, saved.tensors | {"h.weight": torch.zeros(2)}, saved.progress)
    with pytest.raises(CheckpointError, match=r"h\.weight, which this recipe has no place for"):
        resume(midway)


def test_a_tensor_of_another_shape_is_refused_by_name(midway):
    saved, _ = newest_checkpoint(midway)
    rewritten(midway, saved.tensors | {"d.head.score.bias": torch.zeros(2)}, saved.progress)
    with pytest.raises(CheckpointError, match=r"d\.head\.score\.bias has shape \(2,\).*wants \(1,\)"):
        resume(midway)


@pytest.mark.parametrize(
    "moment", [torch.zeros(()), torch.zeros(3), torch.zeros(1, dtype=torch.float64), torch.zeros(1).long()]
)
def test_a_moment_of_another_shape_or_type_never_reaches_the_kernel(moment, midway):
    saved, _ = newest_checkpoint(midway)
    name = "d_optimiser.head.score.bias.exp_avg"
    assert saved.tensors[name].shape == (1,)
    rewritten(midway, saved.tensors | {name: moment}, saved.progress)
    with pytest.raises(CheckpointError, match=r"d_optimiser\.head\.score\.bias\.\w+, which this recipe"):
        resume(midway)


def test_other_data_under_the_same_path_is_refused(tmp_path):
    run = stopped_run(tiny(tmp_path), tmp_path / "run", 6)
    before = contents(run)
    np.savez(tmp_path / "data.npz", images=np.zeros((64, 8, 8, 3), np.uint8), labels=np.arange(64) % 2)
    with pytest.raises(DataError, match="is not the data this run began with"):
        resume(run)
    assert contents(run) == before


def test_other_circumstances_are_told_not_hidden(tmp_path):
    run = stopped_run(tiny(tmp_path), tmp_path / "run", 2)
    env = run.env()
    run.env_file.write_text(run.env_file.read_text().replace(f'"torch": "{env["torch"]}"', '"torch": "2.0"'))
    heard = Notes()
    resume(run, heard)
    assert heard.notes == [f"not bit-identical from here on: torch was 2.0, is {env['torch']}"]


def test_adaptive_augmentation_goes_on_with_the_probability_it_had(tmp_path):
    ada = {"views": [{"kind": "ada", "start": 0.5, "target": -1.0, "every": 2, "speed": 1000}]}
    recipe = tiny(tmp_path, "lecam", ada)
    whole = train(recipe, tmp_path / "whole")
    run = stopped_run(recipe, tmp_path / "run", 5)  # between two moves of p
    resume(run)
    assert contents(run) == contents(whole)
    assert whole.history().last("ada/p") > 0.5


def test_a_run_of_a_gpu_goes_on_on_a_cpu(tmp_path):
    plain = {"engine.precision": "auto", "engine.memory": "auto", "engine.compiled": "auto"}
    recipe = tiny(tmp_path, "lecam", plain)
    whole = train(recipe, tmp_path / "whole")
    run = stopped_run(recipe, tmp_path / "run", 5)
    gpu = {"device": "cuda:0", "precision": "tf32", "compiled": "graphs", "device_name": "a GPU"}
    run.env_file.write_text(json.dumps(run.env() | gpu))
    heard = Notes()
    resume(run, heard)
    assert "not bit-identical from here on: compiled was graphs, is off" in heard.notes
    assert contents(run) == contents(whole)  # for nothing random was saved that only a GPU could go on from


def test_a_finished_run_resumed_stays_as_it_is(whole):
    before = contents(whole("plain"))
    assert contents(resume(whole("plain"))) == before


def test_what_a_kill_after_the_last_save_left_is_swept_up(whole, tmp_path):
    run = Run(shutil.copytree(whole("plain").path, tmp_path / "run"))
    kept = sorted(os.listdir(run.checkpoints))
    for left in ("images-000000000001", f".{kept[0]}-1.draft", f".replaced-{kept[0]}"):
        shutil.copytree(run.checkpoints / kept[0], run.checkpoints / left)
    resume(run)
    assert sorted(os.listdir(run.checkpoints)) == kept
    assert contents(run) == contents(whole("plain"))


def killed(process, delay):
    """Kill -9 a process and all it started after a while; tell whether it came in time."""
    time.sleep(delay)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    code = finish(process)
    assert code in (0, -signal.SIGKILL)
    return code != 0


def words_for(run, recipe):
    return ("resume", str(run.path)) if run.path.exists() else ("train", recipe, "--run", str(run.path))


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_kills_at_random_moments_leave_no_trace(kills, whole, tmp_path):
    rng, landed, rounds = random.Random(kills), 0, 0
    while landed < kills:
        like = whole(("lecam", "per class")[rounds % 2])
        run = Run(tmp_path / f"run-{rounds}")
        for _ in range(min(10, kills - landed)):
            process = start(command, *words_for(run, str(like.recipe_file)))
            landed += killed(process, rng.uniform(0, 0.5))
        assert finish(start(command, *words_for(run, str(like.recipe_file)))) == 0
        assert contents(run) == contents(like)
        assert {*os.listdir(run.checkpoints)} == {*os.listdir(like.checkpoints)}
        assert {*os.listdir(run.path)} == {*os.listdir(like.path)} | {"curves.png"}
        rounds += 1


@pytest.mark.slow
def test_kills_of_real_processes_leave_no_trace(tmp_path):
    longer = {"train.images": 100 * BATCH}
    like = train(tiny(tmp_path, patch=longer), tmp_path / "whole")
    run = Run(tmp_path / "run")
    for rows in (1, 5, 12, None):
        words = words_for(run, str(like.recipe_file))
        process = subprocess.Popen([sys.executable, "-m", "gander", *words], start_new_session=True)
        while rows is not None and len(run.history().images) < rows:
            assert process.poll() is None
            time.sleep(0.005)
        if rows is not None:
            os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == (0 if rows is None else -signal.SIGKILL)
    assert contents(run) == contents(like)


def changed(run, name, old, new):
    file = run.path / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_a_digit_of_the_recipe_or_of_the_log_is_not_changed_in_silence(midway):
    first = str(midway.history().column("loss/d")[0])
    changed(midway, "log.jsonl", first, first[:-1] + str((int(first[-1]) + 1) % 10))
    with pytest.raises(CheckpointError, match=r"log\.jsonl: its first \d rows are not those written"):
        resume(midway)
    changed(midway, "recipe.toml", "seed = ", "seed = 1")
    with pytest.raises(StorageError, match=r"recipe\.toml: was changed since the run began"):
        resume(midway)


def test_a_run_of_before_there_were_digests_goes_on(midway, whole):
    env = midway.env()
    del env["digests"]
    midway.env_file.write_text(json.dumps(env))
    saved, _ = newest_checkpoint(midway)
    progress = {name: value for name, value in saved.progress.items() if name != "digests"}
    assert not is_noticed(rewritten(midway, saved.tensors, progress), whole("lecam"))


def test_weights_that_are_not_finite_are_not_taken_up(midway, monkeypatch):
    saved, _ = newest_checkpoint(midway)
    saved.tensors["d.head.score.bias"].fill_(float("nan"))
    monkeypatch.setattr("gander.training.checkpoint.first_bad", lambda tensors: None)
    rewritten(midway, saved.tensors, saved.progress)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"d\.head\.score\.bias is not finite"):
        resume(midway)
