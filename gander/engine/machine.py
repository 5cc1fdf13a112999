"""What a run trains on: device, precision, memory format, threads, compiled or not."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gander.chance import rank, world_size
from gander.errors import UsageError
from gander.recipe.schema import Engine

CHOICES = ("precision", "memory", "threads", "compiled")
"""What is chosen beside the device; the bits of a run depend on each."""


@dataclass(frozen=True)
class Machine:
    """The choices of one run."""

    device: torch.device
    precision: str = "float32"
    threads: int = 1
    memory: str = "channels_last"
    compiled: str = "off"

    @property
    def memory_format(self) -> torch.memory_format:
        """Give torch's name of how images and weights lie in memory."""
        return torch.channels_last if self.memory == "channels_last" else torch.contiguous_format

    def use(self) -> None:
        """Set what is a setting of the whole process."""
        torch.set_num_threads(self.threads)
        if self.device.type == "cuda":
            exact = self.precision == "float32"
            torch.set_float32_matmul_precision("highest" if exact else "high")
            torch.backends.cudnn.allow_tf32 = not exact
            torch.backends.cudnn.benchmark = True  # shapes never change, so the search is paid once

    def autocast(self) -> AbstractContextManager[Any]:
        """Run the nets' forward passes in the chosen precision; weights and norm statistics stay float32."""
        if self.precision != "bf16":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def prepare(self) -> None:
        """Make ready to compile the nets of one training."""
        if self.compiled != "off":
            torch.compiler.reset()  # the limit on recompilations counts over all nets of a process
            for constant in (rank, world_size):
                torch.compiler.assume_constant_result(constant)  # type: ignore[no-untyped-call]

    def compile(self, net: nn.Module) -> Callable[..., Any]:
        """Give what to call instead of the net: itself, or a compiled form that shares its weights."""
        if self.compiled == "off":
            return net
        mode = "reduce-overhead" if self.compiled == "graphs" else None
        compiled: Callable[..., Any] = torch.compile(net, dynamic=False, mode=mode)
        return compiled

    def begin_step(self) -> None:
        """Let CUDA graphs know that the outputs of the step before are no longer needed."""
        if self.compiled == "graphs":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

    def __str__(self) -> str:
        parts = [f"{self.device}", self.precision, self.memory.replace("_", " ")]
        if self.device.type == "cpu":
            parts.append(f"{self.threads} thread{'s' * (self.threads > 1)}")
        return ", ".join(parts + (["compiled"] if self.compiled != "off" else []))

    def describe(self) -> dict[str, Any]:
        """Say what a reader of the run's numbers must know."""
        return {
            "gander": _version("gander-gan"),
            "torch": torch.__version__,
            "numpy": _version("numpy"),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "device": str(self.device),
            "device_name": device_name(self.device),
            **{choice: getattr(self, choice) for choice in CHOICES},
            "processes": world_size(),
        }


def choose_machine(engine: Engine, before: Mapping[str, Any] | None = None) -> Machine:
    """Take what the recipe says, or what the run had `before`, or what is the fastest on most machines.

    Raises: UsageError where the recipe asks for what this machine does not have.
    """
    there = _devices()
    name = next(iter(there)) if engine.device == "auto" else engine.device
    if name not in there:
        raise UsageError(
            f'engine.device = "{name}": there is none; there are: {", ".join(there)}',
            hint=f"engine.device={next(iter(there))}",
        )
    if engine.precision == "tf32" and name != "cuda":
        raise UsageError(
            f'engine.precision = "tf32": only CUDA devices have it, and this run is on {name}',
            hint="engine.precision=float32",
        )
    if name == "cpu":
        keep_freed_memory()
    usual = {
        "precision": "bf16" if name == "cuda" and torch.cuda.is_bf16_supported() else "float32",
        "threads": share_of_cores(),
        "memory": "channels_last",
        "compiled": "off",
    }
    given = {choice: getattr(engine, choice) for choice in CHOICES if not is_open(engine, choice)}
    chosen = usual | {choice: value for choice, value in (before or {}).items() if choice in CHOICES} | given
    index = torch.cuda.current_device() if name == "cuda" else None
    device = torch.device(name) if index is None else torch.device(name, index)
    machine = Machine(device, **chosen)
    machine.use()
    return machine


def alternatives(engine: Engine, machine: Machine) -> dict[str, tuple[Any, ...]]:
    """Give, for each choice that the recipe leaves open, what else this machine could be fast with."""
    others: dict[str, tuple[Any, ...]] = {"memory": ("contiguous",)}
    if machine.device.type == "cpu":
        if torch.ops.mkldnn._is_mkldnn_bf16_supported():
            others["precision"] = ("bf16",)
        if machine.threads > 1:  # beside busy neighbours, or on sibling threads of one core
            others["threads"] = (machine.threads // 2,)
    elif machine.device.type == "cuda" and machine.precision == "bf16":
        others["precision"] = ("tf32",)
    return {choice: values for choice, values in others.items() if is_open(engine, choice)}


def is_open(engine: Engine, choice: str) -> bool:
    """Tell whether the recipe leaves a choice to the engine."""
    return getattr(engine, choice) in ("auto", 0)


def wants_cuda(engine: Engine) -> bool:
    """Tell, before anything is started, whether the run will be on a CUDA device."""
    return engine.device in ("auto", "cuda") and torch.cuda.is_available()


def keep_freed_memory() -> None:
    """Let glibc keep what tensors give back, for the next: fresh pages cost a CPU step several per cent."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        trim_threshold, mmap_max = -1, -4  # of malloc.h
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


def share_of_cores() -> int:
    """Give how many of the cores that this process may use are its own among its peers."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def device_name(device: torch.device) -> str:
    """Name the accelerator or the CPU, as its maker does."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpus = Path("/proc/cpuinfo")
    for line in cpus.read_text().splitlines() if cpus.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _devices() -> list[str]:
    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if torch.cuda.is_available():
        there.insert(0, "cuda")
    return there


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:  # used from a checkout that is not installed
        return "unknown"
