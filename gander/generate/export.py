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
from gander.errors import UsageError, did_you_mean, first_line
from gander.files import check_folder, check_free, storage_error, write_whole
from gander.generate.load import Sampler, copy_generator, load
from gander.nets.per_class import PerClass
from gander.run import Run

SUFFIXES = (".onnx", ".safetensors")
_CHECKED = 1_000  # images, beside torch's
_AT_ONCE = 250


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


def export_generator(run: Run | Path, to: Path) -> Exported:
    """Write a run's averaged generator to a new file.

    `.onnx`: latents (N, Z) float32 and, where the generator has classes, labels (N,) int64 in, images
    (N, C, S, S) uint8 out, for any N. `.safetensors`: what `gander.load` reads, and a `.json` about it.

    Raises: UsageError where the place is taken, the format is unknown or a package is missing; StorageError.
    """
    if to.suffix not in SUFFIXES:
        near = did_you_mean(to.suffix, SUFFIXES)
        raise UsageError(f'--to "{to}": allowed are names that end in {", ".join(SUFFIXES)}{near}')
    about = to.with_suffix(".json")
    check_free(*((to,) if to.suffix == ".onnx" else (to, about)))
    check_folder(to)
    sampler = load(run)
    try:
        if to.suffix == ".onnx":
            return _to_onnx(sampler, to)
        write_whole(about, (json.dumps(_description(sampler), indent=2) + "\n").encode())
        copy_generator(run.weights_file if isinstance(run, Run) else run, to)
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


class _Whole(nn.Module):
    """From latents to bytes in one net."""

    def __init__(self, sampler: Sampler) -> None:
        super().__init__()
        self.generator = sampler.generator.eval()

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        net = self.generator
        if isinstance(net, PerClass):  # a graph has no branches: every net makes every image
            assert labels is not None
            made = torch.stack([each(latents, None) for each in net.generators])
            chosen = labels.view(1, -1, 1, 1, 1).expand(1, -1, *made.shape[2:])
            images = made.gather(0, chosen)[0]
        else:
            images = net(latents, labels)
        return to_uint8(images, net.low, net.high)


def _to_onnx(sampler: Sampler, to: Path) -> Exported:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it, and says so late
    except ImportError as error:
        raise UsageError(
            f'--to "{to}": {first_line(error)}', hint="pip install onnx onnxruntime onnxscript"
        ) from None
    for layer in [*sampler.generator.modules()]:
        held = layer.parametrizations if parametrize.is_parametrized(layer) else None
        for name in [*held] if isinstance(held, nn.ModuleDict) else []:
            parametrize.remove_parametrizations(layer, name)
    net = _Whole(sampler)
    latents = sampler.draw(_CHECKED)
    labels = torch.arange(_CHECKED) % max(sampler.generator.num_classes, 1)
    given = (latents[:2], labels[:2]) if sampler.conditional else (latents[:2],)
    names = ["latents", "labels"][: len(given)]
    count = torch.export.Dim("N", min=1, max=1 << 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of packages that no net here uses
        program = torch.onnx.export(
            net,
            given,
            input_names=names,
            output_names=["images"],
            dynamic_shapes={name: {0: count} for name in names},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for key, value in _description(sampler).items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    write_whole(to, model.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # it would count the host's cores
    session = onnxruntime.InferenceSession(str(to), options, providers=["CPUExecutionProvider"])
    theirs = []
    for start in range(0, _CHECKED, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        feed = {"latents": latents[part].numpy(), "labels": labels[part].numpy()}
        theirs.append(session.run(None, {name: feed[name] for name in names})[0])
    ours = sampler.images(latents, labels).numpy().astype(np.int16)
    apart = np.abs(ours - np.concatenate(theirs))
    return Exported((to,), _CHECKED, int(apart.max()), float((apart > 0).mean()))
