"""A trained generator as one object and one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from gander.chance import alone
from gander.data.batches import to_uint8
from gander.engine.guard import first_bad
from gander.engine.neighbours import heed
from gander.errors import CheckpointError, GanderError, UsageError, did_you_mean, first_line
from gander.files import digest_of, write_whole
from gander.nets.blocks import Generator, ImageShape
from gander.nets.per_class import PerClass
from gander.recipe.read import build_recipe
from gander.recipe.schema import Recipe
from gander.recipe.shipped import parse_recipe
from gander.recipe.write import portable_toml, recipe_toml
from gander.run import BEST, Run, find_run
from gander.techniques.slots import Latents

BLOCK = 256
"""Images a forward pass, of data sets always as many: a row of another batch may differ in its last bits."""


RunLike = str | Path | Run
"""A run, its name (also of a pretrained one) or path, or the file of a generator."""


@dataclass(frozen=True)
class Sampler:
    """A generator with the latents it was trained on, the names of its classes, and which weights it has."""

    generator: Generator
    latents: Latents
    classes: tuple[str, ...]
    weights: str = "latest weights"
    spread: float = 1.0  # of the latents, relative to the training's

    @property
    def conditional(self) -> bool:
        """Return whether a class can be asked for."""
        return self.generator.num_classes > 0

    def label(self, name: str) -> int:
        """Return the number of a class by name or number; UsageError with the nearest name."""
        if not self.conditional:
            raise UsageError(f'class "{name}": this generator knows no classes; leave --class away')
        if name in self.classes:
            return self.classes.index(name)
        if name.isdigit() and int(name) < self.generator.num_classes:
            return int(name)
        raise UsageError(
            f'class "{name}": there are {", ".join(self.classes)}{did_you_mean(name, self.classes)}'
        )

    def draw(self, n: int, seed: int = 0) -> Tensor:
        """Draw n latents (n, Z) from the run's own distribution; equal seeds, equal latents."""
        with alone():
            return self.latents(n, torch.Generator("cpu").manual_seed(seed)) * self.spread

    @torch.no_grad()
    def images(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Make uint8 images (N, C, H, W), on the CPU, from latents (N, Z) and, with classes, labels (N,).

        Raises: UsageError where labels are wanted and are not N whole numbers of a class.
        """
        if self.conditional:
            labels = self._checked(labels, len(latents))
        return torch.cat([*self._blocks(latents, labels if self.conditional else None)])

    def _checked(self, labels: Tensor | None, n: int) -> Tensor:
        count = self.generator.num_classes
        known = f"0 to {count - 1} ({', '.join(self.classes[:10])}{', ...' * (count > 10)})"
        hint = f"labels=torch.arange({n}) % {count}"
        if labels is None:
            raise UsageError(f"labels: this generator is asked for a class an image, {known}", hint=hint)
        if labels.shape != (n,) or labels.is_floating_point() or labels.dtype == torch.bool:
            given = f"{str(labels.dtype).removeprefix('torch.')} {tuple(labels.shape)}"
            raise UsageError(f"labels: {given}; allowed are whole numbers ({n},), {known}", hint=hint)
        wrong = labels[(labels < 0) | (labels >= count)]
        if len(wrong):
            raise UsageError(f"labels: {int(wrong[0])}; allowed are {known}", hint=hint)
        return labels

    def _blocks(self, latents: Tensor, labels: Tensor | None) -> Iterator[Tensor]:
        device = next(self.generator.parameters()).device
        was_training = self.generator.training
        self.generator.eval()
        for start in range(0, len(latents), BLOCK):
            heed()
            part = slice(start, start + BLOCK)
            classes = None if labels is None else labels[part].to(device)
            images = self.generator(latents[part].to(device), classes).float()
            yield to_uint8(images, self.generator.low, self.generator.high).cpu().contiguous()
        self.generator.train(was_training)


def load(run: RunLike, device: str = "cpu") -> Sampler:
    """Load the averaged generator of a run, or of a generator.safetensors file.

    Raises: UsageError where there is no such run or device, CheckpointError where it has no usable generator.
    """
    sampler = _load_file(weights_of(run))
    try:
        sampler.generator.to(device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for the device
        raise UsageError(f'device "{device}": {first_line(error)}', hint='device="cpu"') from None
    return sampler


def weights_of(run: RunLike) -> Path:
    """Return the file of a generator's weights, by a run, its name or path, or the file's own."""
    if isinstance(run, Run):
        return run.weights_file
    path = Path(run)
    if path.suffix == ".safetensors" and (path.is_file() or path.name != BEST):
        return path
    return find_run(str(run)).weights_file


def _load_file(path: Path) -> Sampler:
    if not path.is_file():
        raise CheckpointError(
            f"{path}: is not there; a run writes it with its first checkpoint",
            hint=f"gander resume {path.parent}",
        )
    try:
        about, tensors = read_weights(path)
        recipe = build_recipe(parse_recipe(about["recipe"], str(path)))
        image = ImageShape(about["channels"], about["size"], about["num_classes"])
        classes = tuple(about["classes"])
        generator = build_generator(recipe, image, len(classes))
        generator.load_state_dict(tensors)
    except (GanderError, SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = f"{path}: is not a generator that can be read: {first_line(error)}"
        raise CheckpointError(reason, hint=getattr(error, "hint", "")) from None
    # A tenth to a third faster on CPUs.
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Sampler(generator.eval(), recipe.latents, classes, recipe.average[0].weights)


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a generator's file; ValueError where it is not as it was written, or holds what is not finite."""
    with safetensors.safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["gander"])
    tensors = safetensors.torch.load_file(path)
    if about.pop("digest", None) not in (None, _digest(about, tensors)):  # a file of before has none
        raise ValueError("its sha256 is not the one that it was written with")
    if bad := first_bad(tensors):
        raise ValueError(f"{bad} is not finite")
    return about, tensors


