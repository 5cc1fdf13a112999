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


def test_a_quiet_guard_settles():
    Guard().settle()
