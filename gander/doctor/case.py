"""What the doctor may see of a run: its recipe, the facts of its data, and its log up to a moment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from gander.history import History, read_rows
from gander.run import Run
from gander.schedule import Ramp

PROBED = "probe/auc"
"""The column that every probed row of a log has."""
STAGE = "stage"
"""The column that numbers the classes of one GAN a class; no file has it."""


@dataclass(frozen=True)
class Case:
    """One run up to a moment, or one that is about to begin: plain data, so that no torch is loaded.

    Args:
        recipe: the resolved recipe as a tree.
        data: what `env.json` says of the data, with `facts`, counts of the images; {} where unknown.
        history: the rows of the log up to the moment that is looked at.
        total: images of the whole run.
        ended: what `state.json` says; {} while the run is at work.
    """

    recipe: Mapping[str, Any]
    data: Mapping[str, Any] = field(default_factory=dict)
    history: History = field(default_factory=History)
    total: int = 0
    ended: Mapping[str, Any] = field(default_factory=dict)

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

    @cached_property
    def _probed(self) -> list[int]:
        """The places of the probed rows; of one GAN a class, those of the newest class alone."""
        stage = self.history.column(STAGE)
        here = [place for place, auc in enumerate(self.history.column(PROBED)) if math.isfinite(auc)]
        return [place for place in here if stage[place] in (stage[-1], math.nan) or stage[-1] != stage[-1]]

    @property
    def looks(self) -> list[int]:
        """Images shown at each probed row."""
        return [self.history.images[place] for place in self._probed]

    def probed(self, column: str) -> list[float]:
        """Give the finite numbers of a column at the probed rows, oldest first; `auc` is `probe/auc`."""
        values = self.history.column(column if column in self.history else f"probe/{column}")
        return [values[place] for place in self._probed if math.isfinite(values[place])]

    @property
    def steps(self) -> float:
        """How many steps the newest GAN has made, as far as the log says; inf where it does not."""
        made = self.probed("step")
        return made[-1] - (made[0] if self.history.last(STAGE) > 0 else 0) if made else math.inf

    @property
    def share(self) -> float:
        """How much of its training has been made by the newest GAN, 0 to 1."""
        stage = self.history.last(STAGE)
        parts = len(self.data.get("classes", ())) if stage == stage else 1
        began = self.total / max(parts, 1) * (stage if stage == stage else 0)
        return (self.images - began) / max(self.total / max(parts, 1), 1)

    def moments(self) -> Iterator[Case]:
        """Give the case as it was at the first row and at each probed one: no more than was known then."""
        growing = History()
        for position, images in enumerate(self.history.images):
            growing.append(
                {"images": images, **{name: self.history[name][position] for name in self.history.names}}
            )
            yield from replace(self, history=growing, ended={}).newest()

    def newest(self) -> Iterator[Case]:
        """Give itself where its newest row is one that findings come from."""
        if len(self.history.images) == 1 or math.isfinite(self.history.column(PROBED)[-1]):
            yield self


def numbered(row: Mapping[str, Any], classes: Sequence[str]) -> Mapping[str, Any]:
    """Give a row of a log with the number of its class, where it is that of one GAN a class."""
    return {**row, STAGE: classes.index(row["class"])} if row.get("class") in classes else row


def case_of(run: Run, recipe: Mapping[str, Any]) -> Case:
    """Read a run's files; what an old run does not have is left unknown."""
    env = run.env()
    data = env.get("data", {})
    history = History(numbered(row, data.get("classes", ())) for row in read_rows(run.log_file))
    return Case(recipe, data, history, int(env.get("images_total", 0)), run.state())
