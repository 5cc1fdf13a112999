"""What fits each slot, read off the recipe's own types: help, documents and error messages follow from it."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from gander.nets.all import AnyDiscriminator, AnyGenerator
from gander.nets.average import AnyAverage
from gander.nets.rewires import AnyRewire
from gander.techniques.latents import AnyLatents
from gander.techniques.objectives import AnyObjective
from gander.techniques.penalties import AnyPenalty
from gander.techniques.views import AnyView

_SLOTS: dict[str, Any] = {
    "latents": AnyLatents,
    "generator": AnyGenerator,
    "discriminator": AnyDiscriminator,
    "rewires": AnyRewire,
    "objective": AnyObjective,
    "penalties": AnyPenalty,
    "views": AnyView,
    "average": AnyAverage,
}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Give every settings class that a type annotation names, inside unions, tuples and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from models_in(part)


def kind_of(model: type[BaseModel]) -> str:
    """Give the name a technique has in a recipe, or "" for a table without kinds."""
    field = model.model_fields.get("kind")
    return str(field.default) if field else ""


def techniques() -> dict[str, dict[str, type[BaseModel]]]:
    """Give all that fits, by slot and kind."""
    return {slot: {kind_of(model): model for model in models_in(union)} for slot, union in _SLOTS.items()}


def setting_names(model: type[BaseModel]) -> list[str]:
    """Give the names of a table's settings as they are typed."""
    return [field.alias or name for name, field in model.model_fields.items()]
