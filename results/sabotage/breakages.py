"""Breakages of a training that no recipe can say: each takes a trainer and leaves `recipe.toml` as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gander.nets.blocks import ClassBatchNorm
from gander.techniques.views import DiffAugment
from gander.training.learner import Learner
from gander.training.trainer import Trainer

Breakage = Callable[[Trainer], None]


class _Spoilt:
    """A part with one of its methods replaced."""

    def __init__(self, whole: Any, **replaced: Any) -> None:
        self._whole = whole
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)


def wrong_sign(trainer: Trainer) -> None:
    """Let G do what D likes: its loss has the other sign."""
    objective = trainer.parts.objective

    def g_now(fake: Tensor, real: Tensor | None, clock: Any) -> Tensor:
        return -objective.g_now(fake, real, clock)

    trainer.parts.objective = _Spoilt(objective, g_now=g_now)


def real_called_fake(trainer: Trainer) -> None:
    """Let D learn with real and fake confused, while G still asks for high scores."""
    objective = trainer.parts.objective

    def d(real: Tensor, fake: Tensor, clock: Any) -> Tensor:
        return objective.d(fake, real, clock)

    trainer.parts.objective = _Spoilt(objective, d=d)


def frozen(side: str, share: float = 1.0) -> Breakage:
    """Let no weight of a net move, or none of the first share of them."""

    def spoil(trainer: Trainer) -> None:
        learner: Learner = getattr(trainer, side)
        still = learner.weights[: round(share * len(learner.weights))]
        update = learner.update

        def without(clock: Any, train: Any) -> None:
            for weight in still:
                weight.grad = None
            if len(still) < len(learner.weights):
                update(clock, train)

        learner.update = without  # type: ignore[method-assign]

    return spoil


def labels_unheard(side: str, share: float) -> Breakage:
    """Give a net a random class in the place of a share of those it is asked for."""

    def spoil(trainer: Trainer) -> None:
        def shuffled(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
            inputs, labels = given
            wrong = torch.rand(len(labels)) < share
            random = torch.randint(0, len(trainer.batches.images.classes), labels.shape)
            return inputs, torch.where(wrong, random, labels)

        getattr(trainer, side).net.register_forward_pre_hook(shuffled)

    return spoil


def dead_units(share: float) -> Breakage:
    """Push the biases of a hidden layer of G so low that a share of its units never wake."""

    def spoil(trainer: Trainer) -> None:
        for layer in trainer.g.net.modules():
            bias = getattr(layer, "bias", None)
            if isinstance(layer, ClassBatchNorm):
                dead = torch.arange(layer.norm.num_features) < share * layer.norm.num_features
                layer.norm.register_forward_hook(_lowered(dead))
                return
            if isinstance(layer, nn.BatchNorm2d) and isinstance(bias, nn.Parameter):
                with torch.no_grad():
                    bias[: round(share * len(bias))] = -20.0
                return
        raise ValueError("dead_units: this G has no batch norm")

    return spoil


def _lowered(dead: Tensor) -> Callable[..., Tensor]:
    def hook(_: nn.Module, __: Any, maps: Tensor) -> Tensor:
        return maps - 20.0 * dead[None, :, None, None]

    return hook


def stale_statistics(momentum: float) -> Breakage:
    """Let G's running statistics follow by so small a share a step, which shows in evaluation alone."""

    def spoil(trainer: Trainer) -> None:
        for layer in trainer.g.net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = momentum

    return spoil


def lost_statistics(trainer: Trainer) -> None:
    """Average G's weights and forget its running statistics, as a copy without buffers does."""
    own = [buffer for name, buffer in trainer.average.named_buffers() if "running" in name]
    before = [buffer.clone() for buffer in own]
    after = trainer.after

    def without() -> None:
        after()
        for buffer, kept in zip(own, before, strict=True):
            buffer.copy_(kept)

    trainer.after = without  # type: ignore[method-assign]


def copying(count: int, share: float = 1.0) -> Breakage:
    """Put one of so many training images in the place of a share of what G makes, a little changed by G."""

    def spoil(trainer: Trainer) -> None:
        images, _ = trainer.batches.take(0, count)
        copied = round(share * count) or 1

        def copies(_: nn.Module, given: tuple[Any, ...], made: Tensor) -> Tensor:
            latents = given[0]
            chosen = (latents[:, :2].sum(1).sigmoid() * 7919 * count).long() % count
            kept = (latents[:, 2].abs() * 7919).long() % count < copied
            mixed = 0.97 * images[chosen] + 0.03 * made
            return torch.where(kept[:, None, None, None], mixed, made)

        for net in {trainer.generator, trainer.average}:
            net.register_forward_hook(copies)

    return spoil


def stale_batches(count: int) -> Breakage:
    """Show the same few batches for ever."""

    def spoil(trainer: Trainer) -> None:
        take, size = trainer.batches.take, trainer.recipe.shown_per_update
        trainer.batches.take = lambda position, n: take(position // size % count * size, n)  # type: ignore[method-assign]

    return spoil


def one_sided(trainer: Trainer) -> None:
    """Augment real images, and not the fakes."""
    take, view = trainer.batches.take, DiffAugment()

    def augmented(position: int, count: int) -> Any:
        images, labels = take(position, count)
        return view(images, trainer.clock), labels

    trainer.batches.take = augmented  # type: ignore[method-assign]


def leaking(share: float) -> Breakage:
    """Turn by quarters and mirror upside down what D sees, so often that G learns to."""

    def turned(images: Tensor, clock: Any) -> Tensor:
        quarters = torch.randint(0, 4, (len(images),)) * (torch.rand(len(images)) < share)
        turns = torch.stack([torch.rot90(images, k, (2, 3)) for k in range(4)])
        return turns[quarters, torch.arange(len(images))]

    return lambda trainer: trainer.parts.views.update({"turned": turned})


def other_latents(spread: float, uniform: bool = False) -> Breakage:
    """Train on other latents than the recipe says, which are those of sampling."""

    def spoil(trainer: Trainer) -> None:
        dim = trainer.recipe.latents.dim

        def draw(n: int, rng: torch.Generator) -> Tensor:
            if uniform:
                return spread * torch.rand(n, dim, generator=rng)
            return spread * torch.randn(n, dim, generator=rng)

        trainer.parts.latents = draw

    return spoil


def data_range(low: float, high: float) -> Breakage:
    """Scale the data to another range than G's."""

    def spoil(trainer: Trainer) -> None:
        trainer.batches.low, trainer.batches.high = low, high

    return spoil


def no_epsilon(trainer: Trainer) -> None:
    """Take the logarithm of a sigmoid in float16 with nothing added, as a careless loss does."""
    objective = trainer.parts.objective

    def log(score: Tensor) -> Tensor:
        return score.half().sigmoid().log().float()

    def d(real: Tensor, fake: Tensor, clock: Any) -> Tensor:
        return -log(real) - log(-fake)

    trainer.parts.objective = _Spoilt(objective, d=d, g_now=lambda fake, real, clock: F.softplus(-fake))


def overflowing(scale: float) -> Breakage:
    """Let gradients pass through float16, scaled so that large ones become infinite."""

    def spoil(trainer: Trainer) -> None:
        objective = trainer.parts.objective

        def g_now(fake: Tensor, real: Tensor | None, clock: Any) -> Tensor:
            return (objective.g_now(fake, real, clock) * scale).half().float() / scale

        trainer.parts.objective = _Spoilt(objective, g_now=g_now)

    return spoil
