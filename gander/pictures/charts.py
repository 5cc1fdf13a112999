"""Curves of a run over its clock: PNG, SVG or PDF to keep, and a plot for the terminal."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gander.errors import UsageError
from gander.history import History
from gander.pictures.sheet import save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = NDArray[np.float64]

FORMATS = (".png", ".svg", ".pdf")
# Okabe and Ito's colours, which the colour-blind can tell apart: D, G, real, fake.
_BLUE, _ORANGE, _GREEN, _PINK, _GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6b6b6b"
_PANELS = (
    ("loss", "loss", (("loss/d", "D", _BLUE), ("loss/g", "G", _ORANGE))),
    (
        "D's answers",
        "higher: taken for real",
        (("score/real", "real", _GREEN), ("score/fake", "fake", _PINK)),
    ),
    ("gradient norms", "norm", (("grad/d", "D", _BLUE), ("grad/g", "G", _ORANGE))),
)
_ALWAYS = ("loss", "D's answers")  # of either sign; the others are drawn where there are any
_LOG_SPAN = 30.0  # from which spread on these get a log axis
_CROWDED = 150  # points from which a line is drawn faint, with its moving median over it
_FEW = 20  # points below which each counts: no percentile hides one
_LARGEST = 1e30  # beyond, the transforms of a plot overflow
_STYLE = Path(__file__).with_suffix(".mplstyle")


@dataclass(frozen=True)
class _Series:
    label: str
    colour: str
    images: Values
    values: Values  # nan where the log has none

    @property
    def known(self) -> Values:
        return self.values[np.isfinite(self.values)]

    @property
    def legend(self) -> str:
        return f"{self.label} {self.known[-1]:.3g}" if self.known.size else self.label

    def smooth(self, places: int) -> _Series:
        """Take the median of a moving window of a fortieth of the points, at no more than `places` points."""
        count = len(self.values)
        half = max(count // 80, 2)
        centres = np.unique(np.linspace(0, count - 1, min(count, places)).round().astype(int))
        windows = (self.values[max(at - half, 0) : at + half + 1] for at in centres)
        finite = [window[np.isfinite(window)] for window in windows]
        medians = [np.median(window) if window.size else math.nan for window in finite]
        return _Series(self.label, self.colour, self.images[centres], np.array(medians))

    def strokes(self) -> Iterator[NDArray[np.intp]]:
        """Give the points of each unbroken line: one that is missing longer than is usual breaks it."""
        known = np.flatnonzero(np.isfinite(self.values))
        if known.size:
            steps = np.diff(known)
            usual = np.median(steps) if steps.size else 1
            yield from np.split(known, np.flatnonzero(steps > 1.5 * usual) + 1)


@dataclass(frozen=True)
class _Panel:
    title: str
    axis: str  # what goes up, and which way is better
    series: list[_Series]


def _clock_text(images: float, _: object = None) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if images >= size:
            return f"{images / size:.4g}{unit}"
    return f"{images:g}"


def _limits(panel: Sequence[_Series], may_be_log: bool) -> tuple[float, float, bool]:
    """Fit an axis to all but the wildest hundredth of each series, so that no spike flattens the rest."""
    finite = [one.known for one in panel if one.known.size] or [np.array([0.0, 1.0])]
    positive = [known[known > 0] for known in finite if (known > 0).any()]
    low, high = _bulk(positive) if may_be_log and positive else (1.0, 1.0)
    log = high / low > _LOG_SPAN
    low, high = _bulk([np.log10(known) for known in positive] if log else finite)
    slack = 0.06 * (high - low) or 0.1 * abs(high) or 0.5
    low, high = low - slack, high + slack
    return (10.0**low, 10.0**high, True) if log else (low, high, False)


def _bulk(columns: list[Values]) -> tuple[float, float]:
    every = np.concatenate(columns)
    least, most = float(every.min()), float(every.max())
    if any(known.size >= _FEW for known in columns):
        low = min(float(np.percentile(known, 1, method="higher")) for known in columns)
        high = max(float(np.percentile(known, 99, method="lower")) for known in columns)
        if most - least > 1.5 * (high - low) > 0:
            return low, high
    return least, most


def _panels(history: History, scores: History, charted: Mapping[str, str]) -> list[_Panel]:
    panels = []
    for title, axis, columns in _PANELS:
        series = [_series(history, *column) for column in columns]
        if title in _ALWAYS or any(one.known.size for one in series):
            panels.append(_Panel(title, axis, series))
    for name, better in charted.items():
        if math.isfinite(scores.last(name)):
            floor = _series(scores, f"{name}/floor", "floor", _GREY)
            generated = _series(scores, name, "generated", _ORANGE)
            panels.append(_Panel(name, f"{better} is better", [generated, floor]))
    return panels


def _series(history: History, name: str, label: str, colour: str) -> _Series:
    values = np.array(history.column(name), dtype=np.float64)
    values = np.where(np.isfinite(values), np.clip(values, -_LARGEST, _LARGEST), np.nan)
    return _Series(label, colour, np.array(history.images, dtype=np.float64), values)


def draw_curves(
    history: History,
    path: Path,
    title: str,
    scores: History | None = None,
    charted: Mapping[str, str] | None = None,
) -> None:
    """Write losses, D's answers, gradient norms and scores with their floors, in the format of the suffix.

    Args:
        charted: the scores that are drawn, and which way is better: lower or higher.
    Raises: UsageError for a suffix that is none of `FORMATS`, StorageError where the disk refuses.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: curves are written as {', '.join(FORMATS)}, not as {path.suffix!r}")
    # Imported here, for it takes longer than the rest of the command line. Without pyplot, which keeps a list
    # of its figures, none outlives its use.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = _panels(history, scores if scores is not None else History(), charted or {})
    rows = math.ceil(len(panels) / 2)
    with rc_context(fname=_STYLE):
        figure = Figure(figsize=(10, 0.5 + 2.7 * rows), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        every = list(figure.subplots(rows, 2, squeeze=False).flat)
        end = max([*history.images[-1:], *(scores.images[-1:] if scores is not None else []), 1])
        for axes, panel in zip(every, panels, strict=False):
            _draw(axes, panel, end)
        for axes in every[len(panels) :]:
            axes.remove()
        encoded = io.BytesIO()
        dated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})
        figure.supxlabel("images", fontsize=9)
        figure.savefig(encoded, format=path.suffix[1:].lower(), dpi=150, metadata=dated)
    save_picture(encoded.getvalue(), path)


