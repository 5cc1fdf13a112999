"""The generators that a run has kept: the newest, the best, further averages, those of checkpoints."""

from __future__ import annotations

import copy
import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace

from gander.errors import CheckpointError
from gander.files import file_digest
from gander.generation.load import Sampler, load
from gander.recipe.read import read_recipe
from gander.run import Run
from gander.training.checkpoint import read_checkpoint


@dataclass(frozen=True)
class Kept:
    """A generator of a run, the sha256 of its file or tensors, and how many images it was trained with."""

    name: str
    sampler: Sampler
    digest: str
    images: int


def meant_generator(run: Run) -> Kept:
    """Load the generator that is meant; CheckpointError where it cannot be read."""
    return Kept(run.name, load(run), file_digest(run.weights_file), run.trained_images())


def kept_generators(run: Run) -> list[Kept]:
    """Load all that differ and can be read, the one that is meant first; of one net a class, only files."""
    files = [run.best_file, run.path / Run.weights, *sorted(run.path.glob("average-?.safetensors"))]
    kept = [meant_generator(run)]
    kept += [meant_generator(replace(run, weights=file.name)) for file in files if file.is_file()]
    like, saved = kept[0].sampler, [] if read_recipe(run).train.per_class else run.saved_images()
    for images in reversed(saved):
        with suppress(CheckpointError):  # a damaged one is none
            tensors = read_checkpoint(run, images).tensors
            for prefix, weights in (("average.", "averaged weights"), ("g.", "latest weights")):
                own = {name[len(prefix) :]: part for name, part in tensors.items() if name.startswith(prefix)}
                if own:
                    net = copy.deepcopy(like.generator)
                    net.load_state_dict(own)
                    sampler = replace(like, generator=net, weights=weights)
                    name = f"{run.path.name}@{images} {weights}"
                    kept.append(Kept(name, sampler, _content(sampler), images))
    different: dict[str, Kept] = {}
    for one in kept:
        different.setdefault(_content(one.sampler), one)
    return [*different.values()]


def _content(sampler: Sampler) -> str:
    tensors = sampler.generator.state_dict().items()
    parts = [name.encode() + tensor.contiguous().numpy().tobytes() for name, tensor in tensors]
    return hashlib.sha256(b"".join(parts)).hexdigest()
