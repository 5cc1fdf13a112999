"""What fits each slot, read off the recipe's own types: help, documents and error messages follow from it."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gander.registry import Technique, subkinds
from gander.schedule import Ramp


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Give every settings class that a type annotation names, inside unions, tuples and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        takes_any = issubclass(annotation, Technique) and not kind_of(annotation)
        yield from subkinds(annotation) if takes_any else (annotation,)  # type: ignore[arg-type]
    for part in typing.get_args(annotation):
        yield from models_in(part)


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel], FieldInfo]]:
    """Give path, table and field of every setting of a recipe's tables; a technique is one setting."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", model, field
        for inner in {*models_in(field.rebuild_annotation())}:
            if not issubclass(inner, Technique | Ramp):
                yield from settings_of(inner, f"{prefix}{name}.")


def kind_of(model: type[BaseModel]) -> str:
    """Give the name a technique has in a recipe, or "" for a table without kinds."""
    field = model.model_fields.get("kind")
    return str(field.default) if field else ""


def setting_names(model: type[BaseModel]) -> list[str]:
    """Give the names of a table's settings as they are typed."""
    return [field.alias or name for name, field in model.model_fields.items()]
