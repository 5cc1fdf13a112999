"""Scores during training: the quick protocol, within a share of the run's time."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from gander.data.images import Images
from gander.errors import DataError
from gander.generation.load import Sampler
from gander.generation.source import generated_samples
from gander.history import best_of
from gander.recipe.schema import Recipe
from gander.schedule import crossed
from gander.scores.evaluation import LEAST, Reference, score_samples
from gander.scores.judge import Judge, find_judge

_SEED = 70_607  # of the latents and the real images: the same for all runs, which can be compared
_PROBE = 100  # images, to learn how fast the judge is
_FIRST = (
    4  # times n images the first time: the reals, those of the floor, the fakes, and as much for the rest
)


class Scorer:
    """Scores the averaged generator now and then; nothing of it touches the training.

    Args:
        recipe: says how often, how many images, and which share of the time.
        images: the real ones.
        device: where the judge works.
    """

    def __init__(self, recipe: Recipe, images: Images, device: torch.device) -> None:
        self.wanted = recipe.evaluate
        self.images = images
        self.n = min(self.wanted.n, len(images) // 2)
        self.spent = 0.0  # seconds
        self.scored: list[Mapping[str, Any]] = []  # rows of metrics.jsonl
        self.note = ""
        self._judge: Judge | None = None
        self._reference: Reference | None = None
        self._cost = math.nan  # seconds that the next one is thought to take
        if not self.wanted.every:
            return
        try:
            if self.n < LEAST:
                raise DataError(f"{len(images)} images are too few")
            self._judge = find_judge(images, str(device))
        except DataError as error:
            hint = f"; {error.hint}" if error.hint else ""
            self.note = f"no scores during training: {error.problems[0]}{hint}"

    def restore(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take up what was scored before."""
        self.scored = [*rows]
        self.spent = sum(row["took"] for row in rows)

    def due(self, before: int, now: int, finished: bool, seconds: float) -> bool:
        """Tell whether to score after this step, `seconds` into the run."""
        if self._judge is None or not (finished or crossed(self.wanted.every, before, now)):
            return False
        return self._fits(self._judge, seconds)

    def _fits(self, judge: Judge, seconds: float) -> bool:
        if math.isnan(self._cost):
            began = time.monotonic()
            judge.extract(self.images.pixels[:_PROBE])
            self._cost = _FIRST * self.n / _PROBE * (time.monotonic() - began)
            self.spent += time.monotonic() - began
        return self.spent + self._cost <= self.wanted.share * seconds

    def score(self, sampler: Sampler, where: Mapping[str, Any]) -> dict[str, Any]:
        """Score fixed latents; give the row for metrics.jsonl, which begins with `where`."""
        assert self._judge is not None
        began = time.monotonic()
        first = self._reference is None
        if self._reference is None:
            self._reference = Reference(self.images, self._judge, self.n, _SEED, whole=False)
        samples = generated_samples("", sampler, self.images, self.n, _SEED)
        evaluation = score_samples(samples, self._reference)
        took = time.monotonic() - began
        self.spent += took
        self._cost = took / 2 if first else took  # real images are looked at once
        row = {**where, "took": round(took, 3)}
        for score in evaluation.scores:
            values = score.row(digits=6)
            row[score.name] = values["value"]
            ends = {end: values[end] for end in ("floor", "low", "high") if values[end] is not None}
            row |= {f"{score.name}/{end}": value for end, value in ends.items()}
        row["protocol"] = asdict(evaluation.protocol)
        self.scored.append(row)
        return row

    @property
    def best(self) -> int | None:
        """Images, at the best score."""
        row = best_of(self.scored)
        return None if row is None else row["images"]

    def is_best(self, images: int) -> bool:
        """Tell whether the best score is that of this moment."""
        return self.best == images
