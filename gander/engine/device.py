"""Which device somebody asked for by name."""

from __future__ import annotations

from typing import Literal

from pydantic import ValidationError

from gander.errors import UsageError
from gander.recipe.schema import Engine


def engine_on(device: str, precision: Literal["auto", "float32"] = "auto") -> Engine:
    """Give the choices of a machine on a device; UsageError where no device is called so."""
    try:
        return Engine.model_validate({"device": device, "precision": precision})
    except ValidationError:
        raise UsageError(f'device "{device}": allowed are auto, cpu, cuda, mps') from None
