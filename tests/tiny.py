"""A training that takes half a second, in flavours that between them hold every kind of state."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gander.cli.main import main
from gander.errors import Interrupted
from gander.patch import apply_patch
from gander.recipe.read import build_recipe
from gander.recipe.schema import Recipe
from gander.recipe.write import recipe_toml
from gander.run import Run
from gander.training.loop import train
from gander.training.watcher import Watcher

STEPS, BATCH = 12, 8

_PLAIN: dict[str, Any] = {
    "title": "tiny",
    "latents": {"kind": "normal", "dim": 4},
    "generator": {
        "kind": "stack",
        "batch_norm": True,
        "bias": False,
        "layers": [{"kind": "dense", "width": 8, "size": 2}, {"kind": "transposed", "width": 4}],
        "output": {"kind": "transposed", "kernel": 4, "stride": 2},
    },
    "discriminator": {
        "kind": "stack",
        "bias": False,  # in front of batch norm it has no slope but rounding, which Adam makes steps of
        "layers": [
            {"kind": "conv", "width": 4, "kernel": 4, "stride": 2},
            {"kind": "conv", "width": 8, "kernel": 4, "stride": 2, "batch_norm": True},
            {"kind": "dropout", "rate": 0.3},
        ],
    },
    "train": {"images": STEPS * BATCH, "batch": BATCH, "g_lr": 0.002, "d_lr": 0.002},
    "every": {"log": 5 * BATCH, "samples": 6 * BATCH, "save": 4 * BATCH},
    "samples": {"rows": 1, "columns": 12},
    "evaluate": {"every": 0},
    "engine": {
        "device": "cpu",
        "precision": "float32",
        "memory": "channels_last",
        "threads": 1,
        "compiled": "off",
    },
}
_NO_BATCH_NORM = {"discriminator.layers.1.batch_norm": False}
_EMA = {"kind": "ema", "half_life": 50.0}

FLAVOURS: dict[str, dict[str, Any]] = {
    "plain": {},
    "projection": _NO_BATCH_NORM
    | {
        "generator.labels": "concatenated",
        "discriminator.labels": "projected",
        "rewires.discriminator": [{"kind": "spectral_norm"}],
        "objective": "hinge",
        "average": _EMA,
        "views": [{"kind": "instance_noise", "sigma": 0.2}, {"kind": "diffaugment", "share": 0.7}],
    },
    "lecam": _NO_BATCH_NORM
    | {"penalties": [{"kind": "lecam"}, {"kind": "r1", "every": 3}], "average": _EMA, "data.mirror": True},
    "separate": {
        "train.d_update": "separate",
        "train.images": STEPS * BATCH // 2,
        "generator.labels": "concatenated",
        "discriminator.labels": "projected",
        "objective": {
            "kind": "flip",
            "share": 0.3,
            "inner": {"kind": "smooth", "real": [0.8, 1.2], "fake": [0.0, 0.3]},
        },
    },
    "per class": {"train.per_class": True, "train.d_update": "separate", "train.images": STEPS * BATCH // 2},
    "class head": {
        "train.d_update": "shared",
        "generator.labels": "concatenated",
        "discriminator.labels": "head",
        "penalties": [{"kind": "auxiliary_classifier"}],
    },
    "slicing": {
        "generator.labels": "batch_norm",
        "generator.layers": [
            {"kind": "dense", "width": 8, "size": 2},
            {"kind": "transposed", "width": 4},
            {"kind": "excite", "behind": 0},
        ],
        "generator.output": {"kind": "pixel_shuffle", "stride": 2},
        "discriminator.labels": "projected",
        "discriminator.san": True,
        "discriminator.layers": [
            {"kind": "pixel_unshuffle"},
            {"kind": "conv", "width": 8, "stride": 2},
            {"kind": "dropout", "rate": 0.3},
            {"kind": "minibatch_deviation"},
        ],
        "views": ["diffaugment"],
        "penalties": [{"kind": "consistency", "fakes": True}],
        "average": _EMA,
    },
    "features": _NO_BATCH_NORM
    | {
        "train.d_update": "shared",
        "generator.labels": "concatenated",
        "discriminator.labels": "projected",
        "features": {"kind": "classes", "epochs": 1, "width": 4},
        "train.d_lr": 0.0003,  # kernels as large as their maps have hardly a slope, of which Adam makes steps
        "penalties": ["energy_distance", "classifier_guidance"],
    },
    "d_steps": _NO_BATCH_NORM
    | {
        "train.d_steps": 2,
        "train.images": STEPS * BATCH * 2,
        "train.g_lr": {"from": 0.002, "to": 0.0, "over": STEPS * BATCH * 2},
        "objective": "relativistic",
        "penalties": [{"kind": "r1"}, {"kind": "r2"}],
        "rewires.generator": [{"kind": "orthogonal_init"}, {"kind": "clip_gradients", "norm": 0.5}],
        "latents.kind": "uniform",
        "average": _EMA,
    },
}


RESIDUAL: dict[str, Any] = {
    "generator": {"kind": "residual", "width": 8, "blocks": 2, "labels": "batch_norm"},
    "discriminator": {"kind": "residual", "width": 8, "blocks": 2, "labels": "projected"},
    "rewires.discriminator": [{"kind": "spectral_norm"}],
    "objective": "hinge",
}
"""Edits of `plain` for nets of blocks that are given labels."""


def tiny(folder: Path, flavour: str = "plain", patch: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe on 64 images of 8 x 8 in two classes, written into `folder`."""
    data = folder / "data.npz"
    if not data.exists():
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (64, 8, 8, 3), np.uint8)
        np.savez(data, images=images, labels=np.arange(64) % 2, classes=["circle", "square"])
    return build_recipe(
        apply_patch(_PLAIN, {"data": {"path": str(data)}} | FLAVOURS[flavour] | dict(patch or {}))
    )


