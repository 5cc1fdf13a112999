"""What the doctor may see of a run: its recipe, the facts of its data, and its log up to a moment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gander.history import History
from gander.run import Run
from gander.schedule import Ramp

PROBED = "probe/auc"
"""The column that every probed row of a log has."""


@dataclass(frozen=True)
class Case:
    """One run up to a moment, or one that is about to begin: plain data, so that no torch is loaded.

    Args:
        recipe: the resolved recipe as a tree.
        data: what `env.json` says of the data, with `facts`, counts of the images; {} where unknown.
        history: the rows of the log up to the moment that is looked at.
        total: images of the whole run.
    """

    recipe: Mapping[str, Any]
    data: Mapping[str, Any] = field(default_factory=dict)
    history: History = field(default_factory=History)
    total: int = 0

    @property
    def images(self) -> int:
        """How many images had been shown at the moment that is looked at."""
        return self.history.images[-1] if self.history.images else 0

    def setting(self, path: str, default: Any = None) -> Any:
        """Read a setting of the recipe by its dotted path; a ramp is read at this moment."""
        value: Any = self.recipe
        for name in path.split("."):
            if not isinstance(value, Mapping) or name not in value:
                return default
            value = value[name]
        if isinstance(value, Mapping) and {"from", "to", "over"} <= value.keys():
            return Ramp.model_validate(value).at(self.images)
        return value

    def technique(self, slot: str, kind: str) -> Mapping[str, Any] | None:
        """Give the settings of a technique in a slot that holds several; None where it is not used."""
        held = self.setting(slot, ())
        several = [held] if isinstance(held, str | Mapping) else held
        named = [{"kind": each} if isinstance(each, str) else each for each in several]
        return next((each for each in named if each.get("kind") == kind), None)

    def knows(self, column: str) -> bool:
        """Tell whether the log has a finite number under this name."""
        return math.isfinite(self.history.last(column))

    def values(self, column: str) -> list[float]:
        """Give the finite numbers of a column, oldest first."""
        return [value for value in self.history.column(column) if math.isfinite(value)]

    def recent(self, column: str, count: int) -> list[float]:
        """Give the newest finite numbers of a column, at most `count`."""
        return self.values(column)[-count:]

    def moments(self) -> Iterator[Case]:
        """Give the case as it was at each probed row, oldest first: what was known then, and no more."""
        growing = History()
        for position, images in enumerate(self.history.images):
            growing.append(
                {"images": images, **{name: self.history[name][position] for name in self.history.names}}
            )
            if math.isfinite(self.history.column(PROBED)[position]):
                yield replace(self, history=growing)


def case_of(run: Run, recipe: Mapping[str, Any]) -> Case:
    """Read a run's files; what an old run does not have is left unknown."""
    env = run.env()
    return Case(recipe, env.get("data", {}), run.history(), int(env.get("images_total", 0)))
