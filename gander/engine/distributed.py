"""Several processes as one run: start, agree, and one flat all-reduce of the gradients."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gander.chance import rank, world_size
from gander.errors import UsageError

_PATIENCE = timedelta(hours=6)  # while the first process decodes a large data set, or scores, all others wait


@contextmanager
def process_group(use_cuda: bool) -> Iterator[None]:
    """Join the processes that torchrun started, if it did, and part from them at the end.

    Raises: UsageError where there are more processes than CUDA devices.
    """
    if "RANK" not in os.environ or dist.is_initialized():
        yield
        return
    if use_cuda:
        place, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if place >= devices:
            raise UsageError(
                f"LOCAL_RANK = {place}: each process takes a CUDA device, and there "
                + (f"are {devices}" if devices > 1 else "is one"),
                hint=f"torchrun --nproc-per-node {devices}, or engine.device=cpu",
            )
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if use_cuda else "gloo", timeout=_PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def agree(value: Any) -> Any:
    """Give every process what the first one says."""
    if world_size() == 1:
        return value
    said = [value]
    dist.broadcast_object_list(said)
    return said[0]


def any_of_all(flag: bool) -> bool:
    """Tell whether the flag is up in any process."""
    if world_size() == 1:
        return flag
    flags: list[bool] = [False] * world_size()
    dist.all_gather_object(flags, flag)
    return any(flags)


def wait_for_all() -> None:
    """Go on when every process has come here."""
    any_of_all(False)  # a broadcast would not make its sender wait


def first_then_others(work: Any) -> Any:
    """Do the work in the first process, then in the others, so that a cache is filled once."""
    result = work() if rank() == 0 else None
    if world_size() > 1:
        agree(None)
    return work() if result is None else result


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average all gradients over the processes in one flat all-reduce.

    No wrapper around the nets, so penalties that differentiate twice work as they do in one process.
    """
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, piece in zip(gradients, pieces, strict=True):
        gradient.copy_(piece.view_as(gradient))


def same_everywhere(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors with the first process's."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor.detach(), 0)
