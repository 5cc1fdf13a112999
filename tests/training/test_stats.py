"""Means of what the steps of a log interval note."""

from __future__ import annotations

import pytest
import torch

from gander.training.stats import Stats

ROWS = [(("loss/d", "r1/d"), (1.0, 10.0)), (("loss/d",), (3.0,)), (("loss/g", "loss/d"), (7.0, 8.0))]


def noted(rows=ROWS):
    stats = Stats()
    for names, values in rows:
        stats.add(names, torch.tensor(values))
    return stats


def test_each_name_has_the_mean_of_the_updates_that_noted_it():
    stats = noted()
    assert stats.means() == {"loss/d": 4.0, "r1/d": 10.0, "loss/g": 7.0}
    assert stats.means() == {}


def test_a_state_taken_over_in_the_middle_goes_on_to_the_bit():
    whole, rest = noted(), Stats()
    rest.restore(noted(ROWS[:2]).state())
    rest.add(*ROWS[2][:1], torch.tensor(ROWS[2][1]))
    assert rest.means() == whole.means()


def test_many_small_numbers_beside_a_large_one_are_not_lost():
    stats = Stats()
    for value in (1e6, *[0.1] * 5000):
        stats.add(["loss/d"], torch.tensor([value]))
    assert stats.means()["loss/d"] == pytest.approx((1e6 + 5000 * 0.1) / 5001, rel=1e-9)
