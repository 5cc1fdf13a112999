"""A run in memory: its stages one after another, and the chores between steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gander.chance import rank
from gander.data.batches import Batches
from gander.data.images import Images
from gander.engine.machine import Machine
from gander.errors import CheckpointError
from gander.files import append_row, cut_rows, sync_file
from gander.generate.load import Sampler, build_generator, build_one_generator, save_generator
from gander.history import read_rows
from gander.nets.blocks import Generator, ImageShape
from gander.nets.per_class import PerClass
from gander.pictures.sheet import contact_sheet, save_png
from gander.recipe.schema import Recipe
from gander.run import Run
from gander.schedule import crossed
from gander.training.checkpoint import newest_checkpoint, save_checkpoint, tidy_checkpoints
from gander.training.scoring import Scorer
from gander.training.state import restore_trainer, trainer_state
from gander.training.step import Trainer

_SAMPLE_SEED = 20_131  # of the fixed latents, beside the run's own seed


def image_shape(recipe: Recipe, images: Images) -> ImageShape:
    """Say what the data ask of the recipe's nets."""
    return ImageShape(images.channels, images.size, len(images.classes) if recipe.uses_labels else 0)


class Told(NamedTuple):
    """What one step gave to read."""

    row: dict[str, Any] | None  # of the log
    scores: dict[str, Any] | None


