"""A run in memory: its stages one after another, and the chores between steps."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gander.chance import rank
from gander.data.images import Images
from gander.engine.machine import Machine
from gander.errors import CheckpointError
from gander.files import cut_rows, sync
from gander.generation.ancestry import Ancestry, each_once, of_data
from gander.generation.load import Sampler, build_generator, build_one_generator, save_generator
from gander.history import read_rows
from gander.nets.blocks import Generator
from gander.nets.per_class import PerClass
from gander.recipe.schema import Recipe
from gander.run import Run
from gander.training.checkpoint import newest_checkpoint, save_checkpoint, tidy_checkpoints
from gander.training.chores import Chore, Heartbeat, Log, NextStage, Probe, Samples, Save, Scores
from gander.training.features import with_features
from gander.training.scoring import Scorer
from gander.training.sheets import draw_reals, draw_samples
from gander.training.state import restore_trainer, trainer_state
from gander.training.trainer import Trainer, image_shape
from gander.training.watcher import Watcher

Tensors = dict[str, Tensor]


class Session:
    """One GAN, or one a class, trained in stages; a stage is a Trainer on its part of the data."""

    run: Run

    def __init__(self, recipe: Recipe, images: Images, machine: Machine, inherited: Ancestry = ()) -> None:
        self.recipe, self.images, self.machine = recipe, images, machine
        self.shape = image_shape(recipe, images)
        self.stages = [images]
        if recipe.train.per_class:
            self.stages = [images.only(label) for label in range(len(images.classes))]
        self.lengths = [recipe.steps_for(len(part), len(self.stages)) for part in self.stages]
        self.images_total = sum(self.lengths) * recipe.shown_per_step
        self.watchers: list[Watcher] = []
        self.asked_to_stop = False  # by a watcher
        every = recipe.every
        self.log, self.probe = Log(every.log), Probe(recipe, sum(self.lengths))
        self.chores: list[Chore] = [self.probe, self.log, Samples(every.samples)]
        self.chores += [Scores(recipe.evaluate.every), NextStage(0), Save(every.save), Heartbeat()]
        self.log_rows = 0
        self.seconds_trained = 0.0  # since this process began, chores left out
        self.stage_over = False  # the step just made was the last of its stage
        self._done: list[Generator] = []  # the averages of the stages that ended
        self._seconds_before, self._began = 0.0, time.monotonic()
        self._begin(0)
        self.ancestry = each_once([*of_data(images), *self.trainer.ancestry, *inherited])
        self.scorer = Scorer(recipe, images, machine.device, self.ancestry)

    def _begin(self, stage: int) -> None:
        self.stage, part = stage, self.stages[stage]
        self.trainer = with_features(Trainer(self.recipe, part, self.machine, stage), self.images)

    def begin_next_stage(self) -> None:
        """Keep the averaged generator of this stage, and begin with the next."""
        self._done.append(self.trainer.average.cpu())
        self._begin(self.stage + 1)

    @property
    def images_done(self) -> int:
        """Real images shown to D in all stages so far."""
        return sum(self.lengths[: self.stage]) * self.recipe.shown_per_step + self.trainer.clock.images

    @property
    def finished(self) -> bool:
        """Say whether nothing is left to train."""
        last = self.stage == len(self.stages) - 1
        return last and self.trainer.clock.steps >= self.lengths[self.stage]

    def steps(self) -> Iterator[None]:
        """Train to the end, with the chores that are due after each step."""
        self._began = time.monotonic()
        self.log.begin(self)
        while not self.finished:
            self.probe.before_step(self)
            before, began = self.images_done, time.monotonic()
            self.trainer.step()
            self.seconds_trained += time.monotonic() - began
            self.stage_over = self.trainer.clock.steps >= self.lengths[self.stage]
            now = self.images_done
            for chore in self.chores:
                if chore.due(self, before, now):
                    chore(self)
            self.tell("stepped", now)
            yield

    def tell(self, event: str, *given: Any) -> None:
        """Tell every watcher; any of them may ask for an end."""
        for watcher in self.watchers:
            hear = getattr(watcher, event, None)
            if hear is not None and hear(*given) is True:
                self.asked_to_stop = True

    def record(self, state: str, more: Mapping[str, Any] | None = None) -> None:
        """Write into `state.json` what the run is doing."""
        if rank() == 0:
            # Where taking a run up fails, its state has not been read, and must not lose the interval.
            every = self.scorer.interval or self.run.state().get("scores_every")
            how_far = {"images": self.images_done, "images_total": self.images_total, "scores_every": every}
            self.run.write_state(state, how_far | dict(more or {}))

    def where(self) -> dict[str, Any]:
        """Say how far the run is: images, steps, seconds."""
        return {
            "images": self.images_done,
            "step": sum(self.lengths[: self.stage]) + self.trainer.clock.steps,
            "seconds": round(self._seconds_before + time.monotonic() - self._began, 3),
        }

    def save(self) -> None:
        """Write a checkpoint and the generator's file."""
        self.trainer.guard.settle()
        tensors = trainer_state(self.trainer)
        for stage, net in enumerate(self._done):
            tensors |= {f"done.{stage}.{name}": part.contiguous() for name, part in net.state_dict().items()}
        progress = {
            "stage": self.stage,
            "images": self.trainer.clock.images,
            "steps": self.trainer.clock.steps,
            "log_rows": self.log_rows,
            "metrics_rows": len(self.scorer.scored),
        }
        if rank() == 0:
            for rows in filter(Path.exists, (self.run.log_file, self.run.metrics_file)):
                sync(rows)  # a checkpoint counts the rows before it
            keep = self.recipe.every.keep
            save_checkpoint(self.run, self.images_done, tensors, progress, keep, self.scorer.best)
            self._save_generators()

    def _save_generators(self) -> None:
        """Write the averaged generators' files; where no score was better, that of the best, too."""
        whole, files = self.whole_generator(), [self.run.generator_file]
        if self.scorer.is_best(self.images_done):
            files.append(self.run.best_file)
        for file in files:
            save_generator(file, self.recipe, self.shape, self.images.classes, whole)
        further = self.trainer.averages[1:] if len(self.stages) == 1 else ()
        for number, net in enumerate(further, start=2):
            file = self.run.average_file(number)
            save_generator(file, self.recipe, self.shape, self.images.classes, net)

    def tidy(self) -> None:
        """Make the directory what it was when the state was saved that was taken up."""
        cut_rows(self.run.log_file, self.log_rows)
        cut_rows(self.run.metrics_file, len(self.scorer.scored))
        tidy_checkpoints(self.run, self.recipe.every.keep, self.scorer.best)
        if self.scorer.best is None:
            self.run.best_file.unlink(missing_ok=True)
        if self.images_done:  # a kill may have come between the checkpoint and this file
            self._save_generators()

    def restore(self) -> list[str]:
        """Take up the newest whole checkpoint, if there is one; say which damaged ones were passed over."""
        interval = self.run.state().get("scores_every")
        self.scorer.restore([], interval)  # it stands from the start, before the first checkpoint
        checkpoint, skipped = newest_checkpoint(self.run)
        if checkpoint is None:
            return skipped
        tensors, progress = dict(checkpoint.tensors), checkpoint.progress
        for stage in range(progress["stage"]):
            self._done.append(self._take_done(tensors, f"done.{stage}."))
        self._begin(progress["stage"])
        restore_trainer(self.trainer, tensors, progress["images"], progress["steps"])
        self.log_rows = progress["log_rows"]
        self.scorer.restore(read_rows(self.run.metrics_file)[: progress["metrics_rows"]], interval)
        seconds = self.run.history().column("seconds")[: self.log_rows]
        self._seconds_before = seconds[-1] if seconds else 0.0
        return skipped

    def _take_done(self, tensors: Tensors, prefix: str) -> Generator:
        own = {name.removeprefix(prefix): tensors.pop(name) for name in [*tensors] if name.startswith(prefix)}
        net = build_one_generator(self.recipe, self.shape)
        try:
            net.load_state_dict(own)
        except RuntimeError as error:
            raise CheckpointError(f"checkpoint: {prefix[:-1]} does not fit the recipe's generator") from error
        return net

    def whole_generator(self) -> Generator:
        """Give the averaged generator as it is sampled from: one net, or one a class."""
        if len(self.stages) == 1:
            return self.trainer.average
        with torch.random.fork_rng(devices=[]):  # for the nets of classes to come
            torch.default_generator.manual_seed(self.recipe.seed)
            whole = build_generator(self.recipe, self.shape, len(self.stages))
        assert isinstance(whole, PerClass)
        for stage, net in enumerate([*self._done, self.trainer.average]):
            whole.generators[stage].load_state_dict(net.state_dict())
        return whole.to(self.machine.device)

    def sampler(self) -> Sampler:
        """Give what draws images from the averaged generator."""
        weights = self.recipe.average[0].weights
        return Sampler(self.whole_generator(), self.recipe.latents, self.images.classes, weights)

    def draw_samples(self) -> None:
        """Draw the sheet of the fixed latents."""
        draw_samples(self.sampler(), self.recipe, self.run.sheet_file(self.images_done))

    def draw_reals(self) -> None:
        """Draw a sheet of real images, with the rows of the samples."""
        draw_reals(self.images, self.recipe, self.run.reals_file)
