"""One GAN in training: two nets, their optimisers, the slots, the clock, and the step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from gander.chance import mean_of_all
from gander.data.batches import Batches
from gander.engine.distributed import average_gradients, same_everywhere
from gander.engine.guard import Guard
from gander.engine.machine import Machine
from gander.nets.blocks import Generator, ImageShape, Look
from gander.nets.rewires import AnyRewire
from gander.recipe.schema import Recipe
from gander.schedule import Clock
from gander.techniques.slots import Penalty, Scene, Separable, Side
from gander.training.stats import Stats

_Net = TypeVar("_Net", bound=nn.Module)


class Player:
    """One net with its optimiser and what is done around each of its updates."""

    def __init__(self, side: Side, net: nn.Module, rewires: tuple[AnyRewire, ...], recipe: Recipe) -> None:
        self.side = side
        self.net = net
        self.rewires = rewires
        self.rate = recipe.train.g_lr if side == "g" else recipe.train.d_lr
        self.beta1, self.beta2 = recipe.train.beta1, recipe.train.beta2
        betas = (self.beta1, Clock().now(self.beta2))
        self.optimiser = torch.optim.Adam(
            net.parameters(), lr=Clock().now(self.rate), betas=betas, fused=True
        )

    def update(self, clock: Clock) -> None:
        """Use the gradients, at the rates of this moment, and clear them."""
        for rewire in self.rewires:
            rewire.before_step(self.net, clock)
        for group in self.optimiser.param_groups:
            group["lr"] = clock.now(self.rate)
            group["betas"] = (self.beta1, clock.now(self.beta2))
        self.optimiser.step()
        self.optimiser.zero_grad()
        for rewire in self.rewires:
            rewire.after_step(self.net, clock)


class Trainer:
    """All that one GAN's training holds in memory.

    Args:
        recipe: what to build.
        image: the shape of the data.
        machine: where to run.
        seed: of weights, noise and latents.
    Raises: RecipeError where the nets do not fit the data.
    """

    def __init__(self, recipe: Recipe, image: ImageShape, machine: Machine, seed: int) -> None:
        torch.manual_seed(seed)
        self.recipe = recipe
        self.machine = machine
        self.rng = torch.Generator(machine.device).manual_seed(seed)  # of latents
        self.clock = Clock()
        self.stats = Stats()
        self.guard = Guard()
        g, d = build_nets(recipe, image)
        self.generator: Generator = self._place(g)
        self.average: Generator = copy.deepcopy(self.generator).requires_grad_(False)
        self.g = Player("g", self.generator, recipe.rewires.generator, recipe)
        self.d = Player("d", self._place(d), recipe.rewires.discriminator, recipe)
        self.nets = nn.ModuleDict({"g": self.g.net, "d": self.d.net})  # to name a weight of either
        self.penalties = [(penalty, penalty.start(machine.device)) for penalty in recipe.penalties]
        self._update_d = {"joint": self._update_d_jointly, "separate": self._update_d_separately}[
            recipe.train.d_update
        ]

    def _place(self, net: _Net) -> _Net:
        net = net.to(self.machine.device)
        net.to(memory_format=self.machine.memory_format)  # type: ignore[call-overload]
        same_everywhere([*net.parameters(), *net.buffers()])
        return net.train()

    def step(self, batches: Batches) -> None:
        """Update D `d_steps` times, G once, then the average."""
        shown = self.recipe.shown_per_step
        each = shown // self.recipe.train.d_steps
        with _frozen(self.g.net):
            for look in range(self.recipe.train.d_steps):
                real, labels = batches.take(self.clock.images + look * each, each)
                self._update_d(real, labels)
        with _frozen(self.d.net):
            self._update_g(real, labels)
        self.recipe.average.update(self.average, self.generator, self.clock.images, shown)
        self.clock.advance(shown)

    def _update_d_jointly(self, real: Tensor, labels: Tensor | None) -> None:
        scene = self._scene("d", real, labels, self._imagine(len(real), labels), labels)
        assert scene.real_score is not None
        assert scene.fake_score is not None
        loss = self.recipe.objective.d(scene.real_score, scene.fake_score, self.clock)
        self._learn(self.d, scene, loss)

    def _update_d_separately(self, real: Tensor, labels: Tensor | None) -> None:
        """Make one update on real images, and then one on fakes."""
        assert isinstance(self.recipe.objective, Separable)
        scene = self._scene("d", real, labels)
        assert scene.real_score is not None
        loss = self.recipe.objective.real(scene.real_score, self.clock)
        on_real = self._learn(self.d, scene, loss, "_real")
        scene = self._scene("d", None, None, self._imagine(len(real), labels), labels)
        assert scene.fake_score is not None
        loss = self.recipe.objective.fake(scene.fake_score, self.clock)
        on_fake = self._learn(self.d, scene, loss, "_fake")
        self.stats.add(["loss/d"], on_real + on_fake)

    def _update_g(self, real: Tensor, labels: Tensor | None) -> None:
        count = (
            self.recipe.train.batch * len(real) // (self.recipe.shown_per_step // self.recipe.train.d_steps)
        )
        if labels is not None:  # of half a batch, where D's updates are separate; a process repeats its own
            labels = labels.repeat_interleave(count // len(labels))
        latents = self.recipe.latents(count, self.rng)
        with self.machine.autocast():
            fake = self.generator(latents, labels).float()
        shown = real if self.recipe.objective.relative else None
        scene = self._scene("g", shown, labels, fake, labels)
        assert scene.fake_score is not None
        loss = self.recipe.objective.g(scene.fake_score, scene.real_score)
        self._learn(self.g, scene, loss)

    @torch.no_grad()
    def _imagine(self, n: int, labels: Tensor | None) -> Tensor:
        """Make n fakes for D to look at."""
        with self.machine.autocast():
            return self.generator(self.recipe.latents(n, self.rng), labels).float()

    def _scene(
        self,
        side: Side,
        real: Tensor | None,
        real_labels: Tensor | None,
        fake: Tensor | None = None,
        fake_labels: Tensor | None = None,
    ) -> Scene:
        """Let D look at images; slopes reach them as they were before the views."""
        scene = Scene(side, self.clock, lambda images, labels: self._look(images, labels).score)
        steep = any(penalty.slopes for penalty, _ in self._due(side))
        if real is not None:
            scene.real, scene.real_labels = real.requires_grad_(steep), real_labels
            with torch.set_grad_enabled(side == "d"):
                scene.real_score, scene.real_classes = self._look(scene.real, real_labels)
        if fake is not None:
            scene.fake, scene.fake_labels = fake.requires_grad_(steep or fake.requires_grad), fake_labels
            scene.fake_score, scene.fake_classes = self._look(scene.fake, fake_labels)
        return scene

    def _look(self, images: Tensor, labels: Tensor | None) -> Look:
        for view in self.recipe.views:
            images = view(images, self.clock)
        with self.machine.autocast():
            score, classes = self.d.net(images.contiguous(memory_format=self.machine.memory_format), labels)
        return Look(score.float(), None if classes is None else classes.float())

    def _due(self, side: Side) -> Iterator[tuple[Penalty, Callable[[Scene], Tensor]]]:
        for penalty, paid in self.penalties:
            if side in penalty.sides and self.clock.steps % penalty.every == 0:
                yield penalty, paid

    def _learn(self, player: Player, scene: Scene, loss: Tensor, part: str = "") -> Tensor:
        """Add the penalties that are due, differentiate, judge the numbers, update; give the loss (1,)."""
        noted = {f"loss/{player.side}{part}": loss.detach().mean()}
        for kind, score in (("real", scene.real_score), ("fake", scene.fake_score)):
            if score is not None and scene.side == "d":
                noted[f"score/{kind}"] = score.detach().mean()
        for penalty, paid in self._due(scene.side):
            if not _can_pay(penalty, scene):
                continue
            term = paid(scene) * penalty.every
            noted[f"{penalty.kind}/{scene.side}"] = term.detach().mean()
            loss = loss + term
        loss.mean().backward()  # type: ignore[no-untyped-call]
        average_gradients(player.net.parameters())
        grads = [weight.grad for weight in player.net.parameters() if weight.grad is not None]
        noted[f"grad/{player.side}"] = torch.nn.utils.get_total_norm(grads, foreach=True)
        values = mean_of_all(torch.stack([*noted.values()]))
        self.guard.watch([*noted], values, self.clock, self.nets)
        self.stats.add([*noted], values)
        player.update(self.clock)
        return values[:1]


def build_nets(recipe: Recipe, image: ImageShape) -> tuple[Generator, nn.Module]:
    """Build both nets for a shape of image and rewire them; RecipeError where they do not fit it."""
    generator = recipe.generator.build(image, recipe.latents.dim)
    discriminator = recipe.discriminator.build(image)
    for rewire in recipe.rewires.generator:
        rewire(generator)
    for rewire in recipe.rewires.discriminator:
        rewire(discriminator)
    return generator, discriminator


def _can_pay(penalty: Penalty, scene: Scene) -> bool:
    """Tell whether this look holds the scores that a penalty needs."""
    there = {"real": scene.real_score is not None, "fake": scene.fake_score is not None}
    return all(there[kind] for kind in penalty.looks)


@contextmanager
def _frozen(net: nn.Module) -> Iterator[None]:
    """Save the work of differentiating by a net's weights while the other net learns."""
    net.requires_grad_(False)
    try:
        yield
    finally:
        net.requires_grad_(True)
