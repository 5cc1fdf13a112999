"""Means of what a step notes, kept on the device and read once a log interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Stats:
    """Sums and counts by name since the last row."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def add(self, names: Sequence[str], values: Tensor) -> None:
        """Count one value (K,) under each name."""
        counted = torch.stack([values.detach().double(), torch.ones_like(values, dtype=torch.float64)], 1)
        for name, pair in zip(names, counted, strict=True):
            held = self._sums.get(name)
            self._sums[name] = pair if held is None else held + pair

    def means(self) -> dict[str, float]:
        """Give the mean under each name and forget all."""
        means = {name: (pair[0] / pair[1]).item() for name, pair in self._sums.items()}
        self._sums.clear()
        return means

    def state(self) -> dict[str, Tensor]:
        """Give the sums and counts, (2,) each."""
        return dict(self._sums)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over sums and counts."""
        self._sums = {name: pair.clone() for name, pair in state.items()}
