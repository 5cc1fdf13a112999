"""Arms side by side: how far each seed lies from the baseline, and scores over the clock."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = Path(__file__).with_name("charts.mplstyle")
# Okabe and Ito's, which the colour-blind can tell apart; black is the baseline.
_COLOURS = ("#333333", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_GREY = "#6b6b6b"


@dataclass(frozen=True)
class Row:
    """One arm beside the baseline: relative changes of the score, of each seed, and all together."""

    name: str
    changes: Sequence[float]
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str = ""


def draw_differences(rows: Sequence[Row], smallest: float, score: str, better: str) -> bytes:
    """Draw a PNG with a line an arm: a dot a seed, the effect, its interval; grey does not matter."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(fname=_STYLE):
        figure = Figure(figsize=(8.6, 1.1 + 0.5 * max(len(rows), 1)), layout="constrained")
        axes = figure.subplots()
        axes.axvspan(-100 * smallest, 100 * smallest, color="#e8e8e8", zorder=0)
        axes.axvline(0, color=_GREY, linewidth=1, zorder=1)
        shown = [100 * smallest]
        for place, row in enumerate(rows):
            colour = {"better": _COLOURS[3], "worse": _COLOURS[2]}.get(row.verdict, _COLOURS[1])
            dots = 100 * np.array(row.changes)
            axes.plot(dots, np.full(len(dots), place - 0.18), "o", color=colour, alpha=0.55, markersize=4.5)
            shown += [*np.abs(dots)]
            if row.effect is not None and row.low is not None and row.high is not None:
                ends = 100 * np.array([row.low, row.high])
                axes.plot(ends, [place + 0.12] * 2, "-", color=colour, linewidth=2.4, solid_capstyle="butt")
                axes.plot(100 * row.effect, place + 0.12, "D", color=colour, markersize=5.5)
                shown += [*np.abs(ends)]
        # one interval of three wild seeds must not flatten the rest
        reach = min(max(shown), 4 * float(np.median(shown)) + 100 * smallest) * 1.08
        axes.set_xlim(-min(reach, 100), reach)
        axes.set_ylim(len(rows) - 0.5, -0.6)
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"{score} beside the baseline's, in %; {better} is better")
        return _png(figure)


def draw_bands(
    curves: Mapping[str, Sequence[tuple[Sequence[int], Sequence[float]]]], score: str, better: str
) -> bytes:
    """Draw a PNG of scores over images: of each arm the mean over seeds, and the span from least to most.

    Args:
        curves: of each arm, of each run: images and scores.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(fname=_STYLE):
        figure = Figure(figsize=(8.6, 3.8), layout="constrained")
        axes = figure.subplots()
        for number, (name, runs) in enumerate(curves.items()):
            by_images: dict[int, list[float]] = {}
            for images, values in runs:
                for at, value in zip(images, values, strict=True):
                    by_images.setdefault(at, []).append(value)
            clock = sorted(by_images)
            colour, style = _COLOURS[number % len(_COLOURS)], ("-", "--", ":")[number // len(_COLOURS) % 3]
            axes.plot(clock, [np.mean(by_images[at]) for at in clock], style, color=colour, label=name)
            least, most = ([side(by_images[at]) for at in clock] for side in (min, max))
            axes.fill_between(clock, least, most, color=colour, alpha=0.14, linewidth=0)
        positive = [value for runs in curves.values() for _, values in runs for value in values if value > 0]
        if better == "lower" and positive and max(positive) > 3 * min(positive):
            axes.set_yscale("log")
            for plain in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                plain("{x:g}")
        axes.set_xlabel("images")
        axes.set_ylabel(f"{score}, {better} is better")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
        return _png(figure)


def _png(figure: Figure) -> bytes:
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png", dpi=150)
    return encoded.getvalue()
