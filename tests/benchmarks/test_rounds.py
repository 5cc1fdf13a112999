"""Sides are timed in turns, and one that does not speak as agreed is told of in one line."""

import sys

import pytest
from side_by_side.rounds import Result, side_by_side

from gander.errors import UsageError

_SIDE = """
import sys, time
print('{"name": "NAME", "images_per_step": 10, "gflop_per_image": 2.0}', flush=True)
for line in sys.stdin:
    with open("FILE", "a") as file:
        file.write("NAME" + line)
    print('{"seconds": %f, "peak_mib": 7.5}' % (SECONDS * int(line)), flush=True)
"""


def stub(folder, name, seconds):
    """A side that says it took so many seconds a step, and writes down when it was asked."""
    code = _SIDE.replace("NAME", name).replace("FILE", str(folder / "turns")).replace("SECONDS", str(seconds))
    return [sys.executable, "-c", code]


def test_sides_take_turns_of_the_same_length_after_one_step_each_to_tell_how_many(tmp_path):
    fast, slow = side_by_side([stub(tmp_path, "a", 0.1), stub(tmp_path, "b", 5.0)], rounds=3, seconds=1.0)
    assert (tmp_path / "turns").read_text().split() == ["a1", "b1", *["a10", "b1"] * 3]
    assert fast.rates == pytest.approx([100.0] * 3)
    assert (fast.rate, fast.gflops, fast.peak_mib) == pytest.approx((100.0, 200.0, 7.5))
    assert fast.times(slow) == pytest.approx(50.0)


def test_sides_are_compared_round_by_round():
    ours, theirs = (
        Result({"images_per_step": 1}, seconds) for seconds in ([1.0, 2.0, 4.0], [3.0, 4.0, 20.0])
    )
    assert ours.times(theirs) == pytest.approx(3.0)  # of 3, 2 and 5; the medians' ratio is 2


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("print('hello')", "with name and images_per_step, not 'hello'; nothing on stderr"),
        ("raise SystemExit('no module named keras')", "not ''; no module named keras"),
        ("print('{}')", "with name and images_per_step, not '{}'"),
    ],
)
def test_a_side_that_does_not_speak_is_named_with_what_it_said(code, told):
    with pytest.raises(UsageError, match=told):
        side_by_side([[sys.executable, "-c", code]], 1, 0.1)


def test_a_side_that_cannot_be_started_is_named():
    with pytest.raises(UsageError, match="no-such-program cifar: cannot be started: No such file"):
        side_by_side([["no-such-program", "cifar"]], 1, 0.1)
