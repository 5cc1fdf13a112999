"""All state of a training as named tensors, and back: what is not in here is not resumed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gander.errors import CheckpointError
from gander.training.learner import Learner
from gander.training.trainer import Trainer

Tensors = dict[str, Tensor]


def trainer_state(trainer: Trainer) -> Tensors:
    """Name every tensor that the next step depends on, all on the CPU."""
    tensors: Tensors = {}
    for name, module in _modules(trainer).items():
        tensors |= _prefixed(name, module.state_dict())
    for learner in (trainer.g, trainer.d):
        tensors |= _prefixed(f"{learner.side}_optimiser", _optimiser_state(learner))
    tensors |= _prefixed("stats", trainer.stats.state()) | _prefixed("probes", trainer.probed)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def restore_trainer(trainer: Trainer, tensors: Mapping[str, Tensor], images: int, steps: int) -> None:
    """Put a trainer exactly where it was; CheckpointError where a tensor is missing, left over, misshapen."""
    for line in adopt(trainer, tensors, images, steps):
        raise CheckpointError(f"checkpoint: {line}")


def adopt(trainer: Trainer, tensors: Mapping[str, Tensor], images: int, steps: int) -> list[str]:
    """Take what fits by name and shape into another training, at the same place of the clock.

    Returns: what was not taken, in words: new weights begin as they were drawn.
    """
    missing, left = _take(trainer, tensors)
    if not missing and not left:
        stats = {name.removeprefix("stats."): t for name, t in tensors.items() if name.startswith("stats.")}
        trainer.stats.restore(stats)
    trainer.go_on_from(images, steps)
    return missing + [f"{name}, which this recipe has no place for" for name in left]


def adopt_generator(trainer: Trainer, weights: Mapping[str, Tensor], images: int, steps: int) -> list[str]:
    """Take a generator's weights, by their own names, for G and its averages; else as `adopt`."""
    nets = [name for name in _modules(trainer) if name == "g" or name.startswith("average")]
    whole = {f"{net}.{name}": weight for net in nets for name, weight in weights.items()}
    return [line for line in adopt(trainer, whole, images, steps) if line.partition(".")[0] in nets]


def _take(trainer: Trainer, tensors: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
    """Copy what fits; say what this training misses, and what the tensors hold beyond it."""
    left = {name for name in tensors if not name.startswith(("stats.", "probes."))}
    remembered = {name: t for name, t in tensors.items() if name.startswith("probes.")}
    trainer.probed = {name.removeprefix("probes."): t for name, t in remembered.items()}
    missing: list[str] = []
    for name, module in _modules(trainer).items():
        for key, own in module.state_dict().items():
            full = f"{name}.{key}"
            left.discard(full)
            if full not in tensors or tensors[full].shape != own.shape:
                what = "is missing" if full not in tensors else f"has shape {tuple(tensors[full].shape)}"
                missing.append(f"{full} {what}; the recipe's net wants {tuple(own.shape)}")
                continue
            with torch.no_grad():
                own.copy_(tensors[full])
    for learner in (trainer.g, trainer.d):
        left -= _take_moments(learner, tensors, f"{learner.side}_optimiser.")
    return missing, sorted(left)


def _modules(trainer: Trainer) -> dict[str, nn.Module]:
    averages = {  # the latest weights are no average, but the net itself
        f"average{f'-{n + 1}' if n else ''}": net
        for n, net in enumerate(trainer.averages)
        if net is not trainer.generator
    }
    return {"g": trainer.g.net, "d": trainer.d.net, **averages, **trainer.parts.modules()}


def _prefixed(name: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {f"{name}.{key}": tensor for key, tensor in tensors.items()}


def _optimiser_state(learner: Learner) -> Tensors:
    names = {id(weight): name for name, weight in learner.net.named_parameters()}
    return {
        f"{names[id(weight)]}.{key}": tensor
        for weight, state in learner.optimiser.state.items()
        for key, tensor in state.items()
    }


def _take_moments(learner: Learner, tensors: Mapping[str, Tensor], prefix: str) -> set[str]:
    """Fill the moments in the memory layout of their weights, as they were; give the names used."""
    weights = dict(learner.net.named_parameters())
    used: set[str] = set()
    learner.optimiser.state.clear()
    for name in sorted(name for name in tensors if name.startswith(prefix)):
        weight_name, _, key = name.removeprefix(prefix).rpartition(".")
        weight, saved = weights.get(weight_name), tensors[name]
        if weight is None or saved.shape not in (weight.shape, torch.Size()):
            continue
        like = weight if saved.shape == weight.shape else saved.to(weight.device)
        held = torch.empty_like(like, dtype=saved.dtype, requires_grad=False)
        learner.optimiser.state.setdefault(weight, {})[key] = held.copy_(saved)
        used.add(name)
    for weight, state in [*learner.optimiser.state.items()]:
        if len(state) < 3:  # a count of steps without its moments is worth nothing
            del learner.optimiser.state[weight]
    return used
