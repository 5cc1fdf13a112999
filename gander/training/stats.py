"""Means of what a step notes, kept on the device and read once a log interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

_ROWS = 1024  # kept at most before the device is waited for, however rarely a run logs


class Stats:
    """What was noted since the last row of the log, by name; sums are made on the CPU, in float64."""

    def __init__(self) -> None:
        self._rows: list[tuple[Sequence[str], Tensor]] = []
        self._sums: dict[str, list[float]] = {}  # the sum and the count

    def add(self, names: Sequence[str], values: Tensor) -> None:
        """Note one value (K,) under each name; the device is not waited for."""
        self._rows.append((names, values.detach()))
        if len(self._rows) >= _ROWS:
            self._sum()

    def _sum(self) -> None:
        if not self._rows:
            return
        numbers = iter(torch.cat([values for _, values in self._rows]).tolist())
        for name, value in ((name, next(numbers)) for names, _ in self._rows for name in names):
            total, count = self._sums.get(name, (0.0, 0.0))
            self._sums[name] = [total + value, count + 1]
        self._rows.clear()

    def means(self) -> dict[str, float]:
        """Give the mean under each name and forget all."""
        self._sum()
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums.clear()
        return means

    def state(self) -> dict[str, Tensor]:
        """Give sum and count by name, (2,) each, float64 on the CPU."""
        self._sum()
        return {name: torch.tensor(sums, dtype=torch.float64) for name, sums in self._sums.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._rows.clear()
        self._sums = {name: sums.tolist() for name, sums in state.items()}
