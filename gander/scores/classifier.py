"""A small classifier and how it is trained: descent with momentum, at a rate that rises and falls once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from gander.data.images import Images
from gander.data.names import NAMED
from gander.engine.exact import exact
from gander.engine.machine import Machine
from gander.errors import DataError
from gander.files import write_whole
from gander.scores.judge import JudgeNet, training_and_held_out

_WARM_UP = 0.2  # of the training, in which the rate rises
_IMAGES, _MOST_EPOCHS = 1_000_000, 100
_LEAST_BATCH, _BATCH = 16, 250
_AT_ONCE = 500  # images a forward pass
_GREY = 128
_LEAST_OF_CLASS = 10
_MIRRORED = (NAMED["cifar10"].classes, NAMED["fashion-mnist"].classes)  # a mirrored 3 is no 3


@dataclass(frozen=True)
class Hyperparameters:
    """How long and how fast, and which changes leave an image what it is.

    `mirror` flips half of the images left to right; `shift` moves them by up to so many pixels; `cut` paints
    a grey square of so many pixels a side anywhere, in part perhaps beyond the edge.
    """

    epochs: int = 20
    batch: int = _BATCH
    rate: float = 0.2
    decay: float = 5e-4
    smoothing: float = 0.1
    mirror: bool = False
    shift: int = 2
    cut: int = 0
    width: int = 48
    seed: int = 0


class Labelled(NamedTuple):
    """Images (N, C, S, S) uint8 with the numbers of their classes (N,)."""

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


def split_data(images: Images) -> tuple[Labelled, Labelled]:
    """Divide a data set into the training set, and the tenth of each class that is held out.

    Raises: DataError where the data have no two classes of at least ten images.
    """
    if images.labels is None or len(images.classes) < 2:
        raise DataError(f"{images.source}: a classifier tells classes apart, and here are none")
    for name, count in zip(images.classes, images.counts(), strict=True):
        if count < _LEAST_OF_CLASS:
            raise DataError(f"{images.source}: class {name} has {count} images, and a classifier needs ten")
    training, aside = training_and_held_out(images)
    return (
        Labelled(images.pixels[training], images.labels[training]),
        Labelled(images.pixels[aside], images.labels[aside]),
    )


class Classifier:
    """A classifier in training.

    Args:
        training_set: what it learns from.
        num_classes: how many there are.
        settings: how it is trained.
        machine: where.
        net: uint8 images (N, C, S, S) in, logits (N, K) out; None is a new judge's.
    """

    def __init__(
        self,
        training_set: Labelled,
        num_classes: int,
        settings: Hyperparameters,
        machine: Machine,
        net: nn.Module | None = None,
    ) -> None:
        self.settings = settings
        self.machine = machine
        self.learn_from(training_set)
        torch.manual_seed(settings.seed)
        net = net or JudgeNet(training_set.pixels.shape[1], num_classes, settings.width)
        self.net: Any = net.to(machine.device, memory_format=machine.memory_format)  # type: ignore[call-overload]
        # Batch norm and biases want no decay: their size is no measure of how complicated the net is.
        groups: list[dict[str, Any]] = [
            {"params": [weight for weight in self.net.parameters() if weight.ndim > 1]},
            {"params": [weight for weight in self.net.parameters() if weight.ndim == 1], "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.SGD(
            groups,
            weight_decay=settings.decay,
            lr=settings.rate,
            momentum=0.9,
            nesterov=True,
        )
        self.epoch = 0

    def learn_from(self, training_set: Labelled) -> None:
        """Take another training set from the next epoch on."""
        self._pixels = torch.from_numpy(training_set.pixels).to(self.machine.device)
        self._labels = torch.from_numpy(training_set.labels).to(self.machine.device)

    @property
    def finished(self) -> bool:
        """All epochs are done."""
        return self.epoch >= self.settings.epochs

    def train_epoch(self, progress: Callable[[int], object] = lambda more: None) -> float:
        """Go through the training set once; `progress` hears of more images. Give the mean loss."""
        self.net.train()
        rng = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self._labels), generator=rng)
        batches = len(order) // self.settings.batch
        total = torch.zeros((), device=self.machine.device)
        for number in range(batches):
            self._set_rate((self.epoch + number / batches) / self.settings.epochs)
            chosen = order[number * self.settings.batch :][: self.settings.batch].to(self.machine.device)
            total += self._step(self._augmented(self._pixels[chosen], rng), self._labels[chosen])
            progress(self.settings.batch)
        self.epoch += 1
        return total.item() / batches

    def _set_rate(self, progress: float) -> None:
        share = progress / _WARM_UP if progress < _WARM_UP else (1 - progress) / (1 - _WARM_UP)
        for group in self._optimiser.param_groups:
            group["lr"] = self.settings.rate * share

    def _step(self, pixels: Tensor, labels: Tensor) -> Tensor:
        self.machine.begin_step()
        with self.machine.autocast():
            logits = self.net(pixels)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.settings.smoothing)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return loss.detach()

    def _augmented(self, pixels: Tensor, rng: torch.Generator) -> Tensor:
        """Shift and cut every image, and mirror half of them where that is allowed.

        Source: DeVries and Taylor 2017 (the cut).
        """
        count, _, size, _ = pixels.shape
        reach = self.settings.shift
        padded = F.pad(pixels.float(), [reach] * 4, mode="reflect").to(torch.uint8) if reach else pixels
        along = torch.arange(size)
        moves = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=rng)
        rows, columns = moves[0] + along, moves[1] + along
        if self.settings.mirror:
            turned = torch.rand(count, 1, generator=rng) < 0.5
            columns = torch.where(turned, columns.flip(1), columns)
        where = torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]
        number, row, column = (index.to(pixels.device) for index in where)
        augmented = padded.permute(0, 2, 3, 1)[number, row, column].permute(0, 3, 1, 2)
        if self.settings.cut:
            middle = torch.randint(0, size, (2, count, 1), generator=rng)
            down, across = ((along - middle).abs() * 2 + 1 <= self.settings.cut).to(pixels.device)
            augmented = augmented.masked_fill((down[:, :, None] & across[:, None])[:, None], _GREY)
        return augmented

    @exact()
    @torch.inference_mode()
    def predict(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        """Give the class (N,) that it takes each image for."""
        self.net.eval()
        parts = torch.split(torch.from_numpy(pixels), _AT_ONCE)
        return torch.cat([self.net(part.to(self.machine.device)).argmax(1).cpu() for part in parts])

    def accuracy(self, test: Labelled) -> float:
        """Give the share of images that it names rightly."""
        return (self.predict(test.pixels) == torch.from_numpy(test.labels)).double().mean().item()

    def save(self, path: Path) -> None:
        """Write all that the next epoch depends on."""
        tensors = {f"net.{name}": tensor for name, tensor in self.net.state_dict().items()}
        for name, weight in self.net.named_parameters():
            tensors[f"momentum.{name}"] = self._optimiser.state[weight]["momentum_buffer"]
        tensors["epoch"] = torch.tensor(self.epoch)
        here = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, safetensors.torch.save(here))

    def restore(self, path: Path) -> bool:
        """Take up what was saved; False, and a fresh start, where there is nothing that fits."""
        fresh = {name: tensor.clone() for name, tensor in self.net.state_dict().items()}
        try:
            tensors = safetensors.torch.load_file(path)
            self.net.load_state_dict(
                {name[4:]: tensor for name, tensor in tensors.items() if name.startswith("net.")}
            )
            for name, weight in self.net.named_parameters():
                held = torch.empty_like(weight, requires_grad=False)
                self._optimiser.state[weight]["momentum_buffer"] = held.copy_(tensors[f"momentum.{name}"])
            self.epoch = int(tensors["epoch"])
        except (OSError, SafetensorError, KeyError, RuntimeError):
            self.net.load_state_dict(fresh)
            self._optimiser.state.clear()
            return False
        return True


def default_batch(count: int) -> int:
    """Give a batch that leaves small data, too, some steps an epoch."""
    return min(max(_LEAST_BATCH, count // 40), _BATCH)


def may_be_mirrored(images: Images) -> bool:
    """Tell whether a mirrored image is known to keep its class."""
    return images.classes in _MIRRORED


def default_hyperparameters(
    images: Images, epochs: int | None, mirror: bool | None, seed: int
) -> Hyperparameters:
    """Give those of a judge: about a million images in all, mirrored only where that is known to be right.

    Shifts reach an eighth of an image, and cuts a quarter, a pixel less where that is even.
    """
    return Hyperparameters(
        epochs=epochs or min(max(4, round(_IMAGES / len(images))), _MOST_EPOCHS),
        batch=default_batch(len(images)),
        mirror=may_be_mirrored(images) if mirror is None else mirror,
        shift=images.size // 8,
        cut=images.size // 4,
        seed=seed,
    )
