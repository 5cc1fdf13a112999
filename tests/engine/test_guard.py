"""The first number that is not finite stops the run, and says what it was."""

from __future__ import annotations

import pytest
import torch

from gander.engine.guard import Guard, first_bad
from gander.errors import NumericsError
from gander.schedule import Clock

NAMES = ("loss/d", "score/real", "grad/d")


def net():
    return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))


def judge(values, net):
    Guard().watch(NAMES, torch.tensor(values), Clock(640, 10), net)


def test_finite_numbers_however_large_are_no_alarm():
    judge([3e38, -3e38, 0.0], net())
    judge([1e-45, -0.0, 1.0], net())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_the_first_bad_number_is_named_with_its_step_and_its_company(bad):
    with pytest.raises(NumericsError) as caught:
        judge([1.5, bad, bad], net())
    assert str(caught.value) == (
        f"step 11, after 640 images: score/real is not finite "
        f"(loss/d = 1.5, score/real = {bad:g}, grad/d = {bad:g})"
    )


def test_a_bad_weight_is_named_before_a_bad_gradient():
    broken = net()
    broken(torch.ones(1, 2)).sum().backward()
    broken[1].weight.grad[0, 0] = torch.nan
    with pytest.raises(NumericsError, match=r"; first in the gradient of 1\.weight$"):
        judge([1.0, 1.0, float("nan")], broken)
    with torch.no_grad():
        broken[0].bias[1] = torch.inf
    with pytest.raises(NumericsError, match=r"; the weight 0\.bias is not finite$"):
        judge([1.0, 1.0, float("nan")], broken)


def test_tensors_of_any_kind_are_searched_in_order():
    fine = {"count": torch.tensor(3), "empty": torch.zeros(0), "half": torch.ones(2, dtype=torch.bfloat16)}
    assert first_bad(fine) is None
    bad = torch.tensor([1.0, torch.nan])
    assert first_bad(fine | {"b": bad.bfloat16(), "a": bad}) == "b"


def test_an_accelerator_is_not_waited_for_but_its_first_bad_update_is_told():
    guard = Guard(waits=False)
    for step, value in enumerate([1.0, float("nan"), 2.0, float("inf")]):
        guard.watch(NAMES, torch.tensor([value, 0.0, 0.0]), Clock(64 * step, step), net())
    with pytest.raises(NumericsError, match=r"step 2, after 64 images: loss/d is not finite \(loss/d = nan"):
        guard.settle()


def watched(*rows):
    """A guard of an accelerator that saw an update of each of these numbers by name, two a step."""
    guard = Guard(waits=False)
    for place, row in enumerate(rows):
        guard.watch([*row], torch.tensor([*row.values()]), Clock(64 * (place // 2), place // 2), net())
    return guard


FINE_D, FINE_G, LAZY_D = {"loss/d": 1.0, "grad/d": 2.0}, {"loss/g": 3.0}, {"loss/d": 1.0, "r1/d": 0.5}


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            (LAZY_D, FINE_G, FINE_D, {"loss/g": float("nan")}, LAZY_D),
            "step 2, after 64 images: loss/g is not finite (loss/g = nan)",
        ),
        (
            (
                LAZY_D,
                FINE_G,
                FINE_D,
                FINE_G,
                {"loss/d": 1.0, "grad/d": float("inf")},
                LAZY_D | {"r1/d": float("nan")},
            ),
            "step 3, after 128 images: grad/d is not finite (loss/d = 1, grad/d = inf)",
        ),
    ],
)
def test_whichever_numbers_an_update_has_the_first_bad_one_is_named_with_its_own(rows, told):
    with pytest.raises(NumericsError) as caught:
        watched(*rows).settle()
    assert str(caught.value) == told


def test_what_was_settled_is_not_judged_again():
    guard = watched(FINE_D, {"loss/g": float("nan")})
    with pytest.raises(NumericsError):
        guard.settle()
    guard.settle()
    watched().settle()


def test_a_guard_that_is_never_settled_keeps_a_bounded_number_of_rows():
    with pytest.raises(NumericsError, match=r"^step 3, "):
        watched(*[FINE_D] * 4, {"loss/d": float("nan")}, *[FINE_D] * 2000)
