"""`gander bench`: its tables, and what it refuses before any work."""

import json

import pytest

from gander.bench.data import DataCost
from gander.bench.rounds import Result


@pytest.fixture
def asked(monkeypatch):
    """Sides that were not run: gander's takes two of its four-image steps a second, others one."""
    asked = []

    def side_by_side(commands, rounds, seconds):
        asked.append((commands, rounds, seconds))
        said = {"precision": "float32", "images_per_step": 4, "gflop_per_image": 1.0}
        product, gander, *others = (
            Result({"name": name} | said, [length] * rounds, 100.0)
            for name, length in (("matrix product", 0.25), ("gander", 0.5), ("other", 1.0))
        )
        return [product, gander, *others[: len(commands) - 2]]

    monkeypatch.setattr("gander.cli.benching.side_by_side", side_by_side)
    monkeypatch.setattr("gander.bench.side.precisions", lambda: ("float32",))
    return asked


def test_a_recipe_is_told_as_a_share_of_the_matrix_product(gander, asked):
    out = gander("bench", "mnist-dcgan", "--rounds", 3).out
    assert "8.0" in out
    assert "50% of 16 GFLOP/s" in out
    assert asked[0][1:] == (3, 1.0)


def test_another_program_is_timed_beside_it_and_told_as_a_ratio(gander, asked):
    answer = gander("bench", "mnist-dcgan", "--against", "python 'my gan.py'", "--json")
    ours, theirs = json.loads(answer.out)["speed"]
    assert asked[0][0][-1] == ["python", "my gan.py"]
    assert (ours["side"], ours["as_fast_as_gander"], ours["images_per_second"]) == ("gander", 1.0, 8.0)
    assert (theirs["side"], theirs["as_fast_as_gander"], theirs["rounds"]) == ("other", 0.5, [4.0] * 5)


def test_unequal_nets_are_not_compared(gander, monkeypatch):
    def side_by_side(*_):
        said = {"name": "a", "precision": "float32", "images_per_step": 1, "d_parameters": 5}
        return [Result(said | {"g_parameters": count}, [1.0]) for count in (None, 1234, 1235)]

    monkeypatch.setattr("gander.cli.benching.side_by_side", side_by_side)
    monkeypatch.setattr("gander.bench.side.precisions", lambda: ("float32",))
    answer = gander("bench", "mnist-dcgan", "--against", "x")
    assert answer.code == 2
    assert "a has 1,235 parameters in G and 5 in D, and gander 1,234 and 5" in answer.err


def test_without_a_recipe_all_are_measured(gander, asked):
    gander("bench")
    assert len(asked) == 17


def test_data_alone_measures_data_alone(gander, asked, monkeypatch):
    monkeypatch.setattr("gander.bench.data.measure_data", lambda source: DataCost(7, 2.0, 0.5, 3.0, 6.0, 4.0))
    out = gander("bench", "--data", "shapes").out
    assert asked == []
    assert "decoded into the store   2.00 s, 4 images/s, 3 MiB" in out
    assert "start to first step      6.00 s, 4.00 s the second time" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cifar10-dgan"], 'cifar10-dgan: no recipe; did you mean "cifar10-dcgan"?'),
        (["--against", "x"], "--against: compares with one recipe, and none given"),
        (["mnist-dcgan", "quickstart", "--against", "x"], "with one recipe, and 2 given"),
    ],
)
def test_a_mistake_is_told_before_any_work(gander, asked, words, told):
    answer = gander("bench", *words)
    assert (answer.code, asked) == (2, [])
    assert told in answer.err
