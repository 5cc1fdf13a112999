"""A report is one file that holds what the page shows."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest

from gander.errors import UsageError
from gander.report.frozen import report, spread, thinned
from tests.dash.conftest import FINDING, Make, make_run

__all__ = ["make_run"]


def frozen_in(path: Path) -> dict:
    held = re.search(
        r'<script type="application/json" id="frozen">(.*?)</script>', path.read_text(), re.DOTALL
    )
    assert held
    return json.loads(held[1])


def test_a_report_asks_nobody_for_anything(make_run: Make, tmp_path: Path):
    path = report([make_run("one"), make_run("two")], tmp_path / "report.html")
    text = path.read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:)[^"']*["']""", text)
    assert not re.findall(r"url\((?!data:)", text)
    assert "default-src 'none'" in text
    assert [run["name"] for run in frozen_in(path)["runs"]] == ["one", "two"]
    assert len(frozen_in(path)["runs"][0]["pictures"]) == 3


def test_text_of_a_run_cannot_become_part_of_the_page(make_run: Make, tmp_path: Path):
    hostile = "</script><script>alert(1)</script><!--"
    run = make_run(title=hostile, classes=(hostile,))
    (run.path / "findings.jsonl").write_text(json.dumps(FINDING | {"says": hostile}) + "\n")
    path = report([run], tmp_path / "report.html")
    assert hostile not in path.read_text()
    assert frozen_in(path)["runs"][0]["title"] == hostile
    assert path.read_text().count("<script") == 3


def test_a_report_overwrites_none_but_the_run_s_own(make_run: Make, tmp_path: Path):
    run, taken = make_run(), tmp_path / "taken.html"
    taken.write_text("mine")
    with pytest.raises(UsageError, match="nothing is overwritten"):
        report([run], taken)
    assert report([run]) == report([run]) == run.path / "report.html"
    assert taken.read_text() == "mine"


def test_thinned_columns_keep_the_means_and_the_clock():
    columns = {"images": [1, 2, 3, 4, 5], "a": [1.0, 3.0, None, 5.0, 9.0], "b": [None] * 5}
    assert thinned(columns, 3) == {"images": [2, 4, 5], "a": [2.0, 5.0, 9.0], "b": [None, None, None]}
    assert thinned(columns, 5) == columns


def test_sheets_are_chosen_from_the_first_to_the_last_closer_at_the_start():
    sheets = [Path(str(number)) for number in range(100)]
    chosen = [int(sheet.name) for sheet in spread(sheets, 12)]
    assert (chosen[0], chosen[-1], len(chosen)) == (0, 99, 12)
    gaps = [after - before for before, after in itertools.pairwise(chosen)]
    assert gaps == sorted(gaps)
    assert spread(sheets[:3], 12) == sheets[:3]
