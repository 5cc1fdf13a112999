"""What is wrong with a recipe, in one line a problem that a person can act on."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gander.errors import did_you_mean, nearest, shorten, show
from gander.patch import show_patch
from gander.recipe.catalogue import kind_of, models_in, setting_names, settings_of

_MOST = 20  # more problems than a person reads at once
_WORDS = tomllib.loads(Path(__file__).with_name("synonyms.toml").read_text("utf-8"))

_Loc = tuple[int | str, ...]


def problem_lines(error: ValidationError, data: dict[str, Any], model: type[BaseModel]) -> list[str]:
    """Tell each problem of `data` as: where = value: what is allowed; the nearest name."""
    lines = []
    for fault in error.errors(include_url=False)[:_MOST]:
        path = _path(fault["loc"], data, missing=fault["type"] == "missing")
        if fault["type"] == "value_error" and not fault["loc"]:
            lines += str(fault["ctx"]["error"]).split("\n")
        else:
            lines.append(_line(path, fault, model))
    left = error.error_count() - _MOST
    return [*dict.fromkeys(lines), *([f"and {left:,} more problems"] if left > 0 else [])]


def _line(path: str, fault: Any, model: type[BaseModel]) -> str:
    given = f"{path} = {show(fault['input'])}" if path else f"the {model.__name__.lower()}"
    match fault["type"]:
        case "extra_forbidden":
            return _unknown_setting(path, fault, model)
        case "missing":
            return f"{path} is missing"
        case "union_tag_invalid":
            tag, allowed = str(fault["ctx"]["tag"]), re.findall(r"'(.*?)'", fault["ctx"]["expected_tags"])
            meant = about(tag) or did_you_mean(known_as(tag), allowed)
            return f"{path}.kind = {show(tag)}: allowed are {', '.join(allowed)}{meant}"
        case "union_tag_not_found":
            return f'{given}: no kind is given; write {{ kind = "..." }}'
        case "literal_error":
            allowed = re.findall(r"'(.*?)'", fault["ctx"]["expected"])
            meant = did_you_mean(show(fault["input"]).strip('"'), allowed)
            return f"{given}: allowed are {', '.join(allowed)}{meant}"
        case "value_error":
            return f"{given}: {fault['ctx']['error']}"
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"{given}: must be a table, {{ setting = value, ... }}"
        case "tuple_type":
            return f"{given}: must be a list, [ ... ]"
        case _:
            says = re.sub(r"^Input should be", "must be", fault["msg"])
            return f"{given}: {says[:1].lower()}{says[1:]}"


def known_as(word: str) -> str:
    """Give the name here of what others call so; else the word."""
    word = word.lower().replace("-", "_")
    return str(_WORDS["names"].get(word, word))


def about(word: str) -> str:
    """Say what is known of a word that is no single setting or technique; "" of others."""
    text = _WORDS["about"].get(known_as(word))
    return f"; {text}" if text else ""


def meant_settings(word: str, model: type[BaseModel]) -> list[str]:
    """Give the paths of the settings, anywhere in a recipe, that a word means."""
    ends = {known_as(word), word}
    paths = [path for path, *_ in settings_of(model)]
    return [path for path in paths if path.rpartition(".")[2].removeprefix("g_").removeprefix("d_") in ends]


def _unknown_setting(path: str, fault: Any, model: type[BaseModel]) -> str:
    *_, key = fault["loc"]
    table = path.rpartition(".")[0]
    names = sorted({name for part in _models_at(fault["loc"][:-1], model) for name in setting_names(part)})
    elsewhere = next(iter(meant_settings(str(key), model)), None)
    match = nearest(str(key), names) if table or not elsewhere else None
    right = f"{table}.{match}" if match and table else match or elsewhere
    whole = isinstance(fault["input"], str | int | float) and not show(fault["input"]).endswith("...")
    typed = f", as in {show_patch({str(right): fault['input']})}" if whole else ""
    meant = f'; did you mean "{match or elsewhere}"{typed}?' if right else ""
    meant = about(str(key)) or meant
    return (
        f"{path} = {show(fault['input'])}: {table or f'a {model.__name__.lower()}'} has no such setting; "
        f"it has: {', '.join(names)}{meant}"
    )


def _models_at(loc: _Loc, model: type[BaseModel]) -> Sequence[type[BaseModel]]:
    here = [model]
    for part in loc:
        fields = [
            field
            for at in here
            for name, field in at.model_fields.items()
            if part in (name, field.alias) and part != "kind"
        ]
        if fields:
            here = [found for field in fields for found in models_in(field.rebuild_annotation())]
        elif isinstance(part, str):
            here = [at for at in here if kind_of(at) == part] or here
    return here


def _path(loc: _Loc, data: Any, missing: bool) -> str:
    """Write where a fault is as a patch would say it, without pydantic's union tags."""
    words: list[str] = []
    here = data
    for depth, part in enumerate(loc):
        if isinstance(here, dict) and part in here:
            words.append(str(part))
            here = here[part]
        elif isinstance(here, list | tuple) and isinstance(part, int) and part < len(here):
            kinds = [entry.get("kind") if isinstance(entry, dict) else None for entry in here]
            kind, here = kinds[part], here[part]
            named = isinstance(kind, str) and kind and kinds.count(kind) == 1
            words.append(str(kind) if named else str(part))
        elif missing and depth == len(loc) - 1:
            words.append(str(part))
    return ".".join(shorten(word, 40) for word in words)
