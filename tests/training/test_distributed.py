"""Two processes that share a batch make the run that one makes alone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gander.run import Run
from gander.training.checkpoint import newest_checkpoint
from gander.training.loop import resume, train
from tests.tiny import BATCH, FLAVOURS, Notes, command, contents, finish, start, tiny, tiny_file

# Sums over two half-batches are rounded otherwise than over one whole; Adam carries that along. After twelve
# steps weights differ by less than this share of the largest weight of their tensor, or it is no rounding.
TOLERANCE = 1e-4


def start_two(*words, output=None):
    """Start the command line twice, as torchrun does; `output` is a folder for what each prints."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    return [
        start(
            command,
            *words,
            output=output / str(rank) if output else Path(os.devnull),
            **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
            **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port},
        )
        for rank in range(2)
    ]


def apart(one, other):
    """The largest difference of two sets of tensors, as a share of the largest number of each tensor."""
    assert one.keys() == other.keys()
    return {
        name: ((one[name] - other[name]).abs().max() / one[name].abs().max().clamp(min=1e-6)).item()
        for name in one
        if name.startswith(("g.", "d.", "average.", "penalties.", "done."))
    }


@pytest.mark.parametrize(
    "flavour", [f if f == "plain" else pytest.param(f, marks=pytest.mark.slow) for f in FLAVOURS]
)
def test_two_processes_make_the_run_of_one(flavour, tmp_path):
    alone = train(tiny(tmp_path, flavour), tmp_path / "alone")
    run = Run(tmp_path / "run")
    processes = start_two("train", str(alone.recipe_file), "--run", str(run.path))
    assert [finish(process) for process in processes] == [0, 0]
    assert run.env()["processes"] == 2
    one, other = newest_checkpoint(alone)[0], newest_checkpoint(run)[0]
    distances = apart(one.tensors, other.tensors)
    worst = max(distances, key=distances.get)
    assert distances[worst] < TOLERANCE, (worst, distances[worst])
    # The rows of the logs are equal to rounding, and their digests not at all.
    assert {**one.progress, "digests": ""} == {**other.progress, "digests": ""}
    rows, shared = alone.history(), run.history()
    assert rows.images == shared.images
    for name in rows.names:
        if name.startswith(("loss", "score", "grad")):
            assert shared.column(name) == pytest.approx(rows.column(name), rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.slow
def test_two_processes_train_in_bf16_on_a_cpu(tmp_path):
    """It crashed in batch norm: sums were bf16, and running statistics float32."""
    recipe = tiny_file(tmp_path, patch={"engine.precision": "bf16"})
    processes = start_two("train", recipe, "--run", str(tmp_path / "run"))
    assert [finish(process) for process in processes] == [0, 0]
    assert Run(tmp_path / "run").state()["state"] == "finished"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A run of two processes, long enough to be stopped on the way, and what each of them printed."""
    folder = tmp_path_factory.mktemp("pair")
    run = Run(folder / "run")
    recipe = tiny_file(folder, patch={"train.images": 40 * BATCH})
    first, second = start_two("train", recipe, "--run", str(run.path), output=folder)
    assert [finish(first), finish(second)] == [0, 0]
    return run, recipe, first.pid


def test_only_the_first_process_writes_and_speaks(pair):
    run, _, first = pair
    assert (run.path / ".lock").read_text() == str(first)
    assert f"run {run.path}" in (run.path.parent / "0").read_text()
    assert (run.path.parent / "1").read_text() == ""


@pytest.mark.parametrize("told", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_signal_to_one_of_two_stops_both_at_the_same_step(told, pair, tmp_path):
    whole, recipe, _ = pair
    run = Run(tmp_path / "run")
    processes = start_two("train", recipe, "--run", str(run.path))
    deadline = time.monotonic() + 60
    while not run.history().images:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(processes[told].pid, signal.SIGTERM)
    assert [finish(process) for process in processes] == [143, 143]
    assert newest_checkpoint(run)[0].progress["images"] < 40 * BATCH
    assert [finish(process) for process in start_two("resume", str(run.path))] == [0, 0]
    assert contents(run) == contents(whole)


def test_a_batch_that_cannot_be_shared_is_refused_before_anything_is_written(tmp_path):
    recipe = tiny_file(tmp_path, patch={"train.batch": 9})
    processes = start_two("train", recipe, "--run", str(tmp_path / "run"), output=tmp_path)
    assert [finish(process) for process in processes] == [2, 2]
    for rank in range(2):
        [line] = [line for line in (tmp_path / str(rank)).read_text().splitlines() if "Decoding" not in line]
        assert line.startswith(f"gander (process {rank}): train.batch = 9: must be a multiple of the 2 proc")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_of_two_goes_on_alone_and_says_what_is_not_the_same(pair, tmp_path):
    whole, _, _ = pair
    run = Run(shutil.copytree(whole.path, tmp_path / "run"))
    shutil.rmtree(max(run.checkpoints.iterdir()))
    heard = Notes()
    resume(run, heard)
    assert heard.notes == ["not bit-identical from here on: processes was 2, is 1"]
    distances = apart(newest_checkpoint(whole)[0].tensors, newest_checkpoint(run)[0].tensors)
    assert max(distances.values()) < TOLERANCE


def torchrun(output, *words):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with output.open("ab") as file:
        return subprocess.Popen([*launch, "-m", "--", "gander", *words], stdout=file, stderr=file)


@pytest.mark.slow
def test_torchrun_makes_the_same_run_and_its_end_saves_one_state(pair, tmp_path):
    whole, recipe, _ = pair
    run = Run(tmp_path / "run")
    told = tmp_path / "told"
    agent = torchrun(told, "train", recipe, "--run", str(run.path))
    while not run.history().images:
        assert agent.poll() is None, told.read_text()
        time.sleep(0.002)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(60) != 0
    saved, skipped = newest_checkpoint(run)
    assert skipped == []
    assert saved.progress["images"] < 40 * BATCH
    # A worker that leaves before the first one is done has been seen to abort in torch on its way out.
    torchrun(told, "resume", str(run.path)).wait(120)
    assert contents(run) == contents(whole), told.read_text()
