"""Train GANs on small images, look hard at what happens, and say what it means.

The names below are loaded when first used, so that `import gander` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gander.actions.evaluate import evaluate
    from gander.actions.export import export
    from gander.actions.generate import generate
    from gander.actions.judge import judge
    from gander.actions.sample import sample
    from gander.generation.load import load
    from gander.recipe.read import load_recipe
    from gander.recipe.schema import Recipe
    from gander.run import Run
    from gander.training.loop import branch, resume, train
    from gander.training.watcher import Watcher

__version__ = "0.1.0"

_HOMES = {
    "Recipe": "gander.recipe.schema",
    "Run": "gander.run",
    "Watcher": "gander.training.watcher",
    "branch": "gander.training.loop",
    "evaluate": "gander.actions.evaluate",
    "export": "gander.actions.export",
    "generate": "gander.actions.generate",
    "judge": "gander.actions.judge",
    "load": "gander.generation.load",
    "load_recipe": "gander.recipe.read",
    "resume": "gander.training.loop",
    "sample": "gander.actions.sample",
    "train": "gander.training.loop",
}

__all__ = [
    "Recipe",
    "Run",
    "Watcher",
    "__version__",
    "branch",
    "evaluate",
    "export",
    "generate",
    "judge",
    "load",
    "load_recipe",
    "resume",
    "sample",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gander' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
