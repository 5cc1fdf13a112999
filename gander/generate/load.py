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
from gander.errors import CheckpointError, GanderError, UsageError, did_you_mean, first_line
from gander.files import write_whole
from gander.nets.blocks import Generator, ImageShape
from gander.nets.per_class import PerClass
from gander.recipe.read import build_recipe
from gander.recipe.schema import Recipe
from gander.recipe.shipped import parse_recipe
from gander.recipe.write import portable_toml, recipe_toml
from gander.run import BEST, Run, find_run
from gander.techniques.slots import Latents

_AT_ONCE = 256  # images a forward pass


@dataclass(frozen=True)
class Sampler:
    """A generator with the latents it was trained on, the names of its classes, and which weights it has."""

    generator: Generator
    latents: Latents
    classes: tuple[str, ...]
    weights: str = "latest weights"

    @property
    def conditional(self) -> bool:
        """Tell whether a class can be asked for."""
        return self.generator.num_classes > 0

    def label(self, name: str) -> int:
        """Give the number of a class by name or number; UsageError with the nearest name."""
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
            return self.latents(n, torch.Generator("cpu").manual_seed(seed))

    @torch.no_grad()
    def images(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Make uint8 images (N, C, H, W), on the CPU, from latents (N, Z) and labels (N,)."""
        return torch.cat([*self._portions(latents, labels)])

    def _portions(self, latents: Tensor, labels: Tensor | None) -> Iterator[Tensor]:
        device = next(self.generator.parameters()).device
        was_training = self.generator.training
        self.generator.eval()
        for start in range(0, len(latents), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            told = None if labels is None or not self.conditional else labels[part].to(device)
            made = self.generator(latents[part].to(device), told).float()
            yield to_uint8(made, self.generator.low, self.generator.high).cpu().contiguous()
        self.generator.train(was_training)


def load(run: str | Path | Run) -> Sampler:
    """Load the averaged generator of a run, or of a generator.safetensors file, onto the CPU.

    Raises: UsageError where there is no such run, CheckpointError where it holds no usable generator.
    """
    if isinstance(run, Run):
        return _load_file(run.weights_file)
    path = Path(run)
    if path.suffix == ".safetensors" and (path.is_file() or path.name != BEST):
        return _load_file(path)
    return _load_file(find_run(str(run)).weights_file)


def _load_file(path: Path) -> Sampler:
    if not path.is_file():
        raise CheckpointError(
            f"{path}: is not there; a run writes it with its first checkpoint",
            hint=f"gander resume {path.parent}",
        )
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["gander"])
        tensors = safetensors.torch.load_file(path)
        recipe = build_recipe(parse_recipe(about["recipe"], str(path)))
        image = ImageShape(about["channels"], about["size"], about["num_classes"])
        classes = tuple(about["classes"])
        generator = build_generator(recipe, image, len(classes))
        generator.load_state_dict(tensors)
    except (GanderError, SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        told = f"{path}: is not a generator that can be read: {first_line(error)}"
        raise CheckpointError(told, hint=getattr(error, "hint", "")) from None
    # A tenth to a third faster on CPUs.
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Sampler(generator.eval(), recipe.latents, classes, recipe.averages[0].weights)


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
    write_whole(path, safetensors.torch.save(tensors, {"gander": json.dumps(about)}))


def copy_generator(path: Path, to: Path) -> None:
    """Copy a generator's file for others: it tells nothing of the folders that it was made in."""
    with safetensors.safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["gander"])
    about["recipe"] = portable_toml(build_recipe(parse_recipe(about["recipe"], str(path))))
    write_whole(to, safetensors.torch.save(safetensors.torch.load_file(path), {"gander": json.dumps(about)}))
