"""What all probes of one moment look at: fresh fakes, real images shown and held out, and D's answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gander.engine.streams import Streams, global_streams_kept
from gander.techniques.slots import Logits, Scene, Seen
from gander.training.probes.features import RandomFeatures
from gander.training.probes.nets import activity

if TYPE_CHECKING:
    from gander.training.trainer import Trainer

Made = TypeVar("Made")
_POOL, _SPREAD, _SMALL = 1024, 256, 16


class References:
    """Real images of one training and what is made of them once: those shown first, held out, and a pool.

    Args:
        n: images of each kind, where there are as many.
    """

    def __init__(self, trainer: Trainer, n: int) -> None:
        batches, g = trainer.batches, trainer.generator
        self.low, self.high = g.low, g.high
        self._made: dict[str, Any] = {}
        self.n = min(n, len(batches.rows))
        self.real, self.labels = batches.take(0, self.n)
        self.held_out, self.held_out_labels = batches.at(trainer.held_out[: self.n])
        pool, self.pool_labels = batches.take(0, min(_POOL, len(batches.rows)))
        self._net = RandomFeatures(pool.shape[1], pool.device)
        features = self._net(self.scaled(pool))
        self._deviation, self._mean = torch.std_mean(features, 0)
        self.pool_features = self._standardised(features)
        self.pool, self.pool_small = pool, self.small(pool)
        self.spread, self.spread_features = (
            spread(rows[:_SPREAD]) for rows in (self.pool_small, self.pool_features)
        )
        half = min(self.n, len(pool) // 2)
        self.halves = self.pool_features[: 2 * half].chunk(2)  # two sets of real images of equal count

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """Give what is made of the real images under this name, made the first time."""
        if name not in self._made:
            self._made[name] = make()
        made: Made = self._made[name]
        return made

    @property
    def held_out_features(self) -> Tensor:
        return self.once("held out", lambda: self.features(self.held_out))

    def scaled(self, images: Tensor) -> Tensor:
        """Give images of the nets' range in [-1, 1]."""
        return (images - self.low) * (2 / (self.high - self.low)) - 1

    def features(self, images: Tensor) -> Tensor:
        """Give features (N, D) of images in the nets' range; of the pool, each has deviation 1."""
        return self._standardised(self._net(self.scaled(images)))

    def _standardised(self, features: Tensor) -> Tensor:
        return (features - self._mean) / (self._deviation + 1e-3)

    def small(self, images: Tensor) -> Tensor:
        """Give images as rows (N, P), in [-1, 1] and at most 16 pixels a side."""
        size = images.shape[-1]
        scaled = self.scaled(images)
        return (F.adaptive_avg_pool2d(scaled, _SMALL) if size > _SMALL else scaled).flatten(1)


def spread(rows: Tensor) -> Tensor:
    """Give the mean distance of two different rows."""
    return torch.pdist(rows).mean()


@dataclass
class ProbeScene:
    """One moment of a training; images are in the nets' range, fakes are G's own in training mode."""

    references: References
    streams: Streams
    scene: Scene  # as in a step of G: real and fake images, labels, and D's answers
    held_out: Seen | None
    fakes: Tensor
    active: dict[str, list[list[Tensor]]]  # of each side, for each kind of images: its rectifiers' units

    @property
    def real(self) -> Seen:
        assert self.scene.real is not None
        return self.scene.real

    @property
    def fake(self) -> Seen:
        assert self.scene.fake is not None
        return self.scene.fake

    @cached_property
    def fake_small(self) -> Tensor:
        return self.references.small(self.fakes)

    @cached_property
    def fake_features(self) -> Tensor:
        return self.references.features(self.fakes)


def make_scene(trainer: Trainer, references: References) -> ProbeScene:
    """Draw fakes and let D look at them and at the real images, through the views, each kind by itself."""
    streams = Streams(trainer.recipe.seed, trainer.clock.steps, trainer.machine.device)
    net, active = trainer.d.net, dict[str, list[list[Tensor]]](g=[], d=[])

    def answers(images: Tensor, labels: Tensor | None, kind: str) -> Logits:
        where = f"probe/{kind}"
        low, high = references.low, references.high
        seen = trainer.parts.view(images, low, high, trainer.clock, streams, where)
        streams.open(f"{where}/discriminator")
        with trainer.machine.autocast(), activity(net) as units:
            logits: Logits = net(seen.contiguous(memory_format=trainer.machine.memory_format), labels)
        active["d"].append(units)
        return logits.float()

    scene = Scene("g", trainer.clock, lambda x, y: answers(x, y, "again"), trainer.generator)
    n, labels = references.n, references.labels
    scene.latents = trainer.parts.latents(n, streams.latents("probe/latents"))
    with activity(trainer.generator) as units:
        fakes = make_fakes(trainer, streams, scene.latents, labels)
    active["g"].append(units)
    real = references.real.detach().requires_grad_()
    scene.real = Seen(real, labels, answers(real, labels, "real"))
    fake = fakes.detach().requires_grad_()
    scene.fake = Seen(fake, labels, answers(fake, labels, "fake"))
    held_out = None
    if len(references.held_out):
        with torch.no_grad():
            own, own_labels = references.held_out, references.held_out_labels
            held_out = Seen(own, own_labels, answers(own, own_labels, "held_out"))
    return ProbeScene(references, streams, scene, held_out, fakes, active)


@torch.no_grad()
def make_fakes(
    trainer: Trainer, streams: Streams, latents: Tensor, labels: Tensor | None, net: nn.Module | None = None
) -> Tensor:
    """Let G, or another net, make images in the mode that it is in."""
    streams.open("probe/generator")
    with trainer.machine.autocast():
        fakes: Tensor = (net or trainer.generator)(latents, labels)
    return fakes.float()


@contextmanager
def untouched(trainer: Trainer) -> Iterator[None]:
    """Put buffers and random streams back afterwards, and make no gradients of weights."""
    modules = [trainer.nets, *trainer.parts.modules().values()]
    buffers = [buffer for module in modules for buffer in module.buffers()]
    before = [buffer.detach().clone() for buffer in buffers]
    try:
        with ExitStack() as stack:
            stack.enter_context(global_streams_kept(trainer.machine.device))
            stack.enter_context(trainer.g.frozen())
            stack.enter_context(trainer.d.frozen())
            stack.enter_context(parametrize.cached())
            yield
    finally:
        with torch.no_grad():
            for buffer, kept in zip(buffers, before, strict=True):
                buffer.copy_(kept)
