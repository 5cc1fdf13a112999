"""Errors: one line a problem, what to type next, and the exit code."""

import signal

import pytest

from gander.errors import (
    CheckpointError,
    DataError,
    GanderError,
    Interrupted,
    NumericsError,
    RecipeError,
    RunInUseError,
    StorageError,
    UsageError,
    did_you_mean,
    exit_code,
    nearest,
    show,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (RecipeError("x"), 2),
        (DataError("x"), 3),
        (NumericsError("x"), 4),
        (StorageError("x"), 5),
        (RunInUseError("x"), 6),
        (CheckpointError("x"), 7),
        (Interrupted(signal.SIGINT, "x"), 130),
        (Interrupted(signal.SIGTERM, "x"), 143),
        (GanderError("x"), 70),
        (ZeroDivisionError("x"), 70),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_error_has_its_exit_code(error, code):
    assert exit_code(error) == code


def test_an_error_says_a_line_for_each_problem_and_then_what_to_type():
    error = RecipeError("first\n  goes\u2028on", "second", hint="gander recipes")
    assert str(error) == "first goes on\nsecond\n  Try: gander recipes"
    assert str(RecipeError("alone")) == "alone"


def test_a_problem_can_be_printed_whatever_it_quotes():
    (problem,) = RecipeError("\x1b[31mred\x00 \ud800 naïve ✓").problems
    assert problem == r"\x1b[31mred\x00 \ud800 naïve ✓"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "true"),
        ("a" * 100, '"' + "a" * 56 + "..."),
        (2.5, "2.5"),
        (10**5000, "..."),
    ],
    ids=lambda value: str(value)[:10] if isinstance(value, str | float) else "",
)
def test_a_value_is_shown_in_at_most_sixty_characters(value, shown):
    assert show(value) == shown
    assert len(shown) <= 60


def test_the_nearest_name_is_offered_and_nothing_where_none_is_near():
    names = ["hinge", "saturating", "non_saturating"]
    assert nearest("HINGER", names) == "hinge"
    assert did_you_mean("saturatig", names) == '; did you mean "saturating"?'
    assert nearest("xyz", names) is None
    assert did_you_mean("xyz", names) == ""
