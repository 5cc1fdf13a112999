"""Curves of a run over its clock: a PNG for people to keep, and a plot for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gander.history import History
from gander.pictures.sheet import save_png

Values = NDArray[np.float64]

_BLUE, _PURPLE, _GREEN, _PINK = "#1f6fc4", "#8b3fb0", "#2c9a4b", "#e0407f"  # as in GAN Lab: D, G, real, fake
_INK, _FAINT, _GRID, _EDGE = "#333333", "#8a8a8a", "#ebebeb", "#c4c4c4"
_PANELS = (
    ("loss", (("loss/d", "D", _BLUE), ("loss/g", "G", _PURPLE))),
    ("score by D", (("score/real", "real", _GREEN), ("score/fake", "fake", _PINK))),
    ("gradient norm", (("grad/d", "D", _BLUE), ("grad/g", "G", _PURPLE))),
)
_SCORES = (("fd-judge", (("fd-judge", "generated", _PURPLE), ("fd-judge/floor", "floor", _GREEN))),)
_MAY_BE_LOG = ("gradient norm", "fd-judge")
_LOG_SPAN = 30.0  # from which spread on these get a log axis
_CROWDED = 150  # points from which a line is drawn faint, with its moving median over it
_FEW = 20  # points below which each counts: no percentile hides one
_BEYOND = 9.0  # axis lengths; where a value that is off the scale is drawn to, outside the frame


@dataclass(frozen=True)
class _Series:
    label: str
    colour: str
    images: Values
    values: Values  # nan where the log has none

    @property
    def last(self) -> float:
        finite = self.values[np.isfinite(self.values)]
        return float(finite[-1]) if finite.size else math.nan

    @property
    def legend(self) -> str:
        return f"{self.label} {self.last:.3g}" if math.isfinite(self.last) else self.label

    def smooth(self, places: int) -> _Series:
        """Give the median of a moving window of a fortieth of the points, at no more than `places` points."""
        count = len(self.values)
        half = max(count // 80, 2)
        centres = np.unique(np.linspace(0, count - 1, min(count, places)).round().astype(int))
        medians = [_median(self.values[max(at - half, 0) : at + half + 1]) for at in centres]
        return _Series(self.label, self.colour, self.images[centres], np.array(medians))

    def strokes(self) -> Iterator[NDArray[np.intp]]:
        """Give the points of each unbroken line: one that is missing longer than is usual breaks it."""
        known = np.flatnonzero(np.isfinite(self.values))
        if known.size:
            steps = np.diff(known)
            usual = np.median(steps) if steps.size else 1
            yield from np.split(known, np.flatnonzero(steps > 1.5 * usual) + 1)


def _median(window: Values) -> float:
    finite = window[np.isfinite(window)]
    return float(np.median(finite)) if finite.size else math.nan


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    log: bool = False  # then `low` and `high` are powers of ten

    def place(self, values: Values) -> Values:
        """Give each value's share of the way up the axis; beyond 0 to 1 where it is off the scale."""
        if self.log:
            values = np.log10(np.maximum(values, 1e-300))
        return np.clip((values - self.low) / (self.high - self.low), -_BEYOND, _BEYOND)

    def ticks(self, about: int) -> dict[float, str]:
        """Give round values along the axis, about so many, and how each is written."""
        if self.log:
            return {value: f"{value:g}" for value in self._log_ticks(about)}
        step = _round_step((self.high - self.low) / about)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        counts = range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)
        style = f".{decimals}f" if decimals < 5 and self.high < 1e5 else "g"
        return {count * step: format(count * step, style) for count in counts}

    def _log_ticks(self, about: int) -> list[float]:
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        for digits in ((1, 2, 5), (1, 3), (1,)):
            values = [digit * 10.0**power for power in powers for digit in digits]
            values = [value for value in values if self.low <= math.log10(value) <= self.high]
            if len(values) <= about + 1:
                return values
        return values[:: -(-len(values) // about)]


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return power * next(round_ for round_ in (1, 2, 5, 10) if step <= round_ * power * (1 + 1e-9))


def _clock_axis(history: History) -> _Axis:
    return _Axis(0.0, float(max([*history.images, 1])))


def _clock_text(images: float) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if images >= size:
            return f"{images / size:.4g}{unit}"
    return f"{images:g}"


def _value_axis(panel: Sequence[_Series], may_be_log: bool) -> _Axis:
    """Fit an axis to all but the wildest hundredth of each series, so that no spike flattens the rest."""
    finite = [known for one in panel if (known := one.values[np.isfinite(one.values)]).size]
    if not finite:
        return _Axis(0.0, 1.0)
    positive = [known[known > 0] for known in finite if (known > 0).any()]
    log = may_be_log and bool(positive) and _spread(positive) > _LOG_SPAN
    low, high = _limits([np.log10(known) for known in positive] if log else finite)
    slack = 0.06 * (high - low) or 0.1 * abs(high) or 0.5
    return _Axis(low - slack, high + slack, log)


def _spread(positive: list[Values]) -> float:
    low, high = _limits(positive)
    return high / low


def _limits(columns: list[Values]) -> tuple[float, float]:
    every = np.concatenate(columns)
    least, most = float(every.min()), float(every.max())
    if any(known.size >= _FEW for known in columns):
        low = min(float(np.percentile(known, 1, method="higher")) for known in columns)
        high = max(float(np.percentile(known, 99, method="lower")) for known in columns)
        if most - least > 1.5 * (high - low) > 0:
            return low, high
    return least, most


def _panels(history: History, scores: History | None = None) -> list[tuple[str, list[_Series]]]:
    panels = []
    for source, wanted in ((history, _PANELS), (scores or History([]), _SCORES)):
        images = np.array(source.images, dtype=np.float64)
        for title, columns in wanted:
            panel = [
                _Series(label, ink, images, np.array(source.column(name))) for name, label, ink in columns
            ]
            if title not in _MAY_BE_LOG or any(math.isfinite(one.last) for one in panel):
                panels.append((title, panel))
    return panels


# The picture is drawn at twice its size and reduced, which smooths the lines: lengths are in large pixels.
_WIDTH, _TOP, _PANEL, _BOTTOM = 1800, 110, 470, 80
_LEFT, _RIGHT, _HEADER, _DOT = 150, 50, 66, 7


def draw_curves(history: History, path: Path, title: str, scores: History | None = None) -> None:
    """Write losses, scores by D and, where there are some, gradient norms and `fd-judge` as a PNG.

    Raises: StorageError where the disk refuses.
    """
    panels = _panels(history, scores)
    picture = Image.new("RGB", (_WIDTH, _TOP + _PANEL * len(panels) + _BOTTOM), "white")
    _write(picture, (_LEFT, 54), title, 38, _INK)
    clock = _clock_axis(history)
    for place, (name, panel) in enumerate(panels):
        top = _TOP + _PANEL * place
        box = (_LEFT, top + _HEADER, _WIDTH - _RIGHT, top + _PANEL - 24)
        frame = _Frame(picture, box, clock, panel, name)
        frame.draw_grid()
        frame.draw_lines()
        frame.write_header()
    for images in clock.ticks(7):
        across = _LEFT + round(float(clock.place(np.array(images))) * (_WIDTH - _LEFT - _RIGHT))
        _write(picture, (across, picture.height - _BOTTOM), _clock_text(images), 24, _FAINT, "mm")
    _write(picture, (_WIDTH - _RIGHT, picture.height - 34), "images", 24, _FAINT, "rm")
    save_png(picture.reduce(2), path)


def _write(
    picture: Image.Image, at: tuple[int, int], text: str, size: int, ink: str, anchor: str = "lm"
) -> float:
    """Write a text and give its width."""
    font = ImageFont.load_default(size=size)
    ImageDraw.Draw(picture).text(at, text, fill=ink, font=font, anchor=anchor)
    return font.getlength(text)


class _Frame:
    """One panel of the picture: a box with the clock across and values up."""

    def __init__(
        self,
        picture: Image.Image,
        box: tuple[int, int, int, int],
        clock: _Axis,
        panel: Sequence[_Series],
        name: str,
    ) -> None:
        self.picture, self.box, self.clock, self.panel, self.name = picture, box, clock, panel, name
        self.axis = _value_axis(panel, may_be_log=name in _MAY_BE_LOG)
        self.width, self.height = box[2] - box[0], box[3] - box[1]

    def points(self, series: _Series) -> Values:
        """Give (N, 2) pixels from a dot's radius left of the box's top left corner."""
        across = self.clock.place(series.images) * self.width + _DOT
        return np.stack([across, (1 - self.axis.place(series.values)) * self.height], axis=1)

    def draw_grid(self) -> None:
        left, top, right, bottom = self.box
        pen = ImageDraw.Draw(self.picture)
        for images in self.clock.ticks(7):
            across = left + round(float(self.clock.place(np.array(images))) * self.width)
            pen.line((across, top, across, bottom), fill=_GRID, width=2)
        for value, text in self.axis.ticks(5).items():
            down = bottom - round(float(self.axis.place(np.array(value))) * self.height)
            pen.line((left, down, right, down), fill=_EDGE if value == 0 else _GRID, width=2)
            _write(self.picture, (left - 16, down), text, 24, _FAINT, "rm")
        pen.rectangle(self.box, outline=_EDGE, width=2)

    def draw_lines(self) -> None:
        """Draw each series; where its points are crowded, faintly and with its median over all of them."""
        crowded = [one for one in self.panel if np.isfinite(one.values).sum() > _CROWDED]
        for series in self.panel:
            self._stroke(series, width=4, opacity=0.22 if series in crowded else 1.0)
        for series in crowded:
            self._stroke(series.smooth(400), width=6, opacity=1.0)

    def _stroke(self, series: _Series, width: int, opacity: float) -> None:
        mask = Image.new("L", (self.width + 2 * _DOT, self.height))
        pen, shade = ImageDraw.Draw(mask), round(255 * opacity)
        points = self.points(series)
        for stroke in series.strokes():
            line = points[stroke]
            pen.line(line.flatten().tolist(), fill=shade, width=width, joint="curve")
            if len(line) < _FEW:
                for across, down in line:
                    pen.ellipse((across - _DOT, down - _DOT, across + _DOT, down + _DOT), fill=shade)
        self.picture.paste(series.colour, (self.box[0] - _DOT, self.box[1]), mask)

    def write_header(self) -> None:
        """Write the name, the legend with the newest values, and how much lies off the scale."""
        left, top, right, _ = self.box
        middle = top - 30
        across = left + _write(self.picture, (left, middle), self.name, 30, _INK) + 50
        pen = ImageDraw.Draw(self.picture)
        for series in self.panel:
            pen.line((across, middle, across + 40, middle), fill=series.colour, width=7)
            across += 54 + _write(self.picture, (round(across) + 54, middle), series.legend, 26, _INK) + 44
        _write(self.picture, (right, middle), self._off_scale(), 24, _FAINT, "rm")

    def _off_scale(self) -> str:
        values = np.concatenate([one.values for one in self.panel])
        values = values[np.isfinite(values)]
        if not values.size:
            return "nothing logged yet"
        places = self.axis.place(values)
        off = values[(places < 0) | (places > 1)]
        axis = ", log axis" if self.axis.log else ""
        if not off.size:
            return axis.removeprefix(", ")
        values_off = f"{off.min():.3g} to {off.max():.3g}" if off.size > 1 else f"{off[0]:.3g}"
        return f"{off.size} of {values.size} points off the scale: {values_off}{axis}"


_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # a braille cell's, in Unicode


def terminal_curves(history: History, width: int, height: int = 8) -> str:
    """Plot losses and scores in braille, `width` (at least 40) characters across and `height` lines each.

    Without colours two lines in one plot cannot be told apart: they stand side by side, on one scale.
    """
    clock = _clock_axis(history)
    plots = []
    for name, panel in _panels(history)[:2]:
        smooth = [series.smooth(2 * max(width, 40)) for series in panel]
        plots.append((f"{name}:", panel, smooth, _value_axis(smooth, may_be_log=False)))
    ticks = [_ticks_by_line(axis, height) for *_, axis in plots]
    gutter = max(len(text) for texts in ticks for text in texts.values())
    columns = (max(width, 40) - gutter - 5) // 2
    lines = []
    for (name, panel, smooth, axis), texts in zip(plots, ticks, strict=True):
        left, right = (series.legend for series in panel)
        lines.append(f"{'':{gutter}}  {f'{name} {left}':{columns}}   {right}")
        drawn = [_braille(series, clock, axis, (columns, height)) for series in smooth]
        for line, (at_left, at_right) in enumerate(zip(*drawn, strict=True)):
            edge = "┤" if line in texts else "│"
            lines.append(f"{texts.get(line, ''):>{gutter}} {edge}{at_left}  {edge}{at_right}")
    ends = f"0{_clock_text(clock.high) + ' images':>{columns - 1}}"
    lines += [f"{'':{gutter}} └{'─' * columns}  └{'─' * columns}", f"{'':{gutter}}  {ends}   {ends}"]
    return "\n".join(line.rstrip() for line in lines)


def _ticks_by_line(axis: _Axis, height: int) -> dict[int, str]:
    ticks = axis.ticks(max(height // 2, 1))
    lines = ((1 - axis.place(np.array([*ticks]))) * (height - 1)).round().astype(int).tolist()
    return dict(zip(lines, ticks.values(), strict=True))


def _braille(series: _Series, clock: _Axis, axis: _Axis, size: tuple[int, int]) -> list[str]:
    columns, rows = size
    dots = np.zeros((4 * rows, 2 * columns), dtype=np.int64)
    across = clock.place(series.images) * (2 * columns - 1)
    down = (1 - axis.place(series.values)) * (4 * rows - 1)
    for stroke in series.strokes():
        for start, end in zip(stroke, [*stroke[1:], stroke[-1]], strict=True):
            steps = math.ceil(max(abs(across[end] - across[start]), abs(down[end] - down[start]))) + 1
            x = np.linspace(across[start], across[end], steps).round().astype(int)
            y = np.linspace(down[start], down[end], steps).round().astype(int)
            inside = (y >= 0) & (y < 4 * rows)
            dots[y[inside], x[inside]] = 1
    cells = (dots.reshape(rows, 4, columns, 2) * _DOTS[:, None, :]).sum(axis=(1, 3))
    return ["".join(chr(0x2800 + cell) if cell else " " for cell in row) for row in cells]
