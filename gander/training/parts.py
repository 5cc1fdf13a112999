"""The parts that a recipe's slots start: what the step calls, what observes it, what is saved by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gander.engine.streams import Streams
from gander.recipe.schema import Recipe
from gander.schedule import Clock
from gander.techniques.slots import Kind, Part, Penalty, Scene, Side

PenaltyPart = tuple[Penalty, Callable[[Scene], Tensor | None]]


class Parts:
    """What every slot of a recipe started on one device."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self._named: dict[str, Any] = {}
        self.latents: Callable[[int, torch.Generator], Tensor] = self._start(
            "latents", recipe.latents, device
        )
        self.objective: Any = self._start("objective", recipe.objective, device)
        self.views: dict[str, Callable[[Tensor, Clock], Tensor]] = {
            name: self._start(name, view, device) for name, view in _names("views", recipe.views)
        }
        self._penalties: list[PenaltyPart] = [
            (penalty, self._start(name, penalty, device))
            for name, penalty in _names("penalties", recipe.penalties)
        ]
        self.kinds_for_g: tuple[Kind, ...] = ("real", "fake") if recipe.compares_in_g else ("fake",)

    def _start(self, name: str, technique: Part, device: torch.device) -> Any:
        part = technique.start(device)
        self._named[name] = part
        return part

    def view(
        self, images: Tensor, low: float, high: float, clock: Clock, streams: Streams, where: str
    ) -> Tensor:
        """Show images of [low, high] through all views, which are made for [-1, 1]."""
        other_range = bool(self.views) and (low, high) != (-1, 1)
        if other_range:
            images = (images - low) * (2 / (high - low)) - 1
        for name, view in self.views.items():
            streams.open(f"{where}/{name}")
            images = view(images, clock)
        return (images + 1) * ((high - low) / 2) + low if other_range else images

    def penalties(self, side: Side, clock: Clock) -> Iterator[PenaltyPart]:
        """Give the penalties that count in this step."""
        for penalty, part in self._penalties:
            if side in penalty.sides and clock.steps % penalty.every == 0:
                yield penalty, part

    def observe(self, scene: Scene) -> None:
        """Let every part that watches hear of a look."""
        for part in self._named.values():
            observe = getattr(part, "observe", None)
            if observe is not None:
                observe(scene)

    def numbers(self) -> dict[str, Tensor]:
        """Give what parts want in the log, by name."""
        given: dict[str, Tensor] = {}
        for part in self._named.values():
            given |= getattr(part, "numbers", dict)()
        return given

    def modules(self) -> dict[str, nn.Module]:
        """Give the parts that have a memory, which is saved under these names."""
        return {name: part for name, part in self._named.items() if isinstance(part, nn.Module)}


def _names(slot: str, techniques: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Name entries of a list by kind, as patches do; a second one of a kind gets its number."""
    count: Counter[str] = Counter()
    for technique in techniques:
        count[technique.kind] += 1
        number = f"-{count[technique.kind]}" if count[technique.kind] > 1 else ""
        yield f"{slot}.{technique.kind}{number}", technique