class Session:
    """One GAN, or one a class, trained in stages; a stage is a Trainer on its part of the data."""

    def __init__(self, recipe: Recipe, images: Images, machine: Machine) -> None:
        self.recipe = recipe
        self.images = images
        self.machine = machine
        self.shape = image_shape(recipe, images)
        self.parts = [images]
        if recipe.train.per_class:
            self.parts = [images.only(label) for label in range(len(images.classes))]
        self.lengths = [recipe.steps_for(len(part), len(self.parts)) for part in self.parts]
        self.images_total = sum(self.lengths) * recipe.shown_per_step
        self.log_rows = 0
        self.scorer = Scorer(recipe, images, machine.device)
        self.done: list[Generator] = []  # the averages of the stages that ended
        self._seconds_before = 0.0
        self._begin(0)

    def _begin(self, stage: int) -> None:
        seed = int(np.random.SeedSequence([self.recipe.seed, stage]).generate_state(1)[0])
        self.stage = stage
        self.trainer = Trainer(self.recipe, self.shape, self.machine, seed)
        net = self.trainer.generator
        self.batches = Batches(
            self.parts[stage], seed, self.machine.device, net.low, net.high, self.recipe.data.mirror
        )

    @property
    def images_done(self) -> int:
        """Real images shown to D in all stages so far."""
        return sum(self.lengths[: self.stage]) * self.recipe.shown_per_step + self.trainer.clock.images

    @property
    def finished(self) -> bool:
        """Tell whether nothing is left to train."""
        last = self.stage == len(self.parts) - 1
        return last and self.trainer.clock.steps >= self.lengths[self.stage]

    def steps(self, run: Run) -> Iterator[Told]:
        """Train to the end; give what there is to read after each step."""
        self._began = self._last_time = time.monotonic()
        self._last_images = self.images_done
        every = self.recipe.every
        while not self.finished:
            before = self.images_done
            self.trainer.step(self.batches)
            stage_over = self.trainer.clock.steps >= self.lengths[self.stage]
            now = self.images_done
            row = self._log(run) if stage_over or crossed(every.log, before, now) else None
            if self.finished or crossed(every.samples, before, now):
                self._draw_samples(run)
            scores = self._score(run, before, now)
            if stage_over and not self.finished:
                self.done.append(self.trainer.average.cpu())
                self._begin(self.stage + 1)
            due = self.finished or stage_over or crossed(every.save, before, now)
            if due or (scores and self.scorer.is_best(now)):
                self.save(run)
            yield Told(row, scores)

    def _log(self, run: Run) -> dict[str, Any]:
        self.trainer.guard.settle()
        now = time.monotonic()
        speed = (self.images_done - self._last_images) / max(now - self._last_time, 1e-9)
        self._last_time, self._last_images = now, self.images_done
        row: dict[str, Any] = self._where(now)
        if len(self.parts) > 1:
            row["class"] = self.images.classes[self.stage]
        row |= {name: float(f"{mean:.7g}") for name, mean in self.trainer.stats.means().items()}
        row["speed/images_per_second"] = round(speed, 1)
        if rank() == 0:
            append_row(run.log_file, row)
        self.log_rows += 1
        return row

    def _where(self, now: float) -> dict[str, Any]:
        return {
            "images": self.images_done,
            "step": sum(self.lengths[: self.stage]) + self.trainer.clock.steps,
            "seconds": round(self._seconds_before + now - self._began, 3),
        }

    def _score(self, run: Run, before: int, now: int) -> dict[str, Any] | None:
        """Score the whole generator where that is due; of one GAN a class it is whole at the end only."""
        if rank() != 0 or (len(self.parts) > 1 and not self.finished):
            return None
        where = self._where(time.monotonic())
        if not self.scorer.due(before, now, self.finished, where["seconds"]):
            return None
        self.trainer.guard.settle()
        row = self.scorer.score(self._sampler(), where)
        append_row(run.metrics_file, row)
        self._last_time += row["took"]  # the speed is that of training
        return row

    def save(self, run: Run) -> None:
        """Write a checkpoint and the generator's file."""
        self.trainer.guard.settle()
        tensors = trainer_state(self.trainer)
        for stage, net in enumerate(self.done):
            weights = net.state_dict().items()
            tensors |= {f"done.{stage}.{name}": tensor.contiguous() for name, tensor in weights}
        progress = {
            "stage": self.stage,
            "images": self.trainer.clock.images,
            "steps": self.trainer.clock.steps,
            "log_rows": self.log_rows,
            "metrics_rows": len(self.scorer.scored),
        }
        if rank() == 0:
            sync_file(run.log_file)  # a checkpoint counts the rows before it
            sync_file(run.metrics_file)
            keep = self.recipe.every.keep
            save_checkpoint(run, self.images_done, tensors, progress, keep, self.scorer.best)
            self._save_generator(run)

    def _save_generator(self, run: Run) -> None:
        """Write the averaged generator's file; where no score was better, that of the best, too."""
        whole, files = self._whole(), [run.generator_file]
        if self.scorer.is_best(self.images_done):
            files.append(run.best_file)
        for file in files:
            save_generator(file, self.recipe, self.shape, self.images.classes, whole)

    def tidy(self, run: Run) -> None:
        """Make the directory what it was when the state was saved that was taken up."""
        cut_rows(run.log_file, self.log_rows)
        cut_rows(run.metrics_file, len(self.scorer.scored))
        tidy_checkpoints(run, self.recipe.every.keep, self.scorer.best)
        if self.scorer.best is None:
            run.best_file.unlink(missing_ok=True)
        if self.images_done:  # a kill may have come between the checkpoint and this file
            self._save_generator(run)

    def restore(self, run: Run) -> list[str]:
        """Take up the newest whole checkpoint, if there is one; say which damaged ones were passed over."""
        checkpoint, skipped = newest_checkpoint(run)
        if checkpoint is None:
            return skipped
        tensors, progress = dict(checkpoint.tensors), checkpoint.progress
        for stage in range(progress["stage"]):
            self.done.append(self._take_done(tensors, f"done.{stage}."))
        self._begin(progress["stage"])
        restore_trainer(self.trainer, tensors, progress["images"], progress["steps"])
        self.log_rows = progress["log_rows"]
        self.scorer.restore(read_rows(run.metrics_file)[: progress["metrics_rows"]])
        rows = run.history().column("seconds")[: self.log_rows]
        self._seconds_before = rows[-1] if rows else 0.0
        return skipped

    def _take_done(self, tensors: dict[str, Tensor], prefix: str) -> Generator:
        own = {name.removeprefix(prefix): tensors.pop(name) for name in [*tensors] if name.startswith(prefix)}
        net = build_one_generator(self.recipe, self.shape)
        try:
            net.load_state_dict(own)
        except RuntimeError as error:
            raise CheckpointError(f"checkpoint: {prefix[:-1]} does not fit the recipe's generator") from error
        return net

    def _whole(self) -> Generator:
        """Give the averaged generator as it is sampled from: one net, or one a class."""
        if len(self.parts) == 1:
            return self.trainer.average
        with torch.random.fork_rng(
            devices=[]
        ):  # the nets of classes to come are drawn, which is no step's matter
            torch.manual_seed(self.recipe.seed)
            whole = build_generator(self.recipe, self.shape, len(self.parts))
        assert isinstance(whole, PerClass)
        for stage, net in enumerate([*self.done, self.trainer.average]):
            whole.generators[stage].load_state_dict(net.state_dict())
        return whole.to(self.machine.device)

    def _sampler(self) -> Sampler:
        recipe = self.recipe
        return Sampler(self._whole(), recipe.latents, self.images.classes, recipe.average.weights)

    def _grid(self, conditional: bool) -> tuple[int, int]:
        rows = len(self.images.classes) if conditional else self.recipe.samples.rows
        return rows, self.recipe.samples.columns

    def _draw_samples(self, run: Run) -> None:
        if rank() != 0:
            return
        sampler = self._sampler()
        rows, columns = self._grid(sampler.conditional)
        latents = sampler.draw(rows * columns, self.recipe.seed + _SAMPLE_SEED)
        labels = torch.arange(rows).repeat_interleave(columns)
        made = sampler.images(latents, labels if sampler.conditional else None)
        names = self.images.classes if sampler.conditional else ()
        save_png(contact_sheet(made.numpy(), columns, row_names=names), run.sheet_file(self.images_done))

    def draw_reals(self, run: Run) -> None:
        """Draw a contact sheet of real images, with the rows of the samples."""
        conditional = self.recipe.uses_labels or self.recipe.train.per_class
        rows, columns = self._grid(conditional)
        chosen = np.arange(min(rows * columns, len(self.images)))
        if conditional and self.images.labels is not None:
            found = [np.flatnonzero(self.images.labels == label)[:columns] for label in range(rows)]
            if all(len(places) == columns for places in found):
                chosen = np.concatenate(found)
        full = len(chosen) == rows * columns
        names = self.images.classes if conditional and full else ()
        save_png(contact_sheet(self.images.pixels[chosen], columns, row_names=names), run.reals_file)
