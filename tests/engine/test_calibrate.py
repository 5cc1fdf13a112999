"""What is fast is found by trying, remembered, and never a reason to fail."""

import itertools
from dataclasses import replace

import pytest
import torch

from gander.engine import calibrate as module
from gander.engine.calibrate import Calibration, calibrate
from gander.engine.machine import Machine, alternatives, choose_machine
from gander.errors import NumericsError, UsageError
from gander.recipe.schema import Engine

USUAL = Machine(torch.device("cpu"), threads=4)
OTHERS = {"memory": ("contiguous",), "precision": ("bf16",), "threads": (2,)}


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(module._Busy, "_read", lambda _: (0.0, 0.0, 0.0))
    yield
    torch.set_num_threads(before)


@pytest.fixture
def busy(monkeypatch):
    """A machine of two cores: in each second this process and another have one of them."""
    seconds = itertools.count()
    monkeypatch.setattr(module._Busy, "_read", lambda _: (float(now := next(seconds)), now * 2.0, now * 2.0))


def speeds(**factors):
    """A trial whose speed is 100 times the factors of the choices that a machine makes."""

    def trial(machine):
        made = 100.0
        for choice in OTHERS:
            made *= factors.get(str(getattr(machine, choice)), 1.0)
        return made

    return trial


@pytest.mark.parametrize(
    ("factors", "chosen"),
    [
        ({}, {}),
        ({"contiguous": 1.07, "bf16": 1.09, "2": 1.29}, {}),  # too little to be worth a change
        ({"contiguous": 1.09, "bf16": 0.5}, {"memory": "contiguous"}),
        ({"bf16": 1.5, "2": 1.4}, {"precision": "bf16", "threads": 2}),
        ({"contiguous": 0.9, "bf16": 0.9, "2": 0.5}, {}),
    ],
)
def test_the_fastest_of_each_choice_is_taken_if_it_gains_enough(factors, chosen):
    found = calibrate(USUAL, OTHERS, speeds(**factors))
    assert found.apply(USUAL) == replace(USUAL, **chosen)
    assert torch.get_num_threads() == found.apply(USUAL).threads


def test_each_choice_is_tried_with_what_was_found_before():
    tried = []
    calibrate(USUAL, OTHERS, lambda machine: tried.append(machine) or speeds(contiguous=2.0)(machine))
    assert {machine.memory for machine in tried[-12:]} == {"contiguous"}


@pytest.mark.parametrize("error", [RuntimeError("no kernel"), NumericsError("loss/d is not finite")])
def test_what_cannot_run_here_is_not_chosen(error):
    def trial(machine):
        if machine.precision == "bf16":
            raise error
        return 100.0

    assert calibrate(USUAL, OTHERS, trial).apply(USUAL) == USUAL


def test_on_a_busy_machine_only_a_large_gain_counts_and_nothing_is_kept(busy):
    found = calibrate(USUAL, OTHERS, speeds(contiguous=1.2, **{"2": 1.7}))
    assert found.apply(USUAL) == replace(USUAL, threads=2)
    assert (found.busy, found.quiet) == (0.5, False)


def test_a_result_is_remembered_and_a_damaged_one_is_not(tmp_path):
    found = calibrate(USUAL, OTHERS, speeds(bf16=2.0))
    path = tmp_path / "deep" / "found.json"
    found.save(path)
    assert Calibration.load(path) == found
    for text in ("", "{}", "[1]", '{"chosen": {}, "speeds": {}, "seconds": 1, "busy": 0}'):
        path.write_text(text)
        assert Calibration.load(path) is None
    found.save(tmp_path / "deep" / "found.json" / "below a file")  # no error: a cache may be out of reach


def test_only_what_the_recipe_leaves_open_is_tried():
    machine = replace(USUAL, threads=2)
    assert {"memory", "threads"} <= {*alternatives(Engine(device="cpu"), machine)}
    pinned = Engine(device="cpu", precision="float32", memory="contiguous", threads=2)
    assert alternatives(pinned, machine) == {}


def test_tf32_is_refused_where_there_is_none():
    with pytest.raises(UsageError, match=r'engine.precision = "tf32": only CUDA devices have it'):
        choose_machine(Engine(device="cpu", precision="tf32"))


def test_one_round_won_by_chance_changes_nothing():
    turns = itertools.cycle([1.5, 1.5, 0.9])

    def trial(machine):
        return 100.0 * (next(turns) if machine.memory == "contiguous" else 1.0)

    assert calibrate(USUAL, {"memory": ("contiguous",)}, trial).apply(USUAL) == USUAL
