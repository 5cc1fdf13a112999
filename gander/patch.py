"""Patches: ordered `dotted.path=value` edits of plain data, the one way to vary a recipe."""

from __future__ import annotations

import copy
import json
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from gander.errors import RecipeError, did_you_mean, shorten, show

Patch = dict[str, Any]
"""Dotted path -> plain value (TOML types), applied in order.

In a list of techniques, `penalties.+r1.weight` is of the r1 that is there, or of one added at the end.
`penalties.+r1` and `penalties.-r1` are edits without a value, here None: let there be one, let there be none.
`data.-size` takes a setting back to its default.
"""

_MOST_PARTS = 32  # of a path
_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PATH = re.compile(rf"\+?{_KEY.pattern}(\.\+?{_KEY.pattern})*")
_COUNT = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)(k|M|e\d{1,2})")
_OPENING = ("[", "{")
_BARE = re.compile(rf"({_PATH.pattern}\.)?[+-][^.]+")  # what may stand without a value


def parse_patch(edits: Iterable[str]) -> Patch:
    """Read `path=value` texts; a value is TOML where it can be read so, and a plain string elsewhere.

    Raises: RecipeError, one line for each text that is not a patch.
    """
    patch: Patch = {}
    problems = []
    for edit in edits:
        path, equals, text = edit.partition("=")
        path = path.strip()
        if too_deep(path) or not _PATH.fullmatch(path) or not (equals or _BARE.fullmatch(path)):
            problems.append(f"{show(edit)} is not an edit; write path=value, for example train.batch=64")
            continue
        patch.pop(path, None)  # an edit said again counts where it is said last
        patch[path] = value = parse_value(text.strip()) if equals else None
        if isinstance(value, str) and text.strip()[:1] in _OPENING:
            how = "a list is ['r1', 'r2'], a table { kind = 'r1', weight = 1 }; in a shell, in quotes"
            problems.append(f"{show(edit)}: what follows the = is broken TOML; {how}")
    if problems:
        raise RecipeError(*problems)
    return patch


def as_patch(edits: Mapping[str, Any] | Iterable[str]) -> Patch:
    """Read a patch given as `{"train.batch": 32}`, or as texts: `["train.batch=32"]`."""
    return dict(edits) if isinstance(edits, Mapping) else parse_patch(edits)


def too_deep(text: str) -> bool:
    """Tell whether a key has more parts than any setting; reading it takes the square of its length."""
    words = re.sub(r"\.+", ".", re.sub(r"[ \t]", "", text))
    return any(word.count(".") > _MOST_PARTS for word in re.split(r"[^\w.\"'+-]+", words))


def parse_value(text: str) -> Any:
    """Read one TOML value; text that is none stays a string, so that names need no quotes.

    Beside TOML, 10k, 1.5M and 1e6 are whole numbers, and True and False what they are in Python.
    """
    if count := _COUNT.fullmatch(text):
        number = Decimal(count[1]).scaleb({"k": 3, "M": 6}.get(count[2]) or int(count[2][1:]))
        return int(number) if number == int(number) else float(number)
    text = text.lower() if text in ("True", "False") else text
    try:
        read = {} if too_deep(text) else tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return text
    return read["value"] if read.keys() == {"value"} else text


