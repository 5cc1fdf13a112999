"""Patches: ordered `dotted.path=value` edits of plain data, the one way to vary a recipe."""

from __future__ import annotations

import copy
import json
import re
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from gander.errors import RecipeError, shorten, show

Patch = dict[str, Any]
"""Dotted path -> plain value (TOML types), applied in order."""

_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PATH = re.compile(rf"{_KEY.pattern}(\.{_KEY.pattern})*")


def parse_patch(edits: Iterable[str]) -> Patch:
    """Read `path=value` texts; a value is TOML where it can be read so, and a plain string elsewhere.

    Raises: RecipeError, one line for each text that is not a patch.
    """
    patch: Patch = {}
    problems = []
    for edit in edits:
        path, equals, text = edit.partition("=")
        path = path.strip()
        if not equals or not _PATH.fullmatch(path):
            problems.append(f"{show(edit)} is not an edit; write path=value, for example train.batch=64")
        else:
            patch.pop(path, None)  # an edit said again counts where it is said last
            patch[path] = parse_value(text.strip())
    if problems:
        raise RecipeError(*problems)
    return patch


def parse_value(text: str) -> Any:
    """Read one TOML value; text that is none stays a string, so that names need no quotes."""
    try:
        read = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return text
    return read["value"] if read.keys() == {"value"} else text


def apply_patch(tree: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Give a copy of `tree` with every edit of `patch` made.

    A list of techniques is addressed by kind (`penalties.r1.weight=0.1`) or by place (`penalties.0.weight`).

    Raises: RecipeError where a path leads through a value that has no parts, or names no entry of a list.
    """
    try:
        patched: dict[str, Any] = copy.deepcopy(dict(tree))
        patch = copy.deepcopy(dict(patch))
    except RecursionError:
        raise RecipeError("the recipe is nested too deep") from None
    problems = []
    for path, value in patch.items():
        try:
            _set(patched, path.split("."), value)
        except LookupError as error:
            problems.append(f"{shorten(path)} = {show(value)}: {error.args[0]}")
    if problems:
        raise RecipeError(*problems)
    return patched


def _set(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    here: Any = tree
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        slot: Any = _place(here, key, ".".join(keys[:depth])) if isinstance(here, list) else key
        if not isinstance(here, dict | list):
            raise LookupError(f"{shorten('.'.join(keys[:depth]))} is {show(here)}, which has no parts")
        if last:
            here[slot] = value
        elif isinstance(here, dict):
            if isinstance(here.get(slot), str):  # `data = "cifar10"` stands for `data.source`
                here[slot] = {"source" if slot == "data" else "kind": here[slot]}
            here = here.setdefault(slot, {})
        else:
            here = here[slot]


def _place(entries: list[Any], key: str, path: str) -> int:
    if key.isdigit() and int(key) < len(entries):
        return int(key)
    kinds = [entry.get("kind") if isinstance(entry, dict) else None for entry in entries]
    if key in kinds:
        return kinds.index(key)
    named = ", ".join(kind for kind in kinds if isinstance(kind, str)) or "nothing"
    raise LookupError(f"{shorten(path)} has no entry {show(key)}; it holds: {shorten(named, 100)}")


def show_patch(patch: Mapping[str, Any]) -> str:
    """Write a patch as it is typed in a shell, so that what is read back is equal."""
    return " ".join(shlex.quote(f"{path}={_text(value)}") for path, value in patch.items())


def _text(value: Any) -> str:
    bare = isinstance(value, str) and value == value.strip() and parse_value(value) == value
    return str(value) if bare else _toml(value)


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():  # JSON escapes as TOML does, but for the one character that it leaves alone
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case dict():
            settings = ", ".join(f"{_toml_key(key)} = {_toml(item)}" for key, item in value.items())
            return f"{{ {settings} }}"
        case list() | tuple():
            return f"[{', '.join(_toml(item) for item in value)}]"
        case _:
            return str(value)


def _toml_key(key: str) -> str:
    return key if _KEY.fullmatch(key) else _toml(key)
