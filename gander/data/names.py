"""The public data sets that are known by name, and where they can be had: the tables of `names.toml`."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SHAPES = "shapes"
"""The embedded data set, which is drawn."""


@dataclass(frozen=True)
class Named:
    """A public data set.

    Args:
        classes: names for files that only number them.
        mirrors: for each split, alternatives; each is the addresses of all files that one of them needs.
        digests: for each split, what `Stored.digest` must be; a split that is not in it is not known.
        md5: checksums of files, by file name.
    """

    name: str
    classes: tuple[str, ...]
    mirrors: dict[str, tuple[tuple[str, ...], ...]]
    digests: dict[str, str] = field(default_factory=dict)
    md5: dict[str, str] = field(default_factory=dict)


def _named() -> Iterator[Named]:
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    tables = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    for name, table in tables.items():
        mirrors = {
            split: tuple(
                tuple(url.format(hub=f"{endpoint}/datasets", split=split, idx=idx) for url in mirror)
                for mirror in table["mirrors"]
            )
            for split, idx in (("train", "train"), ("test", "t10k"))
        }
        yield Named(name, tuple(table["classes"]), mirrors, table.get("digests", {}), table.get("md5", {}))


NAMED = {named.name: named for named in _named()}