def write_weights(path: Path, about: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a generator's file, and into it the hash of all that it holds."""
    text = json.dumps(about | {"digest": _digest(about, tensors)})
    write_whole(path, safetensors.torch.save(tensors, {"gander": text}))


def _digest(about: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    parts = [json.dumps(about, sort_keys=True).encode()]
    for name, tensor in sorted(tensors.items()):
        flat = tensor.contiguous().view(-1).view(torch.uint8)
        parts += [f"{name} {tensor.dtype} {[*tensor.shape]}".encode(), flat.numpy().tobytes()]
    return digest_of(b"".join(parts))


def build_generator(recipe: Recipe, image: ImageShape, num_classes: int) -> Generator:
    """Build a run's generator with untrained weights: one net, or one a class."""
    if recipe.train.per_class:
        return PerClass([build_one_generator(recipe, image) for _ in range(num_classes)])
    return build_one_generator(recipe, image)


def build_one_generator(recipe: Recipe, image: ImageShape) -> Generator:
    """Build and rewire one net with untrained weights: a run's only generator, or a class's."""
    net = recipe.generator.build(image, recipe.latents.dim)
    for rewire in recipe.rewires.generator:
        rewire(net)
    return net


def save_generator(
    path: Path, recipe: Recipe, image: ImageShape, classes: tuple[str, ...], net: Generator
) -> None:
    """Write weights and all that is needed to build the net again into one file, whole or not at all."""
    about: dict[str, Any] = {
        "recipe": recipe_toml(recipe),
        "classes": classes,
        "channels": image.channels,
        "size": image.size,
        "num_classes": image.num_classes,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    write_weights(path, about, tensors)


def copy_generator(path: Path, to: Path) -> None:
    """Copy a generator's file for others: in float32, and without the folders that it was made in."""
    about, tensors = read_weights(path)
    about["recipe"] = portable_toml(build_recipe(parse_recipe(about["recipe"], str(path))))
    tensors = {name: each.float() if each.dtype == torch.half else each for name, each in tensors.items()}
    write_weights(to, about, tensors)
