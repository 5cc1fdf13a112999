"""The study file: a base recipe, arms, seeds, a length, a score; and the arms that follow from it."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from gander.errors import RecipeError, UsageError, did_you_mean, shorten, show
from gander.patch import Patch, parse_patch
from gander.recipe.problems import problem_lines
from gander.schedule import Settings
from gander.scores.table import METRICS

ANY_TIME = "any"
_LOOKS = f'write the numbers of seeds at which verdicts are read, from 2 on, ascending, or "{ANY_TIME}"'
_NAME = re.compile(r"\w[\w .,=+-]{0,59}")
_SAME = ("seed", "evaluate", "train.images", "train.epochs")  # settings that are those of the whole study
_SIGNED = ("kd-judge",)  # scores without a logarithm

SCORES = {m.name: m.better for m in METRICS if m.better != "near" and m.name not in _SIGNED}
"""What can be compared by ratio, and which way is better."""

Names = dict[str, list[str]]


def _counted(value: Any) -> Any:
    return [*range(value)] if isinstance(value, int) and not isinstance(value, bool) else value


def _looks(value: Any) -> Any:
    if isinstance(value, str) and value != ANY_TIME:
        raise ValueError(_LOOKS)
    return [0] if value == ANY_TIME else value


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Study(Settings):
    """What is compared, how long, on which seeds, by which score.

    `images` is the length of each trial; `seconds` gives each arm as many images as it manages here in that
    time. `patch` is made in every arm; `[axes]` multiplies the arms by every combination of its values.
    `looks` are the numbers of seeds at which verdicts are read, or "any". `noise` is the standard deviation
    of a trial's log score, until trials have told it.
    """

    title: str = Field(default="", max_length=200)
    recipe: str = Field(min_length=1, max_length=4000)
    seeds: Annotated[list[Seed], BeforeValidator(_counted), Field(min_length=1, max_length=2000)] = [
        *range(5)
    ]
    images: int | None = Field(default=None, ge=1, le=10**12, description="of each trial")
    seconds: float | None = Field(default=None, gt=0, le=1e8, description="of each trial")
    score: str = "fd-judge"
    scores: int = Field(default=5, ge=1, le=1000, description="times that a trial is scored")
    smallest: float = Field(default=0.03, gt=0, le=10, description="relative difference that matters")
    looks: Annotated[list[Annotated[int, Field(ge=0)]], BeforeValidator(_looks)] = []
    noise: float = Field(default=0.05, gt=0, le=5)
    patch: Annotated[list[str], BeforeValidator(_several)] = []
    data: Annotated[list[str], BeforeValidator(_several)] = []
    arms: dict[str, Annotated[list[str], BeforeValidator(_several)]] = {}
    axes: dict[str, list[Any]] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = [*self._length_problems(), *self._arm_problems(), *self._score_problems()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _length_problems(self) -> Iterator[str]:
        if (self.images is None) == (self.seconds is None):
            yield "give one of images and seconds, the length of each trial, for example images = 20_000"
        if len({*self.seeds}) < len(self.seeds):
            yield f"seeds = {show(self.seeds)}: a seed stands twice; give each once"
        if (
            self.looks != sorted({*self.looks})
            or (1 in self.looks)
            or (0 in self.looks and not self.any_time)
        ):
            yield f"looks = {show(self.looks)}: {_LOOKS}"

    def _arm_problems(self) -> Iterator[str]:
        for name in self.arms:
            if not _NAME.fullmatch(name):
                yield (
                    f"arms.{show(name)}: names a folder; write up to 60 letters, digits, spaces and .,=+-_"
                )
        for path, values in self.axes.items():
            if not values:
                yield f"axes.{show(path)} = []: give the values that are compared"
        for where, edit in self._edits():
            path = edit.partition("=")[0].strip().lstrip("+-")
            held = [*_SAME, *["data"] * bool(self.data)]
            shared = next((each for each in held if path == each or path.startswith(f"{each}.")), None)
            if shared and not (where == "patch" and shared == "evaluate"):
                yield f"{where}: {shorten(edit)}: every trial has the study's own {shared}"
        if not self.arms and not self.axes:
            yield 'nothing is compared; give [arms], as in: plain = [] and mine = ["train.d_lr=1e-4"]'

    def _edits(self) -> Iterator[tuple[str, str]]:
        yield from (("patch", edit) for edit in self.patch)
        yield from ((f"arms.{name}", edit) for name, edits in self.arms.items() for edit in edits)
        yield from (("axes", path) for path in self.axes)

    def _score_problems(self) -> Iterator[str]:
        if self.score not in SCORES:
            allowed = f"allowed are {', '.join(SCORES)}{did_you_mean(self.score, SCORES)}"
            yield f"score = {show(self.score)}: {allowed}"

    @property
    def better(self) -> str:
        """Say which way the score is better: lower or higher."""
        return SCORES[self.score]

    @property
    def any_time(self) -> bool:
        """Tell whether verdicts may be read whenever one likes."""
        return self.looks == [0]


@dataclass(frozen=True)
class Arm:
    """One way to train on one data set.

    Args:
        name: as in the study file.
        data: "" is the recipe's own.
        patch: what makes it of the base recipe.
    """

    name: str
    data: str
    patch: Patch

    @property
    def folder(self) -> str:
        """The name of its folder of runs."""
        of = re.sub(r"[^\w.-]", "-", Path(self.data).name)
        return f"{self.name}@{of}" if of else self.name


def read_study(file: Path) -> Study:
    """Read a study file; UsageError, one line a problem."""
    try:
        tree = tomllib.loads(file.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: is not TOML: {shorten(str(error), 150)}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(
            f"{file}: cannot be read: {reason}", hint="gander study FILE.toml --to DIR"
        ) from None
    try:
        study = Study.model_validate(tree)
        named = [arm.folder for arm in list_arms(study)]
    except ValidationError as error:
        raise UsageError(*(f"{file}: {line}" for line in problem_lines(error, tree, Study))) from None
    except RecipeError as error:
        raise UsageError(*(f"{file}: {line}" for line in error.problems)) from None
    if twice := {name for name in named if named.count(name) > 1}:
        raise UsageError(f"{file}: two arms are called {show(min(twice))}", hint="name them under [arms]")
    near = file.parent / study.recipe
    if study.recipe.endswith(".toml") and near.is_file():  # as it lies beside the study, from any folder
        study = study.model_copy(update={"recipe": str(near.resolve())})
    return study if study.title else study.model_copy(update={"title": file.stem})


def list_arms(study: Study) -> list[Arm]:
    """Give every combination of data set, arm and values of the axes; a data set's first is its baseline.

    Raises: RecipeError for what is no patch.
    """
    given = study.arms or {"": []}
    arms = []
    for data, (name, edits), *values in itertools.product(
        study.data or [""], given.items(), *study.axes.values()
    ):
        patch = parse_patch([*study.patch, *edits]) | dict(zip(study.axes, values, strict=True))
        if len(study.data) > 1 or data:
            patch["data"] = data
        words = [
            f"{path.rpartition('.')[2]}={_word(value)}"
            for path, value in zip(study.axes, values, strict=True)
        ]
        label = re.sub(r"[^\w .,=+-]", "-", ",".join([name, *words] if name else words))[:60]
        arms.append(Arm(label, data if len(study.data) > 1 else "", patch))
    return arms


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("kind", json.dumps(value)))
    if isinstance(value, list):
        return "+".join(map(_word, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def study_digest(study: Study) -> str:
    """Give the sha256 of all that a study file says."""
    return hashlib.sha256(json.dumps(study.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
