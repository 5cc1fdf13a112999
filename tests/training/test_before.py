"""What a training says, and writes, before its first step."""

from __future__ import annotations

import json

from gander.doctor.finding import finding_of
from gander.history import read_rows
from gander.training.loop import branch, resume, train
from tests.tiny import Notes, stopped_run, tiny


def codes_in(run) -> list[str]:
    return [finding_of({key: row[key] for key in row if key not in ("images", "gone")}).code
            for row in read_rows(run.findings_file)]  # fmt: skip


def test_facts_are_said_written_and_kept_with_the_counts_of_the_data(tmp_path):
    notes = Notes()
    run = train(tiny(tmp_path, patch={"train.g_lr": 0.02}), tmp_path / "run", notes)
    said = [note for note in notes.notes if note.startswith(("warning", "error"))]
    assert any(
        note.startswith("warning g-rate-high: G's learning") and "try train.g_lr" in note for note in said
    )
    assert {"g-rate-high", "data-tiny", "data-corrupt"} <= {*codes_in(run)}
    assert {row["since"] for row in read_rows(run.findings_file) if row["code"] == "data-tiny"} == {0}
    assert len(codes_in(run)) == len({*codes_in(run)})
    assert json.loads(run.env_file.read_text())["data"]["facts"]["images"] == 64


def test_a_branch_is_checked_anew_and_a_run_that_goes_on_is_not(tmp_path):
    run = stopped_run(tiny(tmp_path), tmp_path / "run", 8)
    before = codes_in(run)
    resume(run)
    assert codes_in(run)[: len(before)] == before
    branched = branch(run, {"train.d_lr": 0.0, "train.images": 200}, tmp_path / "branch")
    assert "d-frozen" in codes_in(branched)
    assert "d-frozen" not in codes_in(run)
