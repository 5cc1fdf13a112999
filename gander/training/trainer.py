"""One GAN in training: its moves are `step_d`, `step_g` and `after`, and `step` makes them in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gander.chance import mean_of_all
from gander.data.batches import Batches, Rows, split_rows, usual_held_out
from gander.data.images import Images
from gander.engine.distributed import average_gradients
from gander.engine.guard import Guard
from gander.engine.machine import Machine
from gander.engine.streams import Streams
from gander.errors import RecipeError, UsageError
from gander.nets.blocks import Generator, ImageShape
from gander.nets.features import Guided
from gander.recipe.schema import Recipe
from gander.schedule import Clock
from gander.techniques.slots import Kind, Logits, Scene, Seen, Side
from gander.training.learner import Learner
from gander.training.loss import d_loss, g_loss
from gander.training.parts import Parts
from gander.training.stats import Stats

_FIXED = ("seed", "data", "latents", "generator", "discriminator", "features", "rewires", "average", "engine")


def image_shape(recipe: Recipe, images: Images) -> ImageShape:
    """Say what the data ask of the recipe's nets."""
    return ImageShape(images.channels, images.size, len(images.classes) if recipe.uses_labels else 0)


def held_out_of(recipe: Recipe, count: int, parts: int = 1) -> int:
    """Give how many of so many images, one of as many parts of the data, D is never shown.

    Raises: RecipeError where too few are left.
    """
    wanted = recipe.data.held_out
    if wanted is not None and 2 * wanted > count * parts:
        raise RecipeError(f"data.held_out = {wanted}: is more than half of the images", hint="data.-held_out")
    return usual_held_out(count) if wanted is None else min(wanted // parts, count // 2)


def _split(
    recipe: Recipe, images: Images, machine: Machine, g: Generator, stage: int
) -> tuple[Batches, Rows]:
    """Give the batches that D is shown, and the rows of the images held out."""
    parts = len(images.classes) if recipe.train.per_class else 1
    shown, held_out = split_rows(len(images), held_out_of(recipe, len(images), parts))
    seed = int(np.random.SeedSequence([recipe.seed, stage]).generate_state(1)[0])
    return Batches(images, seed, machine.device, g.low, g.high, recipe.data.mirror, shown), held_out


class Trainer:
    """All that one GAN's training holds in memory.

    Args:
        recipe: what to build.
        images: what to learn.
        machine: where to run.
        stage: which of the run's trainings this is, where it has one a class.
    Raises: RecipeError where the nets do not fit the data.
    """

    def __init__(self, recipe: Recipe, images: Images, machine: Machine, stage: int = 0) -> None:
        self.recipe, self.machine = recipe, machine
        self.clock, self.stats = Clock(), Stats()
        self.guard = Guard(waits=machine.device.type == "cpu")
        self.streams = Streams(recipe.seed, stage, machine.device)
        self.streams.open_on_cpu("weights")
        g, d = build_nets(recipe, image_shape(recipe, images))
        self.g = Learner("g", g, recipe.rewires.generator, machine)
        self.d = Learner("d", d, recipe.rewires.discriminator, machine)
        self.nets = nn.ModuleDict({"g": g, "d": d})  # to name a weight of either
        self.generator: Generator = g
        self.averages: list[Generator] = [average.start(g) for average in recipe.average]
        self.parts = Parts(recipe, machine.device)
        machine.prepare()
        self._compiled_g, self._compiled_d = machine.compile(g), machine.compile(d)
        self.batches, self.held_out = _split(recipe, images, machine, g, stage)
        self.probed: dict[str, Tensor] = {}  # what probes remember from one to the next
        self.ancestry: list[dict[str, Any]] = []  # of nets that were trained before, and teach this one
        self._shown = 0  # real images in this step so far
        self._newest: tuple[Tensor, Tensor | None] | None = None  # real images and labels of this step

    def step(self) -> None:
        """Make the moves of one step."""
        self.machine.begin_step()
        self.recipe.updates.turn(self, self.recipe.train.d_steps)
        self.after()

    def step_d(self) -> None:
        """Let D learn from the next real images and from as many fresh fakes."""
        real, labels = self._next_batch()
        losses = []
        with self.g.frozen():
            for kinds in self.recipe.updates.parts:
                with parametrize.cached():  # a spectral norm is computed once an update
                    scene = self._scene("d", kinds, real, labels, len(real))
                    part = "" if len(kinds) == 2 else f"_{kinds[0]}"
                    self._whole_loss(self.d, scene, part).backward(inputs=self.d.weights)  # type: ignore[no-untyped-call]
                losses.append(self._update(self.d))
                self.parts.observe(scene)
        if len(losses) > 1:
            self.stats.add(["loss/d"], torch.stack(losses).sum(0, keepdim=True))

    def step_g(self) -> None:
        """Let G learn from what D says of fresh fakes."""
        real, labels = self._newest or self._next_batch(counts=False)
        count = self.recipe.train.batch * len(real) // self.recipe.shown_per_update
        if labels is not None:  # of half a batch, where D's updates are separate; a process repeats its own
            labels = labels.repeat_interleave(count // len(labels))
        with self.d.frozen(), parametrize.cached():
            scene = self._scene("g", self.parts.kinds_for_g, real, labels, count)
            self._whole_loss(self.g, scene).backward(inputs=self.g.weights)  # type: ignore[no-untyped-call]
            self._update(self.g)
        self.parts.observe(scene)

    def step_both(self) -> None:
        """Let both learn from one look at the same fakes, each against the other as it was before."""
        real, labels = self._next_batch()
        with parametrize.cached():
            scene = self._scene("d", ("real", "fake"), real, labels, len(real))
            of_g = self._whole_loss(self.g, replace(scene, side="g"))
            of_d = self._whole_loss(self.d, scene)
            # D first, whose way does not lead through G: a compiled G can be gone back through once.
            of_d.backward(inputs=self.d.weights, retain_graph=True)  # type: ignore[no-untyped-call]
            of_g.backward(inputs=self.g.weights)  # type: ignore[no-untyped-call]
        self._update(self.d)
        self._update(self.g)
        self.parts.observe(scene)

    def after(self) -> None:
        """Move the averages and the clock past the moves made since the last time."""
        for average, net in zip(self.recipe.average, self.averages, strict=True):
            average.update(net, self.generator, self.clock.images, self._shown)
        self.clock.advance(self._shown)
        self._shown, self._newest = 0, None
        self.streams.begin(self.clock.steps)

    def apply(self, patch: Mapping[str, Any] | Sequence[str]) -> None:
        """Go on with an edited recipe: rates, objective, penalties, views and the order of moves.

        Parts that stay keep their memories. Raises: UsageError where the edit asks for other nets.
        """
        recipe = self.recipe.patched(patch)
        fixed = [name for name in _FIXED if getattr(recipe, name) != getattr(self.recipe, name)]
        if fixed:
            raise UsageError(
                f"{', '.join(fixed)}: cannot be changed while a net is in training",
                hint="gander train --from RUN and the same edits",
            )
        memories = {name: part.state_dict() for name, part in self.parts.modules().items()}
        self.recipe, self.parts = recipe, Parts(recipe, self.machine.device)
        for name, part in self.parts.modules().items():
            if name in memories:
                part.load_state_dict(memories[name])

    @property
    def average(self) -> Generator:
        """The averaged generator that is sampled from."""
        return self.averages[0]

    def go_on_from(self, images: int, steps: int) -> None:
        """Set the clock, and the random streams with it."""
        self.clock.images, self.clock.steps = images, steps
        self.streams.begin(steps)

    def _next_batch(self, counts: bool = True) -> tuple[Tensor, Tensor | None]:
        count = self.recipe.shown_per_update
        batch = self.batches.take(self.clock.images + self._shown, count)
        if counts:
            self._shown, self._newest = self._shown + count, batch
        return batch

    def _scene(
        self, side: Side, kinds: tuple[Kind, ...], real: Tensor, labels: Tensor | None, count: int
    ) -> Scene:
        """Let D look at the images of these kinds; slopes reach them as they were before the views."""
        scene = Scene(
            side, self.clock, lambda x, y: self._logits(x, y, f"{side}/again", self.d.net), self.generator
        )
        slopes = any(penalty.slopes for penalty, _ in self.parts.penalties(side, self.clock))
        # A compiled net can be differentiated once.
        net = self.d.net if slopes or self.recipe.updates.together else self._compiled_d

        def repeat(kind: Kind, images: Tensor) -> Logits:
            self.streams.rewind(f"{side}/{kind}/")
            return self._logits(images, labels, f"{side}/{kind}", net)

        scene.repeat = repeat
        if "fake" in kinds:
            scene.latents = self.parts.latents(count, self.streams.latents(f"{side}/latents"))
            self.streams.open(f"{side}/generator")
            with self.machine.autocast():
                fake = self._compiled_g(scene.latents, labels).float()
            fake.requires_grad_(slopes or fake.requires_grad)
        if "real" in kinds:
            real.requires_grad_(slopes)
            with torch.set_grad_enabled(side == "d"):
                scene.real = Seen(real, labels, self._logits(real, labels, f"{side}/real", net))
        if "fake" in kinds:
            scene.fake = Seen(fake, labels, self._logits(fake, labels, f"{side}/fake", net))
        return scene

    def _logits(
        self, images: Tensor, labels: Tensor | None, where: str, net: Callable[..., Logits]
    ) -> Logits:
        low, high = self.generator.low, self.generator.high
        images = self.parts.view(images, low, high, self.clock, self.streams, where)
        self.streams.open(f"{where}/discriminator")
        with self.machine.autocast():
            return net(images.contiguous(memory_format=self.machine.memory_format), labels).float()

    def _whole_loss(self, learner: Learner, scene: Scene, part: str = "") -> Tensor:
        """Give the mean of the loss and of the penalties that count now, and note them for the log."""
        side = scene.side
        self.streams.open(f"{side}{part}/objective")
        loss = (d_loss if side == "d" else g_loss)(self.parts.objective, scene)
        learner.noted = {f"loss/{side}{part}": loss.detach().mean()}
        if side == "d":
            for kind, seen in scene.seen():
                learner.noted[f"score/{kind}"] = seen.logits.score.detach().mean()
        there = {kind for kind, _ in scene.seen()}
        for penalty, part_of in self.parts.penalties(side, self.clock):
            if not there.issuperset(penalty.needs):
                continue
            self.streams.open(f"{side}/{penalty.kind}")
            term = part_of(scene)
            if term is not None:
                learner.noted[f"{penalty.kind}/{side}"] = (term.detach() * penalty.every).mean()
                loss = loss + term * penalty.every
        return loss.mean()

    def _update(self, learner: Learner) -> Tensor:
        """Judge the numbers before a weight moves, then use the gradients; give the loss."""
        average_gradients(learner.weights)
        gradients = [weight.grad for weight in learner.weights if weight.grad is not None]
        learner.noted[f"grad/{learner.side}"] = torch.nn.utils.get_total_norm(gradients, foreach=True)
        values = mean_of_all(torch.stack([*learner.noted.values()]))
        self.guard.watch([*learner.noted], values, self.clock, self.nets)
        self.stats.add([*learner.noted], values)
        learner.update(self.clock, self.recipe.train)
        return values[0]


def build_nets(recipe: Recipe, image: ImageShape) -> tuple[Generator, nn.Module]:
    """Build both nets for a shape of image and rewire them; RecipeError where they do not fit it."""
    generator = recipe.generator.build(image, recipe.latents.dim)
    discriminator = recipe.discriminator.build(image)
    for rewire in recipe.rewires.generator:
        rewire(generator)
    for rewire in recipe.rewires.discriminator:
        rewire(discriminator)
    if recipe.features is not None:  # its heads come with a spectral norm of their own
        discriminator = Guided(discriminator, recipe.features, image)
    return generator, discriminator
