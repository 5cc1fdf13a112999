"""What recipes can name: the techniques of each slot by kind, those of a user's own modules among them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Self, Union

from pydantic import Field, GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, core_schema

from gander.errors import RecipeError
from gander.schedule import Settings

_KINDS: dict[str, dict[str, type[Technique]]] = {}


class Technique(Settings):
    """What fits a slot of a recipe; a subclass that sets `kind` can be named in recipes from then on.

    A field annotated with a class that sets none, such as `objective: Objective`, takes any of its subclasses
    that do, as a table with a `kind`, or as the kind alone.

    Raises: RecipeError where a class is defined with a kind that another class of its slot has.
    """

    slot: ClassVar[str]
    kind: str = ""

    @classmethod
    def __pydantic_init_subclass__(cls) -> None:  # type: ignore[override]
        kind = cls.model_fields["kind"].default
        if not kind:
            return
        kinds = _KINDS.setdefault(cls.slot, {})
        other = kinds.get(kind, cls)
        # The same name again is the same class, defined anew in a notebook or reloaded.
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise RecipeError(
                f'{cls.__module__}.{cls.__qualname__}: kind = "{kind}" in {cls.slot} is taken by '
                f"{other.__module__}.{other.__qualname__}; choose another"
            )
        kinds[kind] = cls

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if cls.model_fields["kind"].default or not cls.__pydantic_complete__:  # or this is its own making
            return handler(source)
        # By a function, so that a user's module may bring more at any time.
        return core_schema.no_info_plain_validator_function(
            cls.choose, serialization=core_schema.simple_ser_schema("any")
        )

    @classmethod
    def choose(cls, value: Any) -> Self:
        """Read a table, or a kind alone, as whichever technique of its kind fits here."""
        return _one_of(subkinds(cls)).validate_python({"kind": value} if isinstance(value, str) else value)


def one_or_more(value: Any) -> Any:
    """Read one technique, by its kind or as a table, where a list of them is wanted."""
    return (value,) if isinstance(value, str | dict | Technique) else value


@cache
def _one_of(models: tuple[type[Technique], ...]) -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[Union[models], Field(discriminator="kind")])  # type: ignore[arg-type]  # noqa: UP007


def subkinds(base: type[Technique]) -> tuple[type[Technique], ...]:
    """Give the techniques that fit where a recipe asks for `base`."""
    return tuple(model for model in _KINDS.get(base.slot, {}).values() if issubclass(model, base))


def techniques() -> Mapping[str, Mapping[str, type[Technique]]]:
    """Give all that has been defined, by slot and kind."""
    return _KINDS
