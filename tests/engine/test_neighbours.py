"""Threads are given up while others keep the cores busy, at once, and taken back late."""

import json
import logging

import pytest
import torch

from gander.engine import neighbours
from gander.engine.machine import settings_restored
from gander.training.loop import train
from tests.tiny import tiny

WINDOW, CALM = neighbours._WINDOW, neighbours._CALM


@pytest.fixture(autouse=True)
def nobody_asks_for_threads(monkeypatch):
    """The tests themselves run with OMP_NUM_THREADS=1, which would decide."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


class Others:
    """A clock, and how many cores others use from now on."""

    def __init__(self):
        self.cores, self.now, self.used = 0.0, 0.0, 0.0

    def pass_time(self, seconds):
        self.now += seconds
        self.used += self.cores * seconds

    def seconds(self):
        own = 1.3 * self.now
        return own, own + self.used


@pytest.fixture
def others(monkeypatch, tmp_path):
    fake = Others()
    monkeypatch.setattr(neighbours, "_STAT", tmp_path)  # any path that exists
    monkeypatch.setattr(neighbours, "_seconds", fake.seconds)
    monkeypatch.setattr(neighbours.time, "monotonic", lambda: fake.now)
    with settings_restored():
        yield fake


def threads_after(others, cores, windows=1):
    others.cores = cores
    for _ in range(windows):
        others.pass_time(WINDOW)
        neighbours.heed()
    return torch.get_num_threads()


@pytest.mark.parametrize(
    ("cores", "threads"), [(0.0, 4), (0.4, 4), (0.6, 3), (1.0, 3), (2.2, 2), (3.0, 1), (9.0, 1)]
)
def test_one_thread_goes_for_each_core_that_others_keep_busy(others, cores, threads):
    torch.set_num_threads(4)
    neighbours.watch(4)
    assert threads_after(others, cores) == threads


def test_a_thread_comes_back_when_the_cores_were_free_for_a_while(others, caplog):
    caplog.set_level(logging.INFO, "gander")
    torch.set_num_threads(2)
    neighbours.watch(2)
    assert threads_after(others, 1.0) == 1
    assert threads_after(others, 0.0, CALM - 1) == 1
    assert threads_after(others, 1.0) == 1  # busy again: the waiting begins anew
    assert threads_after(others, 0.0, CALM - 1) == 1
    assert threads_after(others, 0.0) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "engine  1 of 2 threads: others use the cores",
        "engine  2 of 2 threads: the cores are free again",
    ]


def test_between_two_windows_nothing_is_read(others, monkeypatch):
    torch.set_num_threads(2)
    neighbours.watch(2)
    monkeypatch.setattr(neighbours, "_seconds", lambda: pytest.fail("was read"))
    others.pass_time(WINDOW / 2)
    neighbours.heed()


def test_real_time_is_shared_out_to_this_process_and_to_others():
    own, everybody = neighbours._seconds()
    assert own > 0
    assert everybody > 0


@pytest.mark.parametrize("given", [0, 2])
def test_a_training_gives_way_and_logs_it_unless_its_threads_are_given(
    given, others, monkeypatch, tmp_path, caplog
):
    caplog.set_level(logging.INFO, "gander")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    others.cores = 1.0
    monkeypatch.setattr(neighbours.time, "monotonic", lambda: others.pass_time(0.2) or others.now)
    run = train(tiny(tmp_path, patch={"engine.threads": given}), tmp_path / "run")
    rows = [json.loads(line) for line in run.log_file.read_text().splitlines()]
    assert run.env()["threads"] == 2
    assert [row.get("speed/threads") for row in rows][-1] == (None if given else 1)
    assert bool(caplog.records) == (not given)
