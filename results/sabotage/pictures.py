"""Small multiples of the signals, and the confusion matrix."""

from __future__ import annotations

import io
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from gander.history import History
from gander.run import Run

from .verdict import Verdict

plt.switch_backend("Agg")
SIGNALS = (
    ("probe/distance", True),
    ("probe/diversity_features", False),
    ("probe/auc", False),
    ("probe/auc_held_out", False),
    ("probe/slope", True),
    ("probe/update_g", False),
    ("probe/update_d", False),
    ("probe/label_agreement", False),
)
"""Columns, and whether their axis is logarithmic."""

_PAGE = 12  # kinds


def draw_signals(runs: Sequence[Verdict], folder: Path) -> list[str]:
    """Draw a row of panels for each kind, a dozen kinds a picture; give the pictures' names."""
    groups: defaultdict[str, list[Verdict]] = defaultdict(list)
    healthy: defaultdict[tuple[str, str], list[History]] = defaultdict(list)
    for run in runs:
        if run.label["cause"]:
            groups[run.label["kind"]].append(run)
        elif run.label["kind"] == "healthy":
            healthy[run.label["base"], run.label["data"]].append(Run(run.path).history())
    kinds, names = sorted(groups), []
    for start in range(0, len(kinds), _PAGE):
        page = kinds[start : start + _PAGE]
        figure, axes = plt.subplots(
            len(page), len(SIGNALS), figsize=(14, 1.25 * len(page)), sharex=True, squeeze=False
        )
        for row, kind in zip(axes, page, strict=True):
            cells = {(run.label["base"], run.label["data"]) for run in groups[kind]}
            for axis, (column, logarithmic) in zip(row, SIGNALS, strict=True):
                for history in [each for cell in cells for each in healthy[cell]]:
                    _line(axis, history, column, color="0.6", linewidth=0.7)
                for run in groups[kind]:
                    width = 1.4 if run.broken else 0.5
                    _line(axis, Run(run.path).history(), column, color="#D55E00", linewidth=width)
                    if run.label["onset"]:
                        axis.axvline(run.label["onset"] / run.total, color="k", linewidth=0.4, linestyle=":")
                if logarithmic and axis.lines:
                    axis.set_yscale("log")
                axis.tick_params(which="both", labelsize=5, length=2, pad=1)
            row[0].set_ylabel(kind, fontsize=6, rotation=0, ha="right", va="center")
        for axis, (column, _) in zip(axes[0], SIGNALS, strict=True):
            axis.set_title(column.removeprefix("probe/"), fontsize=7)
        name = f"signals-{start // _PAGE + 1}.png"
        figure.tight_layout(pad=0.3)
        _save(figure, folder / name)
        names.append(name)
    return names


def _line(axis: Axes, history: History, column: str, color: str, linewidth: float) -> None:
    points = [
        (images / max(history.images[-1], 1), value)
        for images, value in zip(history.images, history.column(column), strict=True)
        if math.isfinite(value)
    ]
    if points:
        axis.plot(*zip(*points, strict=True), color=color, linewidth=linewidth)


def draw_confusion(broken: Sequence[Verdict], path: Path) -> None:
    """Draw how often each cause was named first for each true one."""
    counts = Counter((run.label["cause"], run.causes[0] if run.causes else "nothing") for run in broken)
    true = sorted({cause for cause, _ in counts})
    others = sorted({named for _, named in counts} - {*true, "nothing"})
    named = [*true, *others, "nothing"]
    grid = [[counts[cause, other] for other in named] for cause in true]
    figure, axis = plt.subplots(figsize=(2 + 0.21 * len(named), 1.5 + 0.19 * max(len(true), 1)))
    if grid:
        axis.imshow(grid, cmap="Blues", aspect="auto")
    for row, cause in enumerate(true):
        for column, other in enumerate(named):
            if counts[cause, other]:
                axis.text(
                    column,
                    row,
                    str(counts[cause, other]),
                    ha="center",
                    va="center",
                    fontsize=6,
                    color="#D55E00",
                )
    axis.set_xticks(range(len(named)), named, rotation=90, fontsize=6)
    axis.set_yticks(range(len(true)), true, fontsize=6)
    axis.set_xlabel("named first", fontsize=7)
    axis.set_ylabel("true cause", fontsize=7)
    figure.tight_layout(pad=1)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    """Write a picture of few colours, which is a quarter as large."""
    whole = io.BytesIO()
    figure.savefig(whole, dpi=90, bbox_inches="tight")
    Image.open(whole).convert("RGB").quantize(24).save(path, optimize=True)
    plt.close(figure)
