"""The nets from inside: units that are never active, and the singular values of weights as they are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gander.nets.rewires import weighted_layers
from gander.training.learner import Learner

if TYPE_CHECKING:
    from gander.training.probes.scene import ProbeScene
    from gander.training.trainer import Trainer

Numbers = dict[str, Tensor]
_RECTIFIERS = (F.relu, F.leaky_relu, torch.relu, torch.relu_)
_ACTIVE = 0.01  # of the places; SageMaker Debugger's DeadRelu has the same bound
_LEAST = 0.1  # of the largest singular value


class Activity(TorchFunctionMode):
    """Notes the share of places at which each unit of each rectifier is active, in the order of the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: list[Tensor] = []
        self.paused = False

    def __torch_function__(self, called: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = called(*args, **(kwargs or {}))
        if called in _RECTIFIERS and not self.paused:
            active = (result.detach() > 0).float()
            self.layers.append(active.mean([axis for axis in range(active.dim()) if axis != 1]))
        return result


@contextmanager
def activity(net: nn.Module) -> Iterator[list[Tensor]]:
    """Note the activity of the parts of a net that learn; those that came frozen are in evaluation mode."""
    mode = Activity()

    def pause(_: nn.Module, __: Any) -> None:
        mode.paused = True

    def go_on(_: nn.Module, __: Any, ___: Any) -> None:
        mode.paused = False

    frozen = [part for part in net.children() if not part.training and net.training]
    hooks = [part.register_forward_pre_hook(pause) for part in frozen]
    hooks += [part.register_forward_hook(go_on) for part in frozen]
    try:
        with mode:
            yield mode.layers
    finally:
        for hook in hooks:
            hook.remove()


def dead_units(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give the share of dead units in the worst layer of each net; a unit of D lives if any kind wakes it."""
    numbers: Numbers = {}
    for side, kinds in scene.active.items():
        layers = [torch.stack(same).amax(0) for same in zip(*kinds, strict=True)]
        if layers:
            numbers[f"dead_{side}"] = torch.stack([(each < _ACTIVE).double().mean() for each in layers]).max()
    return numbers


def singular_values(trainer: Trainer, scene: ProbeScene) -> Numbers:
    """Give the largest singular value of each net's layers, and the least share of large ones in D's.

    Source: Brock et al. 2018, section 4.1 (those of G); Liu et al. 2019 (SR-GAN; those of D).
    """
    of_g, of_d = (spectra(learner) for learner in (trainer.g, trainer.d))
    shares = [(values > _LEAST * values.max()).double().mean() for values in of_d]
    return {
        "sigma_g": torch.stack([values.max() for values in of_g]).max(),
        "sigma_d": torch.stack([values.max() for values in of_d]).max(),
        "rank_d": torch.stack(shares).min(),
    }


@torch.no_grad()
def spectra(learner: Learner) -> list[Tensor]:
    """Give the singular values of every layer that learns, each as one matrix of outputs by inputs."""
    learned, found = {id(weight) for weight in learner.weights}, []
    for layer in weighted_layers(learner.net):
        if not learned.intersection(map(id, layer.parameters())):
            continue  # it came frozen
        weight = layer.weight
        assert isinstance(weight, Tensor)
        matrix = (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)
        gram = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
        found.append(torch.linalg.eigvalsh(gram.double()).clamp(min=0).sqrt())
    return found
