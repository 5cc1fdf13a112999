"""The doctor beside a training: findings as they come, in the file, to watchers, and the same afterwards."""

from __future__ import annotations

import json

import pytest

from gander.actions.diagnose import diagnose
from gander.doctor.finding import finding_of
from gander.errors import Interrupted
from gander.history import read_rows
from gander.run import Run
from gander.training.loop import resume, train
from gander.training.watcher import Watcher
from tests.tiny import BATCH, STEPS, tiny

PROBED = {"every.log": BATCH, "every.probe": BATCH, "train.images": 2 * STEPS * BATCH}
BROKEN = PROBED | {"train.g_lr": 0.9}


class Listener(Watcher):
    def __init__(self, stop: int = 0) -> None:
        self.heard: list[tuple[str, int]] = []
        self.stop = stop

    def found(self, finding):
        self.heard.append((finding.code, finding.since))

    def stepped(self, images):
        return images == self.stop


@pytest.fixture(scope="module", autouse=True)
def no_first_steps():
    """Let the doctor speak of a training of 24 steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gander.doctor.diagnose.FIRST_STEPS", 0)
        yield


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    listener = Listener()
    folder = tmp_path_factory.mktemp("doctor")
    recipe = tiny(folder, patch=BROKEN)
    return recipe, train(recipe, folder / "run", listener), listener.heard


def test_a_watcher_hears_each_finding_once_and_the_file_holds_it(broken):
    _, run, heard = broken
    rows = [row for row in read_rows(run.findings_file) if row["since"] and not row["gone"]]
    assert heard == [(row["code"], row["since"]) for row in rows]
    assert "not-learning" in [code for code, _ in heard]
    assert all(row["images"] == row["since"] for row in rows)


def test_afterwards_the_files_alone_give_the_same(broken):
    _, run, _ = broken
    standing = {row["code"]: finding_of(row).since for row in run.findings()}
    assert standing == {finding.code: finding.since for finding in diagnose(run)}


def test_a_run_that_was_stopped_has_the_same_findings_when_it_is_resumed(broken, tmp_path):
    recipe, whole, _ = broken
    run = Run(tmp_path / "run")
    with pytest.raises(Interrupted):
        train(recipe, run.path, Listener(stop=14 * BATCH))
    with run.findings_file.open("a") as file:  # as of rows that were written after the last checkpoint
        file.write(json.dumps({"code": "of a time that is over", "gone": False}) + "\n")
    resume(run)
    assert run.findings_file.read_text() == whole.findings_file.read_text()
