"""The page of a study."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from gander.errors import UsageError
from gander.pictures.comparison import Row, draw_bands, draw_differences
from gander.report.study import write_page
from gander.study.file import read_study, study_digest
from gander.study.ledger import Ledger
from gander.study.results import last_look, read_results

FILE = """
title = "Is <b>slow</b> slow?"
recipe = "shapes-dcgan"
seeds = 3
images = 2000
[arms]
plain = []
slow = ["train.d_lr=1e-6"]
"""


@pytest.fixture
def study(tmp_path):
    """A study as its files are, of which one trial diverged."""
    (tmp_path / "study.toml").write_text(FILE)
    plan = read_study(tmp_path / "study.toml")
    ledger = Ledger(tmp_path)
    engine = {"device": "cpu", "precision": "float32", "threads": 1}
    said = {"digest": study_digest(plan), "study": plan.model_dump(mode="json"), "engine": engine}
    ledger.append("plan", said | {"trials": 0, "gander": "0.1.0"})
    for arm, score in (("plain", 2.0), ("slow", 3.0)):
        for seed in range(3):
            run = tmp_path / "runs" / arm / str(seed)
            (run / "samples").mkdir(parents=True)
            rows = [{"images": at, "fd-judge": score + (2000 - at) / 100 + seed / 50} for at in (1000, 2000)]
            (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            Image.new("RGB", (8, 8), (seed, 0, 0)).save(run / "samples" / "images-000000002000.png")
            more = {"score": rows[-1]["fd-judge"], "protocol": {"version": 2}, "seconds": 36.0}
            failed = (arm, seed) == ("slow", 1)
            ledger.note(
                f"{arm}/{seed}", "diverged" if failed else "done", 1, {"seconds": 36.0} if failed else more
            )
    return tmp_path


def test_the_page_is_one_file_with_verdicts_pictures_cost_and_digest(study):
    page = write_page(read_results(study)).read_text()
    assert "Is &lt;b&gt;slow&lt;/b&gt; slow?" in page
    text = re.sub(r"<[^>]*>|\s+", " ", page)
    assert re.search(r"slow +worse +\+\d\d\.\d % ", text)
    assert "1 missing" not in text
    assert re.search(r"2 of 2|0 of 2", text)
    assert study_digest(read_study(study / "study.toml")) in page
    assert "0.06 hours of work" in text
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", page)
    assert len(pictures) == 4
    assert all(Image.open(io.BytesIO(base64.b64decode(each))).size > (7, 7) for each in pictures)


def test_dots_are_the_seeds_in_which_both_have_a_score(study, monkeypatch):
    drawn = []
    monkeypatch.setattr("gander.report.study.draw_differences", lambda rows, *_: drawn.extend(rows) or b"")
    write_page(read_results(study))
    assert drawn[0].changes == pytest.approx([0.5, 3.04 / 2.04 - 1])


def test_runs_that_were_cleared_away_leave_their_scores_on_the_page(study):
    import shutil

    shutil.rmtree(study / "runs")
    page = write_page(read_results(study)).read_text()
    assert page.count("data:image/png") == 1
    assert "worse" in page


def test_a_study_is_shown_as_it_was_last_read(study):
    with pytest.raises(UsageError, match="without verdicts yet"):
        last_look(study)
    Ledger(study).append("look", {"seeds": 2})
    assert last_look(study).scores["plain"].keys() == {0, 1}


def ink(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_every_seed_is_a_dot_and_one_wild_interval_hides_none():
    rows = [
        Row("calm", (-0.1, -0.12, -0.11), -0.11, -0.13, -0.09, "better"),
        Row("wild", (0.02, -0.03, 9.0), 0.5, -0.99, 1e6),
        Row("none", ()),
    ]
    drawn = ink(draw_differences(rows, 0.03, "fd-judge", "lower"))
    green = (drawn[..., 1] - drawn[..., 0] > 60) & (drawn[..., 1] > drawn[..., 2])
    assert green.sum() > 300
    across = np.flatnonzero(green.any(0))
    assert across.max() - across.min() > 0.02 * drawn.shape[1]


def test_curves_of_many_arms_are_drawn_with_their_spans():
    curves = {f"arm {n}": [([1, 2], [3.0 + n, 2.0]), ([1, 2], [4.0 + n, 1.0])] for n in range(9)}
    assert ink(draw_bands(curves, "fd-judge", "lower")).shape[1] == 1290
