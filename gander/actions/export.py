"""A generator for other programs: ONNX, or safetensors with a description in JSON."""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gander.data.batches import to_uint8
from gander.errors import NumericsError, UsageError, did_you_mean, first_line
from gander.files import check_folder, check_free, storage_error, write_whole
from gander.generation.load import RunLike, Sampler, copy_generator, load, weights_of
from gander.nets.per_class import PerClass

SUFFIXES = (".onnx", ".safetensors")
_COMPARED = 1_000  # images
_AT_ONCE = 250
_MOST_APART = 1
"""Levels of 255. Both sum in float32, each in its own order, so that a value halfway between two levels may
be rounded to either; what is further apart comes from another net."""


@dataclass(frozen=True)
class Exported:
    """What was written, and how it compares with torch; safetensors are the same, and not compared.

    Args:
        largest: difference of a pixel value, of 0 to 255.
        differing: share of pixel values that differ at all.
    """

    files: tuple[Path, ...]
    images: int = 0
    largest: int = 0
    differing: float = 0.0


def export(run: RunLike, to: str | Path, device: str = "cpu") -> Exported:
    """Write a run's averaged generator to a new file.

    `.onnx`: latents (N, Z) float32 and, where the generator has classes, labels (N,) int64 in, images
    (N, C, S, S) uint8 out, for any N. `.safetensors`: what `gander.load` reads, and a `.json` about it.

    Args:
        device: where torch makes the images that those of ONNX are compared with.

    Raises: UsageError where the place is taken, the format is unknown or a package is missing; NumericsError
        where ONNX makes other images than torch; StorageError. Nothing is written then.
    """
    to = Path(to)
    if to.suffix not in SUFFIXES:
        near = did_you_mean(to.suffix, SUFFIXES)
        raise UsageError(f'--to "{to}": allowed are names that end in {", ".join(SUFFIXES)}{near}')
    about = to.with_suffix(".json")
    check_free(*((to,) if to.suffix == ".onnx" else (to, about)))
    check_folder(to)
    sampler = load(run)
    try:
        if to.suffix == ".onnx":
            model = _onnx(sampler, to)
            exported = _compared(model, load(run, device), to)
            write_whole(to, model)
            return exported
        write_whole(about, (json.dumps(_description(sampler), indent=2) + "\n").encode())
        copy_generator(weights_of(run), to)
    except OSError as error:
        raise storage_error(error, to) from None
    return Exported((to, about))


def _description(sampler: Sampler) -> dict[str, object]:
    generator = sampler.generator
    return {
        "latents": sampler.latents.model_dump(),
        "classes": [*sampler.classes] if sampler.conditional else [],
        "input": {
            "latents": ["N", generator.latent_dim],
            **({"labels": ["N"]} if sampler.conditional else {}),
        },
        "output": "uint8 (N, C, S, S)",
        "tensors": {name: [*tensor.shape] for name, tensor in generator.state_dict().items()},
    }


class _ToBytes(nn.Module):
    def __init__(self, sampler: Sampler) -> None:
        super().__init__()
        self.generator = sampler.generator.eval()

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        net = self.generator
        if isinstance(net, PerClass):  # a graph has no branches: every net makes every image
            assert labels is not None
            every = torch.stack([each(latents, None) for each in net.generators])
            chosen = labels.view(1, -1, 1, 1, 1).expand(1, -1, *every.shape[2:])
            images = every.gather(0, chosen)[0]
        else:
            images = net(latents, labels)
        return to_uint8(images, net.low, net.high)


def _onnx(sampler: Sampler, to: Path) -> bytes:
    try:
        import onnxruntime  # noqa: F401 - wanted later, and better missed now
        import onnxscript  # noqa: F401 - torch's exporter needs it, and says so late
    except ImportError as error:
        raise UsageError(
            f'--to "{to}": {first_line(error)}', hint="pip install onnx onnxruntime onnxscript"
        ) from None
    for layer in [*sampler.generator.modules()]:
        held = layer.parametrizations if parametrize.is_parametrized(layer) else None
        for name in [*held] if isinstance(held, nn.ModuleDict) else []:
            parametrize.remove_parametrizations(layer, name)
    inputs = _inputs(sampler, 2)
    count = torch.export.Dim("N", min=1, max=1 << 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of packages that no net here uses
        program = torch.onnx.export(
            _ToBytes(sampler),
            tuple(inputs.values()),
            input_names=[*inputs],
            output_names=["images"],
            dynamic_shapes={name: {0: count} for name in inputs},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for key, value in _description(sampler).items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    serialized: bytes = model.SerializeToString()
    return serialized


def _inputs(sampler: Sampler, n: int) -> dict[str, Tensor]:
    latents = {"latents": sampler.draw(n)}
    classes = sampler.generator.num_classes
    return latents | ({"labels": torch.arange(n) % classes} if sampler.conditional else {})


def _compared(model: bytes, sampler: Sampler, to: Path) -> Exported:
    """Run the model beside torch; NumericsError where it makes other images."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # it would count the host's cores
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    inputs = _inputs(sampler, _COMPARED)
    ours = sampler.images(inputs["latents"], inputs.get("labels")).numpy().astype(np.int16)
    theirs = []
    for start in range(0, _COMPARED, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        theirs.append(session.run(None, {name: values[part].numpy() for name, values in inputs.items()})[0])
    apart = np.abs(ours - np.concatenate(theirs))
    if apart.max() > _MOST_APART:
        raise NumericsError(
            f"{to}: not written, for ONNX makes other images than torch: values up to {apart.max()} of 255 "
            f"apart; {_MOST_APART} is what rounding explains",
            hint=f"--to {to.with_suffix('.safetensors')}, and please report it with the run's recipe",
        )
    return Exported((to,), _COMPARED, int(apart.max()), float((apart > 0).mean()))
