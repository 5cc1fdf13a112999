"""What a run trains on: device, precision, memory format, threads, compiled or not."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gander.chance import rank, world_size
from gander.engine import neighbours
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
    gives_way: bool = False
    """Whether threads are given up while other processes keep the cores busy."""

    @property
    def said(self) -> str:
        """Give the line that a run says of it."""
        untried = ": gander has not been run on such a device yet" if self.device.type == "mps" else ""
        return f"engine  {self}{untried}"

    @property
    def memory_format(self) -> torch.memory_format:
        """Give torch's name of how images and weights lie in memory."""
        return torch.channels_last if self.memory == "channels_last" else torch.contiguous_format

    def use(self) -> None:
        """Set what is a setting of the whole process."""
        torch.set_num_threads(self.threads)
        neighbours.watch(self.threads if self.gives_way else None)
        if self.device.type == "cuda":
            exact = self.precision == "float32"
            torch.set_float32_matmul_precision("highest" if exact else "high")
            torch.backends.cudnn.allow_tf32 = not exact
            torch.backends.cudnn.benchmark = True  # shapes never change, so one search is enough

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
        """Heed the neighbours; let CUDA graphs know that the outputs of the step before are not needed."""
        neighbours.heed()
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
    """Take what the recipe says, or what the run had `before`, or what the device is fastest with.

    Nothing is measured, so that equal machines choose equally at any moment. What was chosen for a device of
    another kind is not taken up.

    Raises: UsageError where the recipe asks for what this machine does not have.
    """
    there = _devices()
    name = there[0] if engine.device == "auto" else engine.device
    if name not in there:
        raise UsageError(
            f'engine.device = "{name}": there is none; there are: {", ".join(there)}',
            hint=f"engine.device={there[0]}",
        )
    if engine.precision == "tf32" and name != "cuda":
        raise UsageError(
            f'engine.precision = "tf32": only CUDA devices have it, and this run is on {name}',
            hint="engine.precision=float32",
        )
    if name == "cpu":
        keep_freed_memory()
    usual = {
        "precision": "bf16" if multiplies_bf16(name) else "float32",
        "threads": share_of_cores(),
        "memory": "channels_last",
        "compiled": "off",
    }
    given = {
        choice: getattr(engine, choice) for choice in CHOICES if getattr(engine, choice) not in ("auto", 0)
    }
    alike = before is not None and str(before["device"]).partition(":")[0] == name
    kept = {choice: before[choice] for choice in CHOICES if choice in before} if before and alike else {}
    index = torch.cuda.current_device() if name == "cuda" else None
    device = torch.device(name) if index is None else torch.device(name, index)
    alone = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) == 1
    free = not engine.threads and "OMP_NUM_THREADS" not in os.environ  # nobody has said how many threads
    machine = Machine(device, **usual | kept | given, gives_way=name == "cpu" and free and alone)
    machine.use()
    return machine


def multiplies_bf16(device: str) -> bool:
    """Tell whether a device has instructions that multiply bf16; emulation is slower than float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and not {"avx512_bf16", "amx_bf16"}.isdisjoint(_cpu("flags").split())


@contextmanager
def settings_restored() -> Iterator[None]:
    """Leave the process's threads and precisions as they were, whatever a machine sets inside.

    What `keep_freed_memory` asks of the C library cannot be undone.
    """
    threads, matmul = torch.get_num_threads(), torch.get_float32_matmul_precision()
    cudnn = torch.backends.cudnn
    flags = {name: getattr(cudnn, name) for name in ("allow_tf32", "benchmark", "deterministic")}
    try:
        yield
    finally:
        neighbours.watch(None)
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(matmul)
        for name, value in flags.items():
            setattr(cudnn, name, value)


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
    """Give the threads that OMP_NUM_THREADS asks for; without it, or under torchrun, a share of the cores."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    by_torchrun = "LOCAL_WORLD_SIZE" in os.environ
    if asked.isdecimal() and int(asked) and not by_torchrun:
        return int(asked)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def device_name(device: torch.device) -> str:
    """Name the accelerator or the CPU, as its maker does."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpu("model name") or platform.processor() or platform.machine()


def _cpu(field: str) -> str:
    """Give what Linux says of the first core; nothing elsewhere."""
    cores = Path("/proc/cpuinfo")
    for line in cores.read_text().splitlines() if cores.exists() else ():
        if line.startswith(field):
            return line.partition(":")[2].strip()
    return ""


def _devices() -> list[str]:
    """Name what is there, the one to be picked first; mps comes last until a Mac has run it."""
    there = {"cuda": torch.cuda.is_available(), "cpu": True, "mps": torch.backends.mps.is_available()}
    return [name for name, is_there in there.items() if is_there]


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:  # used from a checkout that is not installed
        return "unknown"
