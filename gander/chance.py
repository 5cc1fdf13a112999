"""Random draws that do not depend on how many processes share the work.

Every process holds the same random streams, draws for the global batch and keeps its own rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

_alone: ContextVar[bool] = ContextVar("alone", default=False)


def rank() -> int:
    """Give this process's place among its peers, from 0."""
    return dist.get_rank() if _joined() else 0


def world_size() -> int:
    """Give the count of processes that share the work at hand."""
    return dist.get_world_size() if _joined() else 1


def _joined() -> bool:
    return not _alone.get() and dist.is_available() and dist.is_initialized()


@contextmanager
def alone() -> Iterator[None]:
    """Do what is inside as if this process were the only one; the others need not come along."""
    before = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(before)


def own_rows(whole: Tensor) -> Tensor:
    """Keep this process's equal share of the first dimension."""
    rows = whole.shape[0] // world_size()
    return whole[rank() * rows : (rank() + 1) * rows]


def rand(*shape: int, device: torch.device | str, rng: torch.Generator | None = None) -> Tensor:
    """Draw uniform numbers in [0, 1); `shape` is this process's, rows first."""
    return own_rows(torch.rand(shape[0] * world_size(), *shape[1:], device=device, generator=rng))


def randn(*shape: int, device: torch.device | str, rng: torch.Generator | None = None) -> Tensor:
    """Draw standard normal numbers; `shape` is this process's, rows first."""
    return own_rows(torch.randn(shape[0] * world_size(), *shape[1:], device=device, generator=rng))


class Dropout(nn.Module):
    """Zero each value with probability `rate` while training, and scale the rest to keep the mean.

    Source: Srivastava et al. 2014.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Tensor) -> Tensor:
        """Pass (N, ...) through; the identity in evaluation."""
        if not self.training or self.rate == 0:
            return values
        kept = rand(*values.shape, device=values.device) >= self.rate
        return values * kept.to(values.dtype) / (1 - self.rate)


def mean_of_all(value: Tensor) -> Tensor:
    """Average a value over the processes; the same tensor where there is one."""
    if world_size() > 1:
        dist.all_reduce(value)
        value /= world_size()
    return value


def rows_of_all(rows: Tensor) -> Tensor:
    """Give the rows (n, ...) of every process, as many from each, without gradients: (N, ...)."""
    if world_size() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)
