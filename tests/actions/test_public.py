"""What `import gander` offers is what the command line does."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import gander


def test_no_public_name_is_hidden_by_a_folder_of_the_package():
    for name in gander.__all__:
        getattr(gander, name)  # imports all that it needs
    assert not [name for name in gander.__all__ if isinstance(getattr(gander, name), ModuleType)]


@pytest.mark.parametrize(
    "words", ["runs", "data shapes", "train quickstart", "generate @last -n 5 --to x", "bench"]
)
def test_without_locks_of_files_gander_says_where_it_runs(words, tmp_path):
    """As on Windows, which has neither of the two modules."""
    lines = f"""
import sys
sys.modules["fcntl"] = sys.modules["resource"] = None
sys.argv = ["gander", *{words.split()!r}]
from gander.cli.main import main
main()
"""
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == ["gander: gander needs Linux, macOS or WSL", "  Try: wsl --install"]
