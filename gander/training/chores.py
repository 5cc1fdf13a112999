"""What is done between steps, each at its own interval: log, sheets of samples, scores, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from gander.chance import alone, rank, world_size
from gander.files import append_row
from gander.history import chained
from gander.recipe.schema import Recipe
from gander.run import Run
from gander.schedule import crossed
from gander.training.probes.prober import Prober, plan
from gander.training.probes.weights import Kept, keep_weights

if TYPE_CHECKING:
    from gander.training.session import Session


_FIRST = 1_000  # images, which even a slow net on a slow machine has seen within minutes
_SAFE_SECONDS = 300.0  # the most that a kill may cost


class Chore:
    """Something to do every so many images, after a step, and at the end of each stage.

    A chore never changes the training: what it draws, it draws from streams of its own.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def due(self, session: Session, before: int, now: int) -> bool:
        """Say whether the step that led from `before` to `now` images calls for it."""
        return session.stage_over or crossed(self.every, before, now)

    def __call__(self, session: Session) -> None:
        """Do it."""
        raise NotImplementedError


class Log(Chore):
    """Append the means since the last row to the log, and check on a waiting guard."""

    def __init__(self, every: int) -> None:
        super().__init__(every)
        self._images, self._trained = 0, 0.0
        self.row: dict[str, Any] = {}  # the newest
        self.rows, self.digest = 0, ""  # so far, and of them

    def restore(self, run: Run, progress: Mapping[str, Any]) -> float:
        """Go on after the rows that a checkpoint counts; give the seconds they took."""
        rows = run.covered(run.log_file, progress["log_rows"], progress)
        self.rows, self.digest = len(rows), chained("", rows)
        return float(rows[-1]["seconds"]) if rows else 0.0

    def begin(self, session: Session) -> None:
        """Count speed from here on."""
        self._images, self._trained = session.images_done, 0.0

    def __call__(self, session: Session) -> None:
        session.trainer.guard.settle()
        images, trained = session.images_done - self._images, session.seconds_trained - self._trained
        self._images, self._trained = session.images_done, session.seconds_trained
        row: dict[str, Any] = session.where()
        if len(session.stages) > 1:
            row["class"] = session.images.classes[session.stage]
        noted = session.trainer.stats.means()
        noted |= {name: value.item() for name, value in session.trainer.parts.numbers().items()}
        row |= {name: float(f"{mean:.7g}") for name, mean in noted.items()}
        row["speed/images_per_second"] = round(images / max(trained, 1e-9), 1)
        if session.machine.gives_way:
            row["speed/threads"] = torch.get_num_threads()
        if rank() == 0:
            append_row(session.run.log_file, row)
        self.rows, self.digest = self.rows + 1, chained(self.digest, [row])
        self.row = row
        session.tell("logged", row)


class Probe(Chore):
    """Look at the training from all sides for the doctor; the numbers stand in the next row of the log."""

    def __init__(self, recipe: Recipe, steps: int) -> None:
        every, self.n = plan(recipe, steps)
        super().__init__(every)
        self._prober: Prober | None = None
        self._kept: Kept | None = None

    def before_step(self, session: Session) -> None:
        """Keep the weights where the step to come is looked at."""
        step, now = session.recipe.shown_per_step, session.images_done
        self._kept = keep_weights(session.trainer) if crossed(self.every, now, now + step) else None

    def due(self, session: Session, before: int, now: int) -> bool:
        return rank() == 0 and crossed(self.every, before, now)

    def __call__(self, session: Session) -> None:
        trainer = session.trainer
        trainer.guard.settle()
        with alone():
            if self._prober is None or self._prober.trainer is not trainer:
                self._prober = Prober(trainer, self.n)
            numbers = self._prober.numbers(self._kept, session.images_done // self.every - 1)
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        # As part of what the row is the mean of, they are in the checkpoints, too.
        trainer.stats.add([*finite], torch.tensor([*finite.values()], device=trainer.machine.device))


class Samples(Chore):
    """Draw the sheet of the fixed latents; at first also after 1, 2, 4, 8 ... thousand images."""

    def due(self, session: Session, before: int, now: int) -> bool:
        early = self.every > now and (before // _FIRST).bit_length() != (now // _FIRST).bit_length()
        return session.finished or early or crossed(self.every, before, now)

    def __call__(self, session: Session) -> None:
        if rank() == 0:
            session.draw_samples()


class Scores(Chore):
    """Score the whole generator; of one GAN a class it is whole at the end only."""

    def due(self, session: Session, before: int, now: int) -> bool:
        if rank() != 0 or (len(session.stages) > 1 and not session.finished):
            return False
        interval = session.scorer.interval
        due = session.scorer.due(before, now, session.finished)
        if session.scorer.interval != interval:
            session.record("running")  # the interval is known from now on, whatever happens
        return due

    def __call__(self, session: Session) -> None:
        session.trainer.guard.settle()
        row = session.scorer.score(session.sampler(), session.where())
        append_row(session.run.metrics_file, row)
        session.tell("scored", row, session.scorer.is_best(session.images_done))


class NextStage(Chore):
    """Keep the averaged generator of a class and begin with the next."""

    def due(self, session: Session, before: int, now: int) -> bool:
        return session.stage_over and not session.finished

    def __call__(self, session: Session) -> None:
        session.begin_next_stage()


class Save(Chore):
    """Write a checkpoint and the generator's file; also at the best score so far, and every five minutes.

    Several processes would have to agree on the time, and keep to the images.
    """

    _saved_at = math.inf  # until the first step

    def due(self, session: Session, before: int, now: int) -> bool:
        scored_now = bool(session.scorer.scored) and session.scorer.scored[-1]["images"] == now
        self._saved_at = min(self._saved_at, time.monotonic())
        late = self.every and world_size() == 1 and time.monotonic() - self._saved_at > _SAFE_SECONDS
        return super().due(session, before, now) or late or (scored_now and session.scorer.is_best(now))

    def __call__(self, session: Session) -> None:
        session.save()
        self._saved_at = time.monotonic()


class Heartbeat(Chore):
    """Say now and then that the run is alive, so that a reader need not guess."""

    SECONDS = 10.0

    def __init__(self) -> None:
        super().__init__(0)
        self._said_at = time.monotonic()

    def due(self, session: Session, before: int, now: int) -> bool:
        return rank() == 0 and time.monotonic() - self._said_at >= self.SECONDS

    def __call__(self, session: Session) -> None:
        self._said_at = time.monotonic()
        session.record("running")
