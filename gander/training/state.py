"""All state of a training as named tensors, and back: what is not in here is not resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gander.errors import CheckpointError
from gander.training.step import Player, Trainer

Tensors = dict[str, Tensor]


def trainer_state(trainer: Trainer) -> Tensors:
    """Name every tensor that the next step depends on, all on the CPU."""
    tensors: Tensors = {}
    for name, module in _modules(trainer):
        tensors |= _prefixed(name, module.state_dict())
    for player in (trainer.g, trainer.d):
        tensors |= _prefixed(f"{player.side}_optimiser", _optimiser_state(player))
    tensors |= _prefixed("stats", trainer.stats.state())
    for name, (read, _) in _streams(trainer).items():
        tensors[f"random.{name}"] = read()
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def restore_trainer(trainer: Trainer, tensors: Mapping[str, Tensor], images: int, steps: int) -> None:
    """Put a trainer exactly where it was; CheckpointError where a tensor is missing, left over, misshapen."""
    left = set(tensors)
    for name, module in _modules(trainer):
        own = module.state_dict()
        for key, tensor in own.items():
            _copy(tensor, tensors, f"{name}.{key}")
        left -= {f"{name}.{key}" for key in own}
    for player in (trainer.g, trainer.d):
        left -= _restore_optimiser(player, tensors, f"{player.side}_optimiser.")
    stats = {name: tensor for name, tensor in tensors.items() if name.startswith("stats.")}
    trainer.stats.restore(
        {name.removeprefix("stats."): tensor.to(trainer.machine.device) for name, tensor in stats.items()}
    )
    streams = _streams(trainer)
    for name, (_, write) in streams.items():
        if f"random.{name}" not in tensors:
            raise CheckpointError(
                f"checkpoint: the random stream {name} is missing, so it cannot go on exactly"
            )
        write(tensors[f"random.{name}"])
    left -= {*stats, *(f"random.{name}" for name in streams)}
    if left:
        raise CheckpointError(f"checkpoint: holds {sorted(left)[0]}, which this recipe has no place for")
    trainer.clock.images, trainer.clock.steps = images, steps


def _modules(trainer: Trainer) -> list[tuple[str, nn.Module]]:
    memories = [(f"penalty.{p.kind}", m) for p, m in trainer.penalties if isinstance(m, nn.Module)]
    return [("g", trainer.g.net), ("d", trainer.d.net), ("average", trainer.average), *memories]


def _streams(trainer: Trainer) -> dict[str, tuple[Callable[[], Tensor], Callable[[Tensor], Any]]]:
    streams: dict[str, tuple[Callable[[], Tensor], Callable[[Tensor], Any]]] = {
        "global": (torch.get_rng_state, torch.set_rng_state),
        "latents": (trainer.rng.get_state, trainer.rng.set_state),
    }
    if trainer.machine.device.type == "cuda":
        streams["cuda"] = (torch.cuda.get_rng_state, torch.cuda.set_rng_state)
    return streams


def _prefixed(name: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {f"{name}.{key}": tensor for key, tensor in tensors.items()}


def _optimiser_state(player: Player) -> Tensors:
    names = {id(weight): name for name, weight in player.net.named_parameters()}
    return {
        f"{names[id(weight)]}.{key}": tensor
        for weight, state in player.optimiser.state.items()
        for key, tensor in state.items()
    }


def _restore_optimiser(player: Player, tensors: Mapping[str, Tensor], prefix: str) -> set[str]:
    """Fill the moments in the memory layout of their weights, as they were; give the names used."""
    weights = dict(player.net.named_parameters())
    used = {name for name in tensors if name.startswith(prefix)}
    player.optimiser.state.clear()
    for name in sorted(used):
        weight_name, _, key = name.removeprefix(prefix).rpartition(".")
        if weight_name not in weights:
            raise CheckpointError(f"checkpoint: {name} belongs to no weight of this recipe's nets")
        weight, saved = weights[weight_name], tensors[name]
        like = weight if saved.shape == weight.shape else saved.to(weight.device)
        held = torch.empty_like(like, dtype=saved.dtype, requires_grad=False)
        player.optimiser.state.setdefault(weight, {})[key] = held.copy_(saved)
    return used


def _copy(own: Tensor, tensors: Mapping[str, Tensor], name: str) -> None:
    if name not in tensors or tensors[name].shape != own.shape:
        what = "is missing" if name not in tensors else f"has shape {tuple(tensors[name].shape)}"
        raise CheckpointError(f"checkpoint: {name} {what}; the recipe's net wants {tuple(own.shape)}")
    with torch.no_grad():
        own.copy_(tensors[name])
