"""The clock (real images shown to the discriminator) and numbers that change with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag


class Settings(BaseModel):
    """What every table of a recipe is: frozen, strict, with no keys beside its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Ramp(Settings):
    """A number that moves from one value to another over a count of images, then stays."""

    start: float = Field(alias="from")
    to: float
    over: int = Field(gt=0, le=10**12, description="images")
    after: int = Field(default=0, ge=0, le=10**12, description="images before it starts to move")
    shape: Literal["linear", "cosine"] = "linear"

    def at(self, images: float) -> float:
        """Give the value after `images` images."""
        share = min(max((images - self.after) / self.over, 0.0), 1.0)
        if self.shape == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return self.start + (self.to - self.start) * share


def _tell(value: Any) -> str:
    return "ramp" if isinstance(value, dict | Ramp) else "number"


Scalar = Annotated[Annotated[float, Tag("number")] | Annotated[Ramp, Tag("ramp")], Discriminator(_tell)]
"""A number, or a ramp over images: `{ from = 0.1, to = 0.0, over = 500_000 }`."""


def within(low: float, high: float = math.inf) -> AfterValidator:
    """Bound a Scalar, both ends of a ramp alike: low <= value <= high."""

    def check(value: float | Ramp) -> float | Ramp:
        for end in (value.start, value.to) if isinstance(value, Ramp) else (value,):
            if not low <= end <= high:
                limit = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
                raise ValueError(f"must be {limit}")
        return value

    check.__name__ = f"within_{low:g}_{high:g}"
    return AfterValidator(check)


NonNegative = Annotated[Scalar, within(0)]
Share = Annotated[Scalar, within(0, 1)]


@dataclass
class Clock:
    """How far a training is: real images shown to the discriminator, and steps made."""

    images: int = 0
    steps: int = 0

    def now(self, value: float | Ramp) -> float:
        """Give the value that a number or ramp has at this moment."""
        return value.at(self.images) if isinstance(value, Ramp) else value

    def advance(self, images: int) -> None:
        """Count one step that showed `images` real images."""
        self.images += images
        self.steps += 1


def crossed(every: int, before: int, after: int) -> bool:
    """Tell whether a multiple of `every` lies in (before, after]; 0 means never."""
    return every > 0 and before // every != after // every
