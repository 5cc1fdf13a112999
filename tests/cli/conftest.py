from __future__ import annotations

import signal
import sys
from typing import NamedTuple

import pytest

from gander.cli.main import main


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    """Give a runs folder of each test's own."""
    monkeypatch.setenv("GANDER_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def gander(monkeypatch, capsys):
    """Run one command line in this process; give its exit code and what it printed."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["gander", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        code = end.value.code
        return Answer(0 if code is None else code, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGTERM, before)
