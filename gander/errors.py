"""The exceptions: each says what was given and where, what is allowed, the nearest match, what to type."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, ClassVar


class GanderError(Exception):
    """A failure that a person can mend: one line a problem, then what to type next.

    Args:
        problems: one line each: where, what was given, what is allowed, the nearest match.
        hint: a command or an edit that leads on; printed last, behind "Try: ".
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, *problems: str, hint: str = "") -> None:
        super().__init__(*problems)
        self.problems = tuple(_one_line(problem) for problem in problems)
        self.hint = hint

    def __str__(self) -> str:
        return "\n".join([*self.problems, *([f"  Try: {self.hint}"] if self.hint else [])])


class UsageError(GanderError):
    """The command line, or an argument of the Python interface, does not fit."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe or a patch does not describe a run."""


class DataError(GanderError):
    """Images or labels cannot be had, read or used."""

    exit_code = 3


class NumericsError(GanderError):
    """A loss, a gradient or a weight is not finite."""

    exit_code = 4


class StorageError(GanderError):
    """The disk refuses: full, read-only, failing, or the place is taken."""

    exit_code = 5


class RunInUseError(GanderError):
    """Another process is writing this run."""

    exit_code = 6


class CheckpointError(GanderError):
    """A run has no checkpoint that can be used."""

    exit_code = 7


class Interrupted(GanderError):  # noqa: N818 - not a fault: the run was asked to stop
    """A signal asked for an end, and the state is saved."""

    def __init__(self, signal_number: int, *problems: str, hint: str = "") -> None:
        super().__init__(*problems, hint=hint)
        self.signal_number = signal_number


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Escape what a terminal would obey or could not show, but for the ends of lines."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def exit_code(error: BaseException) -> int:
    """Give the exit code that an error ends the process with; 70 for our own bugs."""
    if isinstance(error, Interrupted):
        return 128 + error.signal_number
    return error.exit_code if isinstance(error, GanderError) else 70


def shorten(text: str, limit: int = 60) -> str:
    """Cut a text to at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def show(value: Any) -> str:
    """Write a value of a recipe for a message, in at most 60 characters."""
    try:
        return shorten(str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"'))
    except (RecursionError, ValueError):  # nested too deep, or a number of too many digits
        return "..."


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Find the name that `word` was most likely meant to be, or None."""
    close = get_close_matches(word.lower(), [*names], n=1, cutoff=0.6)
    return close[0] if close else None


def first_line(error: BaseException) -> str:
    """Give what an error of somebody else's says, in one line."""
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Write '; did you mean "name"?', or nothing where no name is near."""
    match = nearest(word, names)
    return f'; did you mean "{match}"?' if match else ""
