"""The clock, ramps, and when something is due."""

import pytest
from pydantic import BaseModel, ValidationError

from gander.schedule import Clock, NonNegative, Ramp, Share, crossed


def ramp(**settings):
    return Ramp.model_validate({"from": 1.0, "to": 3.0, "over": 100} | settings)


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({}, {0: 1.0, 25: 1.5, 50: 2.0, 100: 3.0, 10**9: 3.0}),
        ({"from": 3.0, "to": 1.0}, {0: 3.0, 25: 2.5, 100: 1.0}),
        ({"after": 40}, {0: 1.0, 40: 1.0, 90: 2.0, 140: 3.0, 141: 3.0}),
        # (1 - cos(pi / 4)) / 2 and (1 - cos(3 pi / 4)) / 2 of the way
        ({"shape": "cosine"}, {0: 1.0, 25: 1.2928932, 50: 2.0, 75: 2.7071068, 100: 3.0, 200: 3.0}),
    ],
    ids=["linear", "falling", "after", "cosine"],
)
def test_a_ramp_moves_between_its_ends_and_then_stays(settings, values):
    moving = ramp(**settings)
    assert {images: moving.at(images) for images in values} == pytest.approx(values)


def test_the_clock_counts_images_and_steps_and_reads_numbers_and_ramps():
    clock = Clock()
    for _ in range(3):
        clock.advance(10)
    assert (clock.images, clock.steps) == (30, 3)
    assert clock.now(0.7) == 0.7
    assert clock.now(ramp()) == pytest.approx(1.6)


@pytest.mark.parametrize("every", [0, 1, 3, 7, 50])
def test_something_is_due_where_a_multiple_was_reached_or_passed(every):
    for before in range(25):
        for after in range(before, 25):
            reached = every > 0 and any(n % every == 0 for n in range(before + 1, after + 1))
            assert crossed(every, before, after) == reached, (before, after)


class Bounded(BaseModel):
    length: NonNegative = 0.0
    share: Share = 0.0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"length": -0.1}, "must be at least 0"),
        ({"share": 1.1}, "must be from 0 to 1"),
        ({"share": {"from": 0.5, "to": 1.5, "over": 9}}, "must be from 0 to 1"),
        ({"share": {"from": -0.5, "to": 0.5, "over": 9}}, "must be from 0 to 1"),
        ({"length": {"from": 1.0, "to": 0.5, "over": 0}}, "greater than 0"),
        ({"length": "ramp"}, "valid number"),
    ],
)
def test_bounds_hold_for_numbers_and_for_both_ends_of_ramps(settings, says):
    with pytest.raises(ValidationError, match=says):
        Bounded.model_validate(settings)


def test_what_lies_on_a_bound_is_allowed():
    bounded = Bounded.model_validate({"length": 1e300, "share": {"from": 0, "to": 1, "over": 1}})
    assert bounded.share.at(1) == 1
