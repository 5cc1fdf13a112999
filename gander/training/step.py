"""One GAN in training: two nets, their optimisers, the slots, the clock, and the step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gander.chance import mean_of_all
from gander.data.batches import Batches
from gander.engine.adam import Adam
from gander.engine.distributed import average_gradients, same_everywhere
from gander.engine.guard import Guard
from gander.engine.machine import Machine
from gander.nets.blocks import Generator, ImageShape, Look
from gander.nets.rewires import Rewire
from gander.recipe.schema import Recipe
from gander.schedule import Clock
from gander.techniques.slots import Penalty, Scene, Separable, Side
from gander.training.stats import Stats

_Net = TypeVar("_Net", bound=nn.Module)


class Player:
    """One net with its optimiser and what is done around each of its updates."""

    def __init__(self, side: Side, net: nn.Module, rewires: tuple[Rewire, ...], recipe: Recipe) -> None:
        self.side = side
        self.net = net
        self.rewires = rewires
        self.rate = recipe.train.g_lr if side == "g" else recipe.train.d_lr
        self.beta1, self.beta2 = recipe.train.beta1, recipe.train.beta2
        self.optimiser = Adam(net.parameters())

    def update(self, clock: Clock) -> None:
        """Use the gradients, at the rates of this moment, and clear them."""
        for rewire in self.rewires:
            rewire.before_step(self.net, clock)
        self.optimiser.step(clock.now(self.rate), self.beta1, clock.now(self.beta2))
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
        machine.prepare()
        self.recipe = recipe
        self.rng = torch.Generator(machine.device).manual_seed(seed)  # of latents
        self.clock = Clock()
        self.stats = Stats()
        self.guard = Guard(waits=machine.device.type == "cpu")
        g, d = build_nets(recipe, image)
        self.generator: Generator = self._place(g, machine)
        self.average: Generator = copy.deepcopy(self.generator).requires_grad_(False)
        self.g = Player("g", self.generator, recipe.rewires.generator, recipe)
        self.d = Player("d", self._place(d, machine), recipe.rewires.discriminator, recipe)
        self.move(machine)
        self.nets = nn.ModuleDict({"g": self.g.net, "d": self.d.net})  # to name a weight of either
        self.penalties = [(penalty, penalty.start(machine.device)) for penalty in recipe.penalties]
        self._take_turns = {
            "joint": lambda batches: self._one_after_another(batches, self._update_d_jointly),
            "separate": lambda batches: self._one_after_another(batches, self._update_d_separately),
            "shared": self._together,
        }[recipe.train.d_update]

    def _place(self, net: _Net, machine: Machine) -> _Net:
        net = net.to(machine.device)
        same_everywhere([*net.parameters(), *net.buffers()])
        return net.train()

    def move(self, machine: Machine) -> None:
        """Go on as another machine says; the device stays."""
        self.machine = machine
        for net in (self.generator, self.average, self.d.net):
            net.to(memory_format=machine.memory_format)  # type: ignore[call-overload]
        for player in (self.g, self.d):
            player.optimiser.state.clear()  # moments lie in memory as their weights do
        self._make, self._judge = machine.compile(self.generator), machine.compile(self.d.net)

    def step(self, batches: Batches) -> None:
        """Update D `d_steps` times, G once, then the average.

        Within one update a spectral norm is computed once, however often D looks.
        """
        self.machine.begin_step()
        self._take_turns(batches)
        shown = self.recipe.shown_per_step
        self.recipe.average.update(self.average, self.generator, self.clock.images, shown)
        self.clock.advance(shown)

    def _one_after_another(self, batches: Batches, update_d: Callable[[Tensor, Tensor | None], None]) -> None:
        each = self.recipe.shown_per_step // self.recipe.train.d_steps
        with _frozen(self.g.net):
            for look in range(self.recipe.train.d_steps):
                real, labels = batches.take(self.clock.images + look * each, each)
                update_d(real, labels)
        with _frozen(self.d.net), parametrize.cached():
            self._update_g(real, labels)

    def _together(self, batches: Batches) -> None:
        """Update both nets from one look at the same fakes, each by what the other was before."""
        real, labels = batches.take(self.clock.images, self.recipe.shown_per_step)
        with parametrize.cached():
            fake = self._imagine(len(real), labels)
            seen = fake.detach().requires_grad_()
            scene = self._scene("d", real, labels, seen, labels)
            on_g, noted_of_g = self._whole_loss(replace(scene, side="g"), self._g_loss(scene))
            on_d, noted_of_d = self._whole_loss(scene, self._d_loss(scene))
            (slopes,) = torch.autograd.grad(on_g, seen, retain_graph=True)
            on_d.backward(inputs=[*self.d.net.parameters()])  # type: ignore[no-untyped-call]
            fake.backward(slopes)  # type: ignore[no-untyped-call]
        self._update(self.d, noted_of_d)
        self._update(self.g, noted_of_g)

    def _update_d_jointly(self, real: Tensor, labels: Tensor | None) -> None:
        with parametrize.cached():
            scene = self._scene("d", real, labels, self._imagine(len(real), labels), labels)
            self._learn(self.d, scene, self._d_loss(scene))

    def _update_d_separately(self, real: Tensor, labels: Tensor | None) -> None:
        """Make one update on real images, and then one on fakes."""
        assert isinstance(self.recipe.objective, Separable)
        with parametrize.cached():
            scene = self._scene("d", real, labels)
            assert scene.real_score is not None
            loss = self.recipe.objective.real(scene.real_score, self.clock)
            on_real = self._learn(self.d, scene, loss, "_real")
        with parametrize.cached():
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
        shown = real if self.recipe.objective.relative else None
        scene = self._scene("g", shown, labels, self._imagine(count, labels), labels)
        self._learn(self.g, scene, self._g_loss(scene))

    def _d_loss(self, scene: Scene) -> Tensor:
        assert scene.real_score is not None
        assert scene.fake_score is not None
        return self.recipe.objective.d(scene.real_score, scene.fake_score, self.clock)

    def _g_loss(self, scene: Scene) -> Tensor:
        assert scene.fake_score is not None
        relative = self.recipe.objective.relative
        return self.recipe.objective.g(scene.fake_score, scene.real_score if relative else None)

    def _imagine(self, n: int, labels: Tensor | None) -> Tensor:
        """Make n fakes, which G can learn from unless it is frozen."""
        with self.machine.autocast():
            return self._make(self.recipe.latents(n, self.rng), labels).float()

    def _scene(
        self,
        side: Side,
        real: Tensor | None,
        real_labels: Tensor | None,
        fake: Tensor | None = None,
        fake_labels: Tensor | None = None,
    ) -> Scene:
        """Let D look at images; slopes reach them as they were before the views."""
        scene = Scene(side, self.clock, lambda images, labels: self._look(images, labels, self.d.net).score)
        steep = any(penalty.slopes for penalty, _ in self._due(side))
        # A compiled net can be differentiated once.
        net = self.d.net if steep or self.recipe.train.d_update == "shared" else self._judge
        if real is not None:
            scene.real, scene.real_labels = real.requires_grad_(steep), real_labels
            with torch.set_grad_enabled(side == "d"):
                scene.real_score, scene.real_classes = self._look(scene.real, real_labels, net)
        if fake is not None:
            scene.fake, scene.fake_labels = fake.requires_grad_(steep or fake.requires_grad), fake_labels
            scene.fake_score, scene.fake_classes = self._look(scene.fake, fake_labels, net)
        return scene

    def _look(self, images: Tensor, labels: Tensor | None, net: Callable[..., Look]) -> Look:
        for view in self.recipe.views:
            images = view(images, self.clock)
        with self.machine.autocast():
            score, classes = net(images.contiguous(memory_format=self.machine.memory_format), labels)
        return Look(score.float(), None if classes is None else classes.float())

    def _due(self, side: Side) -> Iterator[tuple[Penalty, Callable[[Scene], Tensor]]]:
        for penalty, paid in self.penalties:
            if side in penalty.sides and self.clock.steps % penalty.every == 0:
                yield penalty, paid

    def _learn(self, player: Player, scene: Scene, loss: Tensor, part: str = "") -> Tensor:
        """Differentiate the loss and the penalties that are due, and update; give the loss (1,)."""
        whole, noted = self._whole_loss(scene, loss, part)
        whole.backward(inputs=[*player.net.parameters()])  # type: ignore[no-untyped-call]
        return self._update(player, noted)

    def _whole_loss(self, scene: Scene, loss: Tensor, part: str = "") -> tuple[Tensor, dict[str, Tensor]]:
        """Add the penalties that are due, and take the mean; give it with what the log is to hold."""
        noted = {f"loss/{scene.side}{part}": loss.detach().mean()}
        for kind, score in (("real", scene.real_score), ("fake", scene.fake_score)):
            if score is not None and scene.side == "d":
                noted[f"score/{kind}"] = score.detach().mean()
        for penalty, paid in self._due(scene.side):
            if not _can_pay(penalty, scene):
                continue
            term = paid(scene) * penalty.every
            noted[f"{penalty.kind}/{scene.side}"] = term.detach().mean()
            loss = loss + term
        return loss.mean(), noted

    def _update(self, player: Player, noted: dict[str, Tensor]) -> Tensor:
        """Judge the numbers, and use the gradients; give the first number (1,)."""
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
