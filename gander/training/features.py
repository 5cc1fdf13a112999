"""The frozen features of a training: learned from its own images before it begins, or found in the cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from gander.data.images import Images
from gander.data.progress import progress
from gander.data.store import cache_folder, storage_errors
from gander.engine.distributed import first_then_others
from gander.engine.machine import Machine
from gander.files import file_digest, write_whole
from gander.nets.features import FeatureNet, Features
from gander.scores.classifier import Classifier, Hyperparameters, Labelled, may_be_mirrored, split_data
from gander.training.trainer import Trainer

_RATE, _BATCH = 0.1, 100


@dataclass(frozen=True)
class Learned:
    """A frozen net's weights by name, and what a run must say of it."""

    weights: dict[str, Tensor]
    record: dict[str, Any]


class _Scaled(nn.Module):
    """A feature net as a classifier: uint8 images (N, C, S, S) in, logits (N, K) out."""

    def __init__(self, net: FeatureNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor | None:
        scaled = images.float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)
        return self.net.logits(self.net(scaled))


def with_features(trainer: Trainer, images: Images) -> Trainer:
    """Give a trainer whose discriminator holds the frozen net that its recipe asks for, if it does."""
    if trainer.recipe.features is not None:
        learned = learn_features(trainer.recipe.features, images, trainer.machine)
        own = trainer.d.net.features
        own.load_state_dict({name: learned.weights[name] for name in own.state_dict()})
        trainer.ancestry = [learned.record]
    return trainer


def learn_features(features: Features, images: Images, machine: Machine) -> Learned:
    """Give the net of a recipe's `features` for these images, trained now or before.

    Raises: DataError where its task needs classes and there are none; StorageError.
    """
    # Other threads or precisions end in other bits, and a run's must not depend on which came first.
    where = [str(machine.device), machine.precision, machine.threads]
    key = {"design": 2, "data": images.digest, "on": where, **features.model_dump(exclude={"weight"})}
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    path = cache_folder() / "features" / f"{name}.safetensors"

    def made() -> Learned:
        learned = _read(path)
        if learned is None:
            _write(path, features, images, machine)
            learned = _read(path)
            assert learned is not None
        return learned

    found: Learned = first_then_others(made)
    return found


def _read(path: Path) -> Learned | None:
    """Read a net that was kept; None where there is none that is whole."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            record = json.loads(file.metadata()["features"])
        weights = safetensors.torch.load_file(path)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return Learned(weights, {**record, "digest": file_digest(path)})


def _write(path: Path, features: Features, images: Images, machine: Machine) -> None:
    torch.manual_seed(features.seed)
    count = {"classes": len(images.classes), "rotations": 4}.get(features.task or "", 0)
    net = FeatureNet(images.channels, features.width, count)
    record: dict[str, Any] = {
        "kind": f"features.{features.kind}",
        "design": "FeatureNet",
        "data": images.digest,
        "seed": features.seed,
    }
    if features.task is not None:
        training_set, held_out = split_data(images) if features.task == "classes" else _turned(images)
        settings = Hyperparameters(
            epochs=features.epochs,
            batch=min(_BATCH, max(16, len(training_set.labels) // 40)),
            rate=_RATE,
            mirror=features.task == "classes" and may_be_mirrored(images),
            shift=images.size // 8,
            seed=features.seed,
        )
        classifier = Classifier(training_set, count, settings, machine, _Scaled(net))
        title = f"Learning features of {images.source}"
        with progress(title, features.epochs * len(training_set.labels)) as advance:
            while not classifier.finished:
                classifier.train_epoch(advance)
        record |= {"accuracy": round(classifier.accuracy(held_out), 4), "epochs": features.epochs}
    weights = {key: tensor.cpu().contiguous() for key, tensor in net.state_dict().items()}
    with storage_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, safetensors.torch.save(weights, {"features": json.dumps(record)}))


def _turned(images: Images) -> tuple[Labelled, Labelled]:
    """Turn every image by a random number of quarters, which is its label; the last tenth is held out."""
    rng = np.random.default_rng(0)
    quarters = rng.integers(0, 4, len(images))
    pixels = np.array(images.pixels)
    for quarter in range(1, 4):
        chosen = quarters == quarter
        pixels[chosen] = np.rot90(pixels[chosen], quarter, (2, 3))
    cut = len(pixels) - len(pixels) // 10
    return Labelled(pixels[:cut], quarters[:cut]), Labelled(pixels[cut:], quarters[cut:])
