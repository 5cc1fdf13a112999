"""What `import gander` offers is what the command line does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import gander
from gander.recipe.read import read_recipe
from gander.run import create_run
from tests.tiny import contents, tiny, tiny_file


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


def test_a_recipe_may_be_given_by_name_with_edits_and_a_run_to_branch_as_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("GANDER_RUNS", str(tmp_path / "runs"))
    named = gander.train(tiny_file(tmp_path), patch=["seed=3"])
    given = gander.train(tiny(tmp_path), patch={"seed": 3})
    assert [run.name for run in (named, given)] == ["tiny-1", "run-1"]
    assert read_recipe(named) == read_recipe(given) == read_recipe(named).patched({"seed": 3})
    assert contents(named) == contents(given)
    assert gander.branch(named, {"train.images": 104}).env()["branched"]["images"] == 96


def test_a_notebook_shows_the_newest_sheet_of_a_run(tmp_path):
    assert create_run(tmp_path / "new", "new", "", {})._repr_png_() is None
    run = gander.train(tiny(tmp_path), tmp_path / "run")
    assert len(run.sheets()) > 1
    assert run._repr_png_() == run.sheets()[-1].read_bytes()


@pytest.mark.slow
def test_the_page_for_python_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in ("GANDER_RUNS", "GANDER_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable.removeprefix("GANDER_").lower()))
    page = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text("utf-8")
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(block, names)
    assert (names["progress"].share, names["whole"].state()["state"]) == (0.5, "finished")
    assert names["images"].shape == (16, 3, 32, 32)
    assert set(gander.__all__) - {"Recipe", "Run", "__version__"} <= {*names}
