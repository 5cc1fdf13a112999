"""What the page may ask for: a training to start, to stop with its state saved, to branch."""

from __future__ import annotations

import os
import platform
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gander.errors import UsageError
from gander.patch import parse_patch
from gander.recipe.shipped import recipe_tree
from gander.run import Run, in_use


def start(folder: Path, words: str) -> str:
    """Start a training of a recipe with edits, as they would be typed; say what was started.

    Raises: UsageError, RecipeError.
    """
    try:
        name, *edits = shlex.split(words) or ["quickstart"]
    except ValueError as error:
        raise UsageError(f"{words!r}: {error}") from None
    if name.startswith("-") or any(edit.startswith("-") for edit in edits):
        raise UsageError(f"{words!r}: a recipe and edits, and no flags")
    recipe_tree(name)
    parse_patch(edits)
    return _begin(folder, ["train", name, *edits])


def branch(folder: Path, run: Run, edits: Sequence[str]) -> str:
    """Branch a run at its newest checkpoint; say what was started. Raises: RecipeError."""
    parse_patch(edits)
    if any(edit.startswith("-") for edit in edits):
        raise UsageError("edits only, and no flags")
    return _begin(folder, ["train", "--from", str(run.path), *edits])


def stop(run: Run) -> str:
    """Ask a training of this machine to save its state and end. Raises: UsageError where none is at work."""
    state = run.state()
    if not in_use(run) or state.get("host") != platform.node() or not isinstance(state.get("pid"), int):
        raise UsageError(f"{run.name}: is not at work on this machine")
    os.kill(state["pid"], signal.SIGTERM)
    return f"{run.name}: is asked to save and stop"


def _begin(folder: Path, words: Sequence[str]) -> str:
    """Begin a training that outlives the server; what it says goes to a file beside the runs."""
    command = [sys.executable, "-m", "gander", *words]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".dash.out").open("ab") as out:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "GANDER_RUNS": str(folder)},
            start_new_session=True,
        )
    return f"started: gander {shlex.join(words)}"
