"""What each code of a finding means, as `gander explain` tells it: the tables of `codes.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Code:
    """A symptom or a cause.

    Args:
        title: what it is, in a few words.
        seen: by what it shows.
        why: how it comes about, and why the remedy helps.
        looks_like: what else shows in the same way.
        source: authors, year and section; "" where it is our own.
    """

    title: str
    seen: str
    why: str
    looks_like: str = ""
    source: str = ""

    def about(self) -> list[tuple[str, str]]:
        """Give what there is to say, each under its heading."""
        said = [
            ("seen", self.seen),
            ("why", self.why),
            ("looks like", self.looks_like),
            ("source", self.source),
        ]
        return [(heading, text) for heading, text in said if text]


@cache
def codes() -> Mapping[str, Code]:
    """Give all codes by name."""
    tables = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return {name: Code(**table) for name, table in tables.items()}
