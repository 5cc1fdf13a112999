import math

import pytest

from gander.errors import StorageError
from gander.history import History, best_of, read_rows


def test_a_file_that_is_not_there_yet_has_no_rows(tmp_path):
    assert read_rows(tmp_path / "log.jsonl") == []


@pytest.mark.parametrize(
    "torn", [b'{"images": 2', b"{", b'{"name": "caf\xc3', b"\0\0\0\0", b"17", b"[" * 100_000]
)
def test_a_torn_last_line_is_left_out(tmp_path, torn):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"images": 1}\n' + torn)
    assert read_rows(path) == [{"images": 1}]


def test_a_whole_last_line_counts_without_its_newline(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"images": 1}\n{"images": 2}')
    assert [row["images"] for row in read_rows(path)] == [1, 2]


def test_a_damaged_line_before_the_last_is_named(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"images": 1}\n{"imag\n{"images": 3}\n')
    with pytest.raises(StorageError, match=r"log\.jsonl, line 2: is not a JSON object"):
        read_rows(path)


def test_columns_are_aligned_with_images_and_hold_nan_where_a_row_has_no_number():
    history = History(
        [
            {"images": 64, "loss/d": 1.5},
            {"images": 128, "loss/d": None, "note": "ramp ended"},
            {"images": 192, "loss/d": math.inf, "loss/g": 2},
        ]
    )
    assert history.images == [64, 128, 192]
    assert history.names == ["loss/d", "loss/g"]
    assert history.column("loss/d") == pytest.approx([1.5, math.nan, math.inf], nan_ok=True)
    assert history.column("loss/g") == pytest.approx([math.nan, math.nan, 2.0], nan_ok=True)


def test_last_is_the_newest_finite_number():
    history = History([{"images": 1, "fd": 30.0}, {"images": 2, "fd": math.nan}])
    assert history.last("fd") == 30.0
    assert math.isnan(history.last("kid"))


def test_rows_without_a_clock_are_no_part_of_a_history():
    assert History([{"event": "resumed"}, {"images": 5}]).images == [5]


def test_the_best_score_is_of_those_made_as_the_last_one_was():
    rows = [
        {"images": images, "fd-judge": score, "protocol": {"features": judge}}
        for images, score, judge in [(1, 1.0, "old"), (2, 3.0, "new"), (3, 2.0, "new"), (4, 2.0, "new")]
    ]
    assert best_of(rows)["images"] == 3
    assert best_of(rows[:1])["images"] == 1
    assert best_of([]) is None


def test_a_history_is_a_mapping_of_columns_of_equal_length():
    history = History([{"images": 64, "loss/d": 1.5}, {"images": 128, "loss/g": 2, "note": "x"}])
    assert isinstance(history, dict)  # pandas takes the names of any other mapping as rows
    columns = dict(history)
    assert list(columns) == ["images", "loss/d", "loss/g"]
    assert {len(column) for column in columns.values()} == {2}
    assert columns["images"] == [64, 128]
    with pytest.raises(KeyError):
        history["note"]
    assert repr(history) == "History of 2 rows to 128 images; last loss/d 1.5, loss/g 2"
    assert repr(History()) == "History of 0 rows"


def test_rows_appended_one_by_one_give_the_history_of_all():
    rows = [{"images": 1, "a": 1.0}, {"images": 2, "b": 2.0}, {"event": "resumed"}, {"images": 3, "a": 3.0}]
    history = History()
    for row in rows:
        history.append(row)
    assert {name: str(column) for name, column in history.items()} == {
        "images": "[1, 2, 3]",
        "a": "[1.0, nan, 3.0]",
        "b": "[nan, 2.0, nan]",
    }
