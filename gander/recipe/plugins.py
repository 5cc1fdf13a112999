"""A user's own modules, which define techniques that recipes can then name."""

from __future__ import annotations

import sys
import traceback
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from gander.errors import RecipeError, first_line, shorten, show


def import_plugins(names: Any, folder: Path | None = None) -> None:
    """Import what is installed as `gander.plugins`, and the modules that a recipe names.

    They are found in `folder`, the current folder, or on the Python path. Names that are none are left to
    the recipe's own checks.

    Raises: RecipeError where a module is not there, or fails.
    """
    _import_installed()
    for place in (folder, Path.cwd()):
        # A run may be a stranger's: what lies in it is data, and never code.
        if place is None or (place / "env.json").exists() or str(place.resolve()) in sys.path:
            continue
        sys.path.append(str(place.resolve()))  # last, so that nothing of Python's own is hidden
    for name in names if isinstance(names, list | tuple) else ():
        if isinstance(name, str) and name:
            _import(name, "put its folder on PYTHONPATH, or work from the folder that it is in")


@cache
def _import_installed() -> None:
    for plugin in entry_points(group="gander.plugins"):
        _import(plugin.module, f"uninstall {plugin.dist.name if plugin.dist else plugin.name}, or mend it")


def _import(name: str, hint: str) -> None:
    try:
        import_module(name)
    except RecipeError:
        raise
    except Exception as error:  # a user's module may fail in any way
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise RecipeError(f"plugins: there is no module {show(name)} here", hint=hint) from None
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise RecipeError(
            f"plugins: {show(name)} cannot be imported: {type(error).__name__}: {first_line(error)} "
            f"({shorten(last.filename, 100)}, line {last.lineno})",
            hint=hint,
        ) from None
