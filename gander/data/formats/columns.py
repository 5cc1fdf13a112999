"""Which columns of a table hold images and labels."""

from __future__ import annotations

from collections.abc import Sequence

from gander.errors import DataError, did_you_mean

IMAGES = ("img", "image", "images", "pixels")
LABELS = ("label", "labels", "fine_label", "coarse_label", "class", "target", "digit", "category", "y")
"""Columns that are read; the first two of the images and the first of the labels before all others."""


def choose_column(there: Sequence[str], wanted: str, known: Sequence[str], what: str) -> str:
    """Choose the column that `data.image` or `data.label` names, or one of a known name; "" where none is.

    Raises: DataError where the one that is wanted is not there, or several could be meant.
    """
    if wanted and wanted not in there:
        listed = ", ".join(there[:20])
        near = did_you_mean(wanted, there)
        raise DataError(f'data.{what} = "{wanted}": there is no such column; there are: {listed}{near}')
    found = [name for name in there if name.lower() in known]
    sure = [name for name in known if name in (*IMAGES[:2], LABELS[0]) and name in found]
    if not wanted and not sure and len(found) > 1:
        raise DataError(
            f"{' and '.join(found)} could each be the column of the {what}s",
            hint=f"data.{what}={found[0]}, or gander data PATH --{what} {found[0]}",
        )
    return wanted or next(iter(sure or found), "")


def ignoring(columns: Sequence[str]) -> tuple[str, ...]:
    """Name the columns that are not read, in a note; () where there are none."""
    named = [name or '""' for name in columns if name != "confidence"]
    return (f"ignored columns: {', '.join(named[:10])}{', ...' * (len(named) > 10)}",) if named else ()
