"""A trial in this process and in one of its own: begun, gone on with, and what is written of its end."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch

from gander.errors import NumericsError
from gander.launch.local import Local
from gander.launch.trial import Job, run_trial
from gander.recipe.write import recipe_toml
from gander.run import Run
from tests.tiny import contents, tiny

HERE = os.getppid()


def job(folder: Path, name="run", attempt=1, **patch) -> Job:
    edits = {path.replace("__", "."): value for path, value in patch.items()}
    return Job(str(folder / name), recipe_toml(tiny(folder, patch=edits)), attempt)


def test_a_trial_is_a_run_like_any_other_and_its_end_stands_beside_it(tmp_path):
    run_trial(one := job(tmp_path), HERE)
    outcome = one.outcome()
    assert outcome["state"] == "done"
    assert outcome["seconds"] > 0
    assert outcome["memory"] > 2**26
    assert Run(tmp_path / "run").state()["state"] == "finished"
    assert Job(one.run, one.recipe, 2).outcome() is None


def test_a_trial_whose_study_is_gone_saves_and_goes_on_in_the_same_bytes(tmp_path):
    run_trial(whole := job(tmp_path, "whole"), HERE)
    for attempt in (1, 2):
        run_trial(one := job(tmp_path, attempt=attempt), -1)
        assert one.outcome()["state"] == "stopped"
    run_trial(one := job(tmp_path, attempt=3), HERE)
    assert one.outcome()["state"] == "done"
    assert contents(Run(Path(one.run))) == contents(Run(Path(whole.run)))


def test_a_run_whose_numbers_break_has_diverged(tmp_path, monkeypatch):
    def step(trainer):
        raise NumericsError("step 3: loss/d is not finite")

    monkeypatch.setattr("gander.training.trainer.Trainer.step", step)
    run_trial(one := job(tmp_path), HERE)
    assert (one.outcome()["state"], one.outcome()["error"]) == ("diverged", "step 3: loss/d is not finite")


def test_a_crash_is_told_with_its_place_and_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr("gander.training.trainer.Trainer.step", lambda trainer: {}["none"])
    run_trial(one := job(tmp_path), HERE)
    outcome = one.outcome()
    assert outcome["state"] == "crashed"
    assert outcome["error"].startswith("KeyError: 'none' (test_trial.py, line ")
    assert "Traceback" in outcome["traceback"]


def test_want_of_memory_is_no_crash(tmp_path, monkeypatch):
    def step(trainer):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("gander.training.trainer.Trainer.step", step)
    monkeypatch.setattr("gander.training.loop.too_large", lambda *_: ValueError("train.batch = 8: takes ..."))
    run_trial(one := job(tmp_path), HERE)
    assert one.outcome()["state"] == "out of memory"


def wait_for(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


@pytest.mark.slow
def test_processes_are_stopped_with_all_saved_and_killed_without_harm(tmp_path):
    run_trial(whole := job(tmp_path, "whole", train__images=2400), HERE)
    local, log = Local(workers=1, threads=1), tmp_path / "run" / "log.jsonl"
    for attempt, end in ((1, local.stop), (2, local.kill), (3, None)):
        one = job(tmp_path, attempt=attempt, train__images=2400)
        rows = len(log.read_text().splitlines()) if log.exists() else 0
        local.start(one)
        assert local.running() == {one.run}
        wait_for(lambda rows=rows: log.exists() and len(log.read_text().splitlines()) > rows + 1)
        if end is not None:
            end()
        wait_for(lambda: not local.running())
        state = (one.outcome() or {"state": None})["state"]
        assert state == {1: "stopped", 2: None, 3: "done"}[attempt]
    assert contents(Run(Path(one.run))) == contents(Run(Path(whole.run)))


@pytest.mark.slow
def test_a_worker_ends_by_itself_when_its_study_is_killed(tmp_path):
    one = job(tmp_path, train__images=10**7)
    study = os.fork()
    if not study:
        Local(1, 1).start(one)
        time.sleep(600)
    wait_for((tmp_path / "run" / "log.jsonl").exists)
    os.kill(study, signal.SIGKILL)
    os.waitpid(study, 0)
    wait_for(lambda: one.outcome() is not None)
    assert one.outcome()["state"] == "stopped"
