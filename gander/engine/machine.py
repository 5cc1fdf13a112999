"""What a run trains on: device, precision, threads, memory format."""

from __future__ import annotations

import os
import platform
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch

from gander.chance import world_size
from gander.errors import UsageError
from gander.recipe.schema import Engine


@dataclass(frozen=True)
class Machine:
    """The choices of one run, made once."""

    device: torch.device
    precision: str
    threads: int

    @property
    def memory_format(self) -> torch.memory_format:
        """Channels last, which the convolutions of both CPUs and GPUs prefer."""
        return torch.channels_last

    def autocast(self) -> AbstractContextManager[Any]:
        """Run the nets' forward passes in the chosen precision."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def describe(self) -> dict[str, Any]:
        """Say what a reader of the run's numbers must know."""
        return {
            "gander": _version("gander-gan"),
            "torch": torch.__version__,
            "numpy": _version("numpy"),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "device": str(self.device),
            "device_name": _device_name(self.device),
            "precision": self.precision,
            "threads": self.threads,
            "processes": world_size(),
        }


def choose_machine(engine: Engine, threads: int = 0) -> Machine:
    """Pick what is there; `threads` is what the run used before, which its bits depend on.

    Raises: UsageError where the recipe asks for a device that is not there.
    """
    there = _devices()
    name = next(iter(there)) if engine.device == "auto" else engine.device
    if name not in there:
        raise UsageError(
            f'engine.device = "{name}": there is none; there are: {", ".join(there)}',
            hint=f"engine.device={next(iter(there))}",
        )
    bf16 = name == "cuda" and torch.cuda.is_bf16_supported()
    precision = ("bf16" if bf16 else "float32") if engine.precision == "auto" else engine.precision
    count = engine.threads or threads or _share_of_cores()
    torch.set_num_threads(count)
    index = torch.cuda.current_device() if name == "cuda" else None
    return Machine(torch.device(name) if index is None else torch.device(name, index), precision, count)


def wants_cuda(engine: Engine) -> bool:
    """Tell, before anything is started, whether the run will be on a CUDA device."""
    return engine.device in ("auto", "cuda") and torch.cuda.is_available()


def _devices() -> list[str]:
    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if torch.cuda.is_available():
        there.insert(0, "cuda")
    return there


def _share_of_cores() -> int:
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:  # used from a checkout that is not installed
        return "unknown"
