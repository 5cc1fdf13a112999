"""Where a data set goes, and what its files are called."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gander.data.formats.all import written_formats
from gander.data.formats.format import Layout, WrittenFormat
from gander.errors import StorageError, UsageError, did_you_mean
from gander.files import LOCK, check_free

CARD = ("README.md", "dataset.json", "recipe.toml", "sheet.png")
PLAN = "plan.json"
_LARGE = 1_000_000  # images, whose plan alone takes memory; of fewer the draft asks


@dataclass(frozen=True)
class Target:
    """A folder, or one file (more, where it is large) with its card beside it.

    Args:
        name: of the format, as `--format` takes it.
    """

    path: Path
    name: str
    is_file: bool

    @property
    def format(self) -> WrittenFormat:
        """How it is written."""
        return written_formats()[self.name]

    @property
    def suffix(self) -> str:
        """The end of its files' names."""
        return self.format.suffix(self.name)

    @property
    def draft(self) -> Path:
        """The folder of what is not finished."""
        return self.path.with_name(f"{self.path.name}.unfinished")

    @property
    def root(self) -> Path:
        """The folder that its files lie in."""
        return self.path.parent if self.is_file else self.path

    def file(self, number: int, count: int) -> Path:
        """Return the place under the root of one of the set's files."""
        shard = f"{number:05d}-of-{count:05d}{self.suffix}"
        if self.is_file:
            name = self.path.name
            return Path(name if count == 1 else f"{name.removesuffix(self.suffix)}-{shard}")
        return Path("data") / f"train-{shard}" if self.suffix else Path("train")

    def card_file(self, name: str) -> Path:
        """Return the place under the root of a file of the card."""
        return Path(f"{self.path.name.removesuffix(self.suffix)}.{name}" if self.is_file else name)


def find_target(path: Path, wanted: str | None) -> Target:
    """Choose the format by the path's suffix, or take the one that is asked for; Parquet without either.

    Raises: UsageError where they differ, the format is not known, or something is there already.
    """
    formats = written_formats()
    if path.name in ("", ".."):
        raise UsageError(f'--to "{path}": give the new folder or file a name', hint=f"--to {path / 'made'}")
    if wanted is not None and wanted not in formats:
        raise UsageError(
            f'--format "{wanted}": allowed are {", ".join(formats)}{did_you_mean(wanted, formats)}'
        )
    suffixes = {name: suffix for name, format in formats.items() if (suffix := format.suffix(name))}
    named = next((name for name, suffix in suffixes.items() if path.name.endswith(suffix)), None)
    if named and wanted and formats[named] is not formats[wanted]:
        raise UsageError(f'--to "{path}": is named like {named}, and --format says {wanted}')
    if wanted is None and named is None and re.fullmatch(r"\.(?!v\d)[A-Za-z]+\d?", path.suffix):
        ending = path.suffix[1:]
        raise UsageError(
            f'--to "{path}": no format is called {ending}; allowed are {", ".join(formats)}'
            f"{did_you_mean(ending, formats)}",
            hint="a name without an ending for a folder, or --format",
        )
    target = Target(path, named or wanted or "parquet", named is not None)
    if path.exists() and target.draft.exists() and is_spent(target.draft):
        shutil.rmtree(target.draft)  # a process that was killed at its very end left it
    if not target.is_file:
        check_free(path)
    elif not target.draft.exists():
        check_free(path, path.with_name(target.card_file("README.md").name))
    return target


def check_room(target: Target, n: int, data: Mapping[str, Any]) -> None:
    """Raise StorageError where the disk cannot hold a large n images like `data`, before any is planned."""
    layout = Layout((), (data["channels"], data["size"], data["size"]), False)
    if n > _LARGE and not target.draft.exists():
        check_bytes(target.path, n * target.format.bytes_each(layout))


def check_bytes(path: Path, needed: float) -> None:
    """Raise StorageError where the disk of a path has less room."""
    place = next(folder for folder in path.absolute().parents if folder.exists())
    if needed > (free := shutil.disk_usage(place).free):
        room = f"up to {needed / 1e6:,.0f} MB are needed there, and {free / 1e6:,.0f} MB are free"
        raise StorageError(f"{path}: {room}", hint="--to another disk, or a smaller -n")


def is_spent(draft: Path) -> bool:
    """Return whether a draft holds no image and nothing foreign: it is only just begun, or was just moved."""
    bookkeeping = (PLAN, LOCK, f".{PLAN}-", ".making-")
    own = {draft / name for name in ("parts", "joined", "finished")}
    return all(path in own or path.name.startswith(bookkeeping) for path in draft.rglob("*"))