def apply_patch(tree: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Give a copy of `tree` with every edit of `patch` made.

    A list of techniques is addressed by kind (`penalties.r1.weight=0.1`) or by place (`penalties.0.weight`).

    Raises: RecipeError where a path leads through a value that has no parts, or names no entry of a list.
    """
    patched = dict(tree)
    problems = []
    for path, value in patch.items():
        try:
            _set(patched, path.split("."), value)
        except LookupError as error:
            said = path if value is None else f"{path} = {show(value)}"
            problems.append(f"{shorten(said, 120)}: {error.args[0]}")
    if problems:
        raise RecipeError(*problems)
    return patched


def _set(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    here: Any = tree
    for depth in range(len(keys) - 1):
        key = _find(here, keys, depth, value)
        inner = (
            here[key]
            if isinstance(here, list)
            else here.get(key, [] if keys[depth + 1].startswith("+") else {})
        )
        if isinstance(
            inner, str
        ):  # `data = "cifar10"` stands for `data.source`, `penalties = "r1"` for a list
            alone = {"source" if key == "data" else "kind": inner}
            inner = [alone] if keys[depth + 1].removeprefix("+") == inner else alone
        here[key] = copy.copy(inner)  # the caller's own stays as it is
        here = here[key]
    key, last = _find(here, keys, len(keys) - 1, value), keys[-1]
    if value is None and last.startswith("-"):
        del here[key]
    elif not last.startswith("+"):
        here[key] = value
    elif value is not None:
        raise LookupError(f"give its settings one by one, as in {'.'.join(keys)}.weight=1")


def _find(here: Any, keys: list[str], depth: int, value: Any) -> Any:
    """Give the key or the place that a step of a path names; `+kind` makes one where there is none."""
    where, key = shorten(".".join(keys[:depth])) or "the recipe", keys[depth]
    name = key[1:] if key.startswith("+") or (value is None and key.startswith("-")) else key
    if isinstance(here, dict):
        if name != key and name not in here:
            raise LookupError(f"{where} has no {show(name)}{did_you_mean(name, here)}")
        return name
    if not isinstance(here, list):
        raise LookupError(f"{where} is {show(here)}, which has no parts")
    if key.isdecimal() and int(key) < len(here):
        return int(key)
    kinds = [entry.get("kind") if isinstance(entry, dict) else entry for entry in here]
    if key.startswith("+") and name not in kinds:
        here.append({"kind": name})
        return len(kinds)
    if name in kinds:
        return kinds.index(name)
    named = [kind for kind in kinds if isinstance(kind, str)]
    says = f"{where} has no entry {show(name)}; it holds: {shorten(', '.join(named) or 'nothing', 100)}"
    if key.isdecimal():
        raise LookupError(says)
    added = {".".join([*keys[:depth], f"+{key}", *keys[depth + 1 :]]): value}
    typed = f"; to add one, type {shorten(show_patch(added), 100)}" if keys[depth + 1 :] else ""
    raise LookupError(f"{says}{did_you_mean(name, named)}{typed}")


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Patch:
    """Give the edits that make `new` of `old`, both with all their settings."""
    return dict(_differences(old, new, ""))


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any]]:
    if old == new:
        return
    parts, wanted = _parts(old), _parts(new)
    kept = [name for name in parts if name in wanted]
    if isinstance(new, list):  # what is added comes behind, and places are not shifted
        by_place = any(name.isdecimal() for name in (*parts, *wanted))
        fits = [*parts] == [*wanted] if by_place else kept == [*wanted][: len(kept)]
    else:
        fits = isinstance(new, dict) and parts.get("kind") == wanted.get("kind")
    if not fits or type(old) is not type(new) or (old and not parts) or (new and not wanted):
        yield path.removesuffix("."), new
        return
    yield from ((f"{path}-{name}", None) for name in parts if name not in wanted)
    for name, value in wanted.items():
        if name in parts:
            yield from _differences(parts[name], value, f"{path}{name}.")
        elif isinstance(new, dict):
            yield f"{path}{name}", value
        else:
            settings = {f"{path}+{name}.{key}": value[key] for key in value if key != "kind"}
            yield from (settings or {f"{path}+{name}": None}).items()


def _parts(value: Any) -> dict[str, Any]:
    """Name the parts of a table, or of a list of tables: by kind, or by place where a kind stands twice."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list) or not all(isinstance(entry, dict) and "kind" in entry for entry in value):
        return {}
    by_kind = {entry["kind"]: entry for entry in value}
    return by_kind if len(by_kind) == len(value) else {str(place): entry for place, entry in enumerate(value)}


def show_patch(patch: Mapping[str, Any]) -> str:
    """Write a patch as it is typed in a shell, so that what is read back is equal."""
    return " ".join(
        shlex.quote(path if value is None and _BARE.fullmatch(path) else f"{path}={_text(value)}")
        for path, value in patch.items()
    )


def typed(edits: Iterable[str]) -> str:
    """Write edits that a program holds as they are typed in a shell. Raises: RecipeError as `parse_patch`."""
    return show_patch(parse_patch(edits))


def _text(value: Any) -> str:
    bare = isinstance(value, str) and value == value.strip() and value[:1] not in _OPENING
    bare = bare and parse_value(value) == value
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
