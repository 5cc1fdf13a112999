"""Scores during training: the quick protocol, within a share of the run's time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from gander.data.images import Images
from gander.errors import DataError
from gander.generation.ancestry import Ancestry, find_independent_judge
from gander.generation.load import Sampler
from gander.generation.source import generated_samples
from gander.history import best_of
from gander.recipe.schema import Recipe
from gander.schedule import crossed
from gander.scores.evaluation import LEAST, Reference, score_samples
from gander.scores.judge import Judge, weakness
from gander.scores.score import VERSION
from gander.training.costs import Counted, operations_an_image

_SEED = 70_607  # of the latents and the real images: the same for all runs, which can be compared
_PROBE = 100  # images, to learn what the judge computes for one
_PASSES = 2  # at n images: what the fakes take, and all that is made of their features


class Scorer:
    """Scores the averaged generator now and then; nothing of it touches the training.

    Args:
        recipe: says how often, how many images, and which share of the time.
        images: the real ones.
        device: where the judge works.
        ancestry: of the run, so that its judge is none of these.
    """

    def __init__(self, recipe: Recipe, images: Images, device: torch.device, ancestry: Ancestry = ()) -> None:
        self.recipe, self.wanted = recipe, recipe.evaluate
        self.images = images
        self.n = min(self.wanted.n, len(images) // 2)
        self.scored: list[Mapping[str, Any]] = []  # rows of metrics.jsonl
        self.note = ""
        self._judge: Judge | None = None
        self._reference: Reference | None = None
        self.interval = self.wanted.every if self.wanted.share == 1 else None  # images
        if not self.wanted.every:
            return
        try:
            if self.n < LEAST:
                raise DataError(f"{len(images)} images are too few")
            self._judge, passed_over = find_independent_judge(images, ancestry, str(device))
            weak = weakness(self._judge.accuracy, len(images.classes))
            self.note = "; ".join(filter(None, [passed_over, weak]))
        except DataError as error:
            hint = f"; {error.hint}" if error.hint else ""
            self.note = f"no scores during training: {error.problems[0]}{hint}"

    def restore(self, rows: Sequence[Mapping[str, Any]], interval: int | None) -> None:
        """Take up what was scored before, and at which interval."""
        self.scored = [*rows]
        self.interval = interval or self.interval
        if any(row["protocol"].get("version") != VERSION for row in rows):
            self.note = f"scores of before version {VERSION} are not compared with those that follow"

    def due(self, before: int, now: int, finished: bool) -> bool:
        """Say whether to score after this step."""
        if self._judge is None or not (finished or crossed(self.wanted.every, before, now)):
            return False
        if self.interval is None:
            self.interval = self._chosen(self._judge)
        return crossed(self.interval, before, now) or (finished and now >= self.interval)

    def _chosen(self, judge: Judge) -> int:
        """Double `every` until scores fit into their share of what the training computes.

        No clock is asked, so that equal runs score at equal moments, wherever and however often they are
        interrupted; it is recorded all the same, for another version may count otherwise.
        """
        with Counted() as counted:
            judge.extract(self.images.pixels[:_PROBE])
        cost = _PASSES * self.n / _PROBE * counted.operations
        allowed = self.wanted.share * operations_an_image(self.recipe, self.images)
        interval = self.wanted.every
        while cost > allowed * interval:
            interval *= 2
        return interval

    def score(self, sampler: Sampler, where: Mapping[str, Any]) -> dict[str, Any]:
        """Score fixed latents; give the row for metrics.jsonl, which begins with `where`."""
        assert self._judge is not None
        began = time.monotonic()
        if self._reference is None:
            self._reference = Reference(self.images, self._judge, self.n, _SEED, whole=False)
        samples = generated_samples("", sampler, self.images, self.n, _SEED)
        evaluation = score_samples(samples, self._reference)
        row = {**where, "took": round(time.monotonic() - began, 3)}
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