def tiny_file(folder: Path, flavour: str = "plain", patch: Mapping[str, Any] | None = None) -> str:
    """The path of such a recipe as a file."""
    path = folder / "tiny.toml"
    path.write_text(recipe_toml(tiny(folder, flavour, patch)))
    return str(path)


class Stop(Watcher):
    """Ask this process to end, as a person does with a signal, after so many steps."""

    def __init__(self, steps: int = 1, number: int = signal.SIGTERM) -> None:
        self.steps_left, self.number = steps, number

    def stepped(self, images: int) -> None:
        self.steps_left -= 1
        if self.steps_left == 0:
            os.kill(os.getpid(), self.number)


class Notes(Watcher):
    """Keep what is told before the first step."""

    def started(self, run: Run, images: int, total: int, notes: list[str]) -> None:
        self.notes = notes


def stopped_run(recipe: Recipe, path: Path, steps: int) -> Run:
    """A run that was interrupted after so many steps."""
    with pytest.raises(Interrupted):
        train(recipe, path, Stop(steps))
    return Run(path)


def contents(run: Run) -> dict[str, Any]:
    """All of a run that must not depend on how, or how often, it was interrupted."""
    newest = max(run.checkpoints.glob("images-*"))
    files = [run.recipe_file, run.reals_file, run.generator_file, *run.sheets(), *newest.iterdir()]
    found: dict[str, Any] = {str(file.relative_to(run.path)): file.read_bytes() for file in files}
    rows = [json.loads(line) for line in run.log_file.read_text().splitlines()]
    clocks = ("seconds", "speed/images_per_second")
    return found | {"log": [{name: row[name] for name in row if name not in clocks} for row in rows]}


# Forks from a server that has imported torch, and done nothing with it, start in milliseconds.
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(
    ["pytest", "torch._dynamo", "gander.pictures.charts", "gander.cli.training", __name__]
)


def start(
    work: Callable[..., object], *given: Any, output: Path = Path(os.devnull), **env: str
) -> multiprocessing.process.BaseProcess:
    """Do work in a process, and group, of its own."""
    process = _server.Process(target=_child, args=(work, given, str(output), dict(os.environ) | env))
    process.start()
    return process


def finish(process: multiprocessing.process.BaseProcess) -> int:
    """Wait for a process; give its exit code, or minus the signal that killed it."""
    process.join(120)
    assert process.exitcode is not None, "a process hangs"
    return process.exitcode


def _child(work: Callable[..., object], given: tuple[Any, ...], output: str, env: dict[str, str]) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(env)
    with open(output, "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    work(*given)


def command(*words: str) -> None:
    """The command line, in this process; ends it with the exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that run under nohup leave it ignored
    sys.argv = ["gander", *words]
    main()