def draw_shares(counts: Sequence[int], lines: Mapping[str, Sequence[float]], across: str) -> Image.Image:
    """Draw shares, in percent, over counts of images on a log axis, each line with its name at its end."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    encoded = io.BytesIO()
    with rc_context(fname=_STYLE):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.subplots()
        for (name, shares), colour in zip(lines.items(), (_BLUE, _ORANGE, _GREY), strict=False):
            percent = [100 * share for share in shares]
            axes.plot(counts, percent, "o-", color=colour, label=name)
        axes.set(xscale="log", xlabel=across, ylabel="% named rightly")
        axes.set_xticks(counts, [f"{count:,}" for count in counts], minor=False)
        axes.legend()
        figure.savefig(encoded, format="png", dpi=150)
    return Image.open(encoded)


def _draw(axes: Axes, panel: _Panel, end: float) -> None:
    low, high, log = _limits(panel.series, panel.title == "gradient norms" or panel.axis == "lower is better")
    crowded = any(one.known.size > _CROWDED for one in panel.series)
    for series in panel.series:
        style = "--" if series.colour == _GREY else "-"
        if crowded:
            _stroke(axes, series, style, 0.25, 1.0)
        _stroke(axes, series.smooth(400) if crowded else series, style, 1.0, 1.8)
        axes.plot([], [], style, color=series.colour, label=series.legend, linewidth=1.8)
    if log:
        axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_xlim(0, end * 1.01)
    axes.xaxis.set_major_formatter(_clock_text)
    axes.set_ylabel(panel.axis + (", log" if log else ""))
    axes.set_title(panel.title, loc="left", fontweight="bold")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.0, handlelength=1.5)
    if off := _off_scale(panel.series, low, high):
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
        axes.text(
            0.99, 0.97, off, transform=axes.transAxes, ha="right", va="top", color=_GREY, size=7.5, bbox=box
        )


def _stroke(axes: Axes, series: _Series, style: str, opacity: float, width: float) -> None:
    for stroke in series.strokes():
        dot = "o" if len(stroke) < _FEW else ""
        across, up = series.images[stroke], series.values[stroke]
        axes.plot(
            across, up, dot + style, color=series.colour, alpha=opacity, linewidth=width, markersize=3.5
        )


def _off_scale(panel: Sequence[_Series], low: float, high: float) -> str:
    values = np.concatenate([one.known for one in panel])
    if not values.size:
        return "nothing logged yet"
    off = values[(values < low) | (values > high)]
    if not off.size:
        return ""
    span = f"{off.min():.3g} to {off.max():.3g}" if off.size > 1 else f"{off[0]:.3g}"
    return f"{off.size} of {values.size} points off the scale: {span}"


def terminal_curves(history: History, width: int, height: int = 8) -> str:
    """Plot losses and D's answers in braille, `width` (at least 40) characters across, `height` lines each.

    Without colours two lines in one plot cannot be told apart: they stand side by side, on one scale.
    """
    gutter = 9
    columns = (max(width, 40) - gutter - 5) // 2
    end = max([*history.images[-1:], 1])
    lines = []
    for panel in _panels(history, History(), {})[:2]:
        smooth = [series.smooth(2 * columns) for series in panel.series]
        low, high, _ = _limits(smooth, may_be_log=False)
        left, right = (f"{series.legend:{columns}}" for series in panel.series)
        lines.append(f"{'':{gutter}}  {panel.title + ': ' + left:{columns}.{columns}}   {right}")
        edges = {0: f"{high:.3g}", height - 1: f"{low:.3g}"}
        drawn = [_braille(series, (columns, height), (low, high), end) for series in smooth]
        for line, (at_left, at_right) in enumerate(zip(*drawn, strict=True)):
            edge = "┤" if line in edges else "│"
            lines.append(f"{edges.get(line, ''):>{gutter}} {edge}{at_left}  {edge}{at_right}")
    ends = f"0{_clock_text(end) + ' images':>{columns - 1}}"
    lines += [f"{'':{gutter}} └{'─' * columns}  └{'─' * columns}", f"{'':{gutter}}  {ends}   {ends}"]
    return "\n".join(line.rstrip() for line in lines)


def _braille(series: _Series, size: tuple[int, int], limits: tuple[float, float], end: float) -> list[str]:
    from plotille import Canvas

    low, high = limits
    canvas = Canvas(*size, xmin=0.0, xmax=1.0, ymin=0.0, ymax=1.0)
    across, up = series.images / end, (series.values - low) / (high - low)
    for stroke in series.strokes():
        for start, stop in zip(stroke, [*stroke[1:], stroke[-1]], strict=True):
            if 0 <= up[start] <= 1 and 0 <= up[stop] <= 1:
                canvas.line(across[start], up[start], across[stop], up[stop])
    return canvas.plot(linesep="\n").replace("\u2800", " ").split("\n")
