import gc
import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from gander.errors import UsageError
from gander.history import History
from gander.pictures.charts import draw_curves, terminal_curves

BLUE, ORANGE, GREEN, PINK = (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)


def history_of(count=40, **columns):
    """A log of `count` rows; a column is a function of the row's place."""
    return History(
        {"images": 1000 * at, **{name.replace("_", "/"): value(at) for name, value in columns.items()}}
        for at in range(count)
    )


def drawn(tmp_path, history):
    """The picture as (H, W, 3) pixels: losses at the left, beside them D's answers."""
    draw_curves(history, tmp_path / "curves.png", "a run")
    return np.asarray(Image.open(tmp_path / "curves.png").convert("RGB")).astype(int)


def heights(pixels, colour, columns=slice(85, 735)):
    """Rows of the picture, below the first row's legends, in which a colour is seen."""
    return 85 + np.flatnonzero((np.abs(pixels[85:, columns] - colour).max(axis=2) < 40).any(axis=1))


def test_each_of_d_g_real_and_fake_has_its_colour(tmp_path):
    history = history_of(
        loss_d=lambda at: 1.0, loss_g=lambda at: 2.0, score_real=lambda at: 0.8, score_fake=lambda at: 0.2
    )
    pixels = drawn(tmp_path, history)
    right = slice(835, 1490)
    assert heights(pixels, ORANGE).mean() < heights(pixels, BLUE).mean(), "higher values lie higher"
    assert heights(pixels, GREEN, right).mean() < heights(pixels, PINK, right).mean()


def test_gradient_norms_get_a_panel_only_where_they_are_logged(tmp_path):
    without = drawn(tmp_path, history_of(loss_d=lambda at: 1.0))
    with_norms = drawn(tmp_path, history_of(loss_d=lambda at: 1.0, grad_d=lambda at: 3.0))
    assert len(with_norms) > len(without)


def test_one_spike_does_not_flatten_the_curve(tmp_path):
    history = history_of(count=100, loss_d=lambda at: 1e6 if at == 10 else math.sin(at / 9))
    blue = heights(drawn(tmp_path, history), BLUE)
    assert np.ptp(blue) > 200, "a panel is about 330 pixels high"


def test_gradient_norms_that_span_decades_lie_on_a_log_axis(tmp_path):
    history = history_of(grad_d=lambda at: 10.0 ** (at / 10))
    pixels = drawn(tmp_path, history)
    early, middle, late = (
        heights(pixels[400:], BLUE, slice(left, left + 60)).mean() for left in (120, 370, 620)
    )
    assert early - middle == pytest.approx(middle - late, rel=0.1), "a power is a straight line there"
    assert middle - late > 60


def test_a_gap_in_the_log_is_a_gap_in_the_line(tmp_path):
    def columns_of_blue(history):
        return (np.abs(drawn(tmp_path, history)[85:400, 85:725] - BLUE).max(axis=2) < 40).any(axis=0)

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
    assert drawn(tmp_path, history).shape[1] == 1500
    assert terminal_curves(history, width=80)


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_suffix_is_the_format_and_equal_logs_give_equal_files(tmp_path, suffix, begins):
    for name in "ab":
        draw_curves(history_of(loss_d=lambda at: at), tmp_path / f"{name}.{suffix}", "a run")
    first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in "ab")
    assert first.startswith(begins)
    assert first == second


def test_a_format_that_is_none_is_refused_with_those_that_are(tmp_path):
    with pytest.raises(
        UsageError, match=r"curves.gif: curves are written as .png, .svg, .pdf, not as '.gif'"
    ):
        draw_curves(History(), tmp_path / "curves.gif", "a run")


def test_a_score_is_drawn_beside_its_floor_and_says_which_way_is_better(tmp_path):
    scores = History({"images": at, "recall": at / 9, "recall/floor": 0.9} for at in range(9))
    draw_curves(
        history_of(loss_d=lambda at: 1.0), tmp_path / "curves.svg", "a run", scores, {"recall": "higher"}
    )
    drawing = (tmp_path / "curves.svg").read_text()
    assert all(text in drawing for text in ("recall", "higher is better", "generated 0.889", "floor 0.9"))
    assert "lower is better" not in drawing


def test_no_drawing_stays_in_memory(tmp_path):
    draw_curves(history_of(loss_d=lambda at: 1.0), tmp_path / "curves.png", "a run")
    gc.collect()
    assert not any(type(thing) is Figure for thing in gc.get_objects())


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
