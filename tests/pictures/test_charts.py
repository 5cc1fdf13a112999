import math

import numpy as np
import pytest
from PIL import Image

from gander.history import History
from gander.pictures.charts import draw_curves, terminal_curves

BLUE, PURPLE, GREEN, PINK = (31, 111, 196), (139, 63, 176), (44, 154, 75), (224, 64, 127)


def history_of(count=40, **columns):
    """A log of `count` rows; a column is a function of the row's place."""
    return History(
        {"images": 1000 * at, **{name.replace("_", "/"): value(at) for name, value in columns.items()}}
        for at in range(count)
    )


def drawn(tmp_path, history):
    """The picture without its header, as (H, W, 3) pixels."""
    draw_curves(history, tmp_path / "curves.png", "a run")
    return np.asarray(Image.open(tmp_path / "curves.png").convert("RGB")).astype(int)


def heights(pixels, colour):
    """Rows of the picture, right of every legend, in which a colour is seen."""
    return np.flatnonzero((np.abs(pixels[:, 450:870] - colour).max(axis=2) < 40).any(axis=1))


def test_each_of_d_g_real_and_fake_has_its_colour(tmp_path):
    history = history_of(
        loss_d=lambda at: 1.0, loss_g=lambda at: 2.0, score_real=lambda at: 0.8, score_fake=lambda at: 0.2
    )
    pixels = drawn(tmp_path, history)
    blue, purple, green, pink = (heights(pixels, colour).mean() for colour in (BLUE, PURPLE, GREEN, PINK))
    assert purple < blue < green < pink, "higher values lie higher, losses above scores"


def test_gradient_norms_get_a_panel_only_where_they_are_logged(tmp_path):
    without = drawn(tmp_path, history_of(loss_d=lambda at: 1.0))
    with_norms = drawn(tmp_path, history_of(loss_d=lambda at: 1.0, grad_d=lambda at: 3.0))
    assert len(with_norms) > len(without)


def test_one_spike_does_not_flatten_the_curve(tmp_path):
    history = history_of(count=100, loss_d=lambda at: 1e6 if at == 10 else math.sin(at / 9))
    blue = heights(drawn(tmp_path, history), BLUE)
    assert np.ptp(blue) > 140, "a panel is about 190 pixels high"


def test_gradient_norms_that_span_decades_lie_on_a_log_axis(tmp_path):
    history = history_of(grad_d=lambda at: 10.0 ** (at / 10))
    pixels = drawn(tmp_path, history)
    quarter = [heights(pixels[:, left : left + 480], BLUE) for left in (0, 240)]
    assert quarter[0].mean() - quarter[1].mean() > 30, "a power is a straight line, not a hook at the end"


def test_a_gap_in_the_log_is_a_gap_in_the_line(tmp_path):
    def columns_of_blue(history):
        return (np.abs(drawn(tmp_path, history)[80:300, 80:870] - BLUE).max(axis=2) < 40).any(axis=0)

    whole = columns_of_blue(history_of(loss_d=lambda at: 1.0))
    broken = columns_of_blue(history_of(loss_d=lambda at: math.nan if 15 <= at < 25 else 1.0))
    sparse = columns_of_blue(history_of(loss_d=lambda at: 1.0 if at % 3 == 0 else math.nan))
    assert whole.mean() > 0.95
    assert broken.mean() == pytest.approx(0.72, abs=0.06)
    assert sparse.mean() > 0.95, "a value every third row is a line all the same"


@pytest.mark.parametrize(
    "history",
    [
        History([]),
        History([{"images": 0, "loss/d": 0.7}]),
        history_of(loss_d=lambda at: 0.0, loss_g=lambda at: 0.0, grad_d=lambda at: 0.0),
        history_of(loss_d=lambda at: math.nan, grad_g=lambda at: math.inf),
        history_of(loss_d=lambda at: 1e-300, loss_g=lambda at: 1e300, grad_d=lambda at: 10.0**-at),
        history_of(loss_d=lambda at: 7e15, score_real=lambda at: -1e-12),
    ],
    ids=["empty", "one point", "zeros", "nothing finite", "extremes", "constants"],
)
def test_odd_logs_are_drawn_without_complaint(tmp_path, history):
    assert drawn(tmp_path, history).shape[1] == 900
    assert terminal_curves(history, width=80)


def test_the_terminal_shows_a_rising_line_and_its_last_value():
    text = terminal_curves(history_of(score_real=lambda at: at / 39, score_fake=lambda at: 0.5), 80)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    top = next(at for at, line in enumerate(lines) if "real 1" in line) + 1
    plot = [line[5:41] for line in lines[top : top + 8]]
    first_mark = [next(at for at, mark in enumerate(line) if mark > "\u2800") for line in plot]
    assert first_mark == sorted(first_mark, reverse=True), "the top line begins furthest to the right"
    assert lines[-1].split() == ["0", "39k", "images", "0", "39k", "images"]


@pytest.mark.parametrize("width", [10, 40, 79, 200])
def test_the_terminal_plot_fits_its_width(width):
    text = terminal_curves(history_of(loss_d=lambda at: at * 1000.0), width, height=5)
    assert max(map(len, text.splitlines())) <= max(width, 40)
    assert len(text.splitlines()) == 2 * (5 + 1) + 2
