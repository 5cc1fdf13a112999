"""A data set in the making: made in parts, put together, and moved into its place in one step."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gander.chance import rank
from gander.data.formats.folder import folder_name
from gander.data.formats.format import Batch, Layout
from gander.engine.distributed import agree
from gander.errors import StorageError, UsageError
from gander.files import check_free, disk_refusals, locked, sync, write_whole
from gander.generation.load import BLOCK
from gander.generation.stream import Indices
from gander.generation.target import CARD, PLAN, Target, check_bytes, is_spent

PART = 40 * BLOCK
"""The most images of a part, which one process makes and which is there whole or not at all."""

LARGEST = 256 * 10**6
"""Bytes of a file."""

_PART_BYTES = 64 * 10**6  # of a part, which may be held in memory
AGAIN = "the same command again, which goes on from there"


@dataclass(frozen=True)
class Plan:
    """What is to be made; equal plans on equal machines give equal bytes.

    Args:
        n: images.
        places: (n,) which images of the stream; None for the first n.
        labels: (n,) their classes, or None.
        confidence: (n,) how sure the judge is of them, where they are the judge's.
        facts: what else decides the images.
        machine: what decides their last bits, and those of the files.
    """

    n: int
    layout: Layout
    places: Indices | None
    labels: Indices | None
    confidence: npt.NDArray[np.float32] | None
    facts: dict[str, Any]
    machine: dict[str, str]

    def digest(self) -> str:
        """Hash all but the machine."""
        rest = json.dumps([self.n, asdict(self.layout), self.facts], sort_keys=True).encode()
        arrays = (self.places, self.labels, self.confidence)
        given = [array.tobytes() for array in arrays if array is not None]
        return hashlib.sha256(b"".join([rest, *given])).hexdigest()

    def counts(self) -> dict[str, int]:
        """Count the images of each class that has some."""
        each = np.bincount([] if self.labels is None else self.labels, minlength=len(self.layout.classes))
        return {name: int(count) for name, count in zip(self.layout.classes, each, strict=True) if count}


class Shard(NamedTuple):
    """One file of the set, and the parts that it is put together from."""

    file: Path
    parts: range


class Draft:
    """The folder of a data set that is not finished; a later call with the same plan goes on with it.

    It goes through three states. In `parts/` lie parts, each whole. In `joined/` lie files of the set, each
    put together from parts, which are then deleted, and at last the card. When all is there, `joined/` is
    renamed `finished/`, and what is in it is moved out to its place. A kill may come between any two steps:
    what is missing is made again, and the bytes are the same.

    Raises: UsageError where it is of another plan or machine, StorageError where the disk is too small.
    """

    def __init__(self, target: Target, plan: Plan) -> None:
        self.target, self.plan, self.format = target, plan, target.format
        self.parts, self.joined, self.finished = (
            target.draft / name for name in ("parts", "joined", "finished")
        )
        each = self.format.bytes_each(plan.layout)
        self.rows = min(PART, max(1, _PART_BYTES // (each * BLOCK)) * BLOCK)
        self.count = -(-plan.n // self.rows)
        together = self.count if self.format.one_file else max(1, LARGEST // (each * self.rows))
        firsts = range(0, self.count, together)
        self.shards = [
            Shard(target.file(number, len(firsts)), range(first, min(first + together, self.count)))
            for number, first in enumerate(firsts)
        ]
        self._most = each * (plan.n + self.rows)  # bytes: what is joined is copied part by part
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Draft:
        if rank() == 0:
            try:
                self._open()
            except BaseException:
                self.__exit__()
                raise
        agree(None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def _open(self) -> None:
        """Begin, or go on with what is there; nothing that is not of this plan is touched."""
        place = self.target.draft
        begun = json.loads((place / PLAN).read_text()) if (place / PLAN).is_file() else {}
        self._check(begun)
        to_do = sum(len(self.rows_of(part)) for part in self.missing())
        needed = self._most * to_do / self.plan.n
        with self._refusals():
            self.parts.mkdir(parents=True, exist_ok=True)
            self._lock = locked(place, "making")
            for left in self.parts.glob(".making-*"):
                left.unlink()
            try:
                check_bytes(self.target.path, needed)
            except StorageError:
                if not begun:
                    shutil.rmtree(place)
                raise
            plan = {"plan": self.plan.digest(), "machine": self.plan.machine}
            write_whole(place / PLAN, json.dumps(plan).encode())

    def _check(self, begun: dict[str, Any]) -> None:
        place, now = self.target.draft, self.plan.machine
        check_class_folders(self.target, self.plan.layout)
        if begun and begun.get("plan") != self.plan.digest():
            raise UsageError(
                f"{place}: holds an unfinished data set that was ordered otherwise",
                hint=f"the same command as then, or rm -r {place}",
            )
        before = begun.get("machine", now)
        moved = [f"{before.get(what)}, here {now[what]}" for what in now if before.get(what) != now[what]]
        if moved and not self.finished.exists():
            raise UsageError(
                f"{place}: was begun on another machine ({'; '.join(moved)}), where images may differ in "
                "their last bits",
                hint=f"go on there, or begin anew after rm -r {place}",
            )
        if not begun and place.exists() and not is_spent(place):
            raise UsageError(f"{place}: is already there, and is no unfinished data set")
        check_free(*self._places())

    def _places(self) -> list[Path]:
        """List where everything goes that has not been moved there."""
        root, target = self.target.root, self.target
        if not target.is_file:
            return [root]
        if self.finished.exists():
            return [root / file.name for file in self.finished.iterdir()]
        card = [target.card_file(name) for name in CARD]
        return [target.path, *(root / file for file in [*card, *(shard.file for shard in self.shards)])]

    def missing(self) -> list[int]:
        """List the parts that are to be made."""
        if self.finished.exists():
            return []
        there = {*self.parts.glob("*")}
        shards = [shard for shard in self.shards if not (self.joined / shard.file).exists()]
        return [part for shard in shards for part in shard.parts if self.part(part) not in there]

    def rows_of(self, part: int) -> Indices:
        """Return the numbers of the images of a part."""
        return np.arange(part * self.rows, min((part + 1) * self.rows, self.plan.n))

    def part(self, number: int) -> Path:
        """Return the place of a part."""
        return self.parts / f"part-{number:06d}"

    def join(self) -> None:
        """Put the files of the set together."""
        with self._refusals():
            for shard in self.shards:
                goal = self.joined / shard.file
                if goal.exists():
                    continue
                goal.parent.mkdir(parents=True, exist_ok=True)
                parts = [self.part(number) for number in shard.parts]
                lost = [part.name for part in parts if not part.exists()]
                if lost:
                    raise StorageError(f"{self.target.draft}: {', '.join(lost)} went missing", hint=AGAIN)
                making = goal.with_name(f".{goal.name}")
                self.format.write(making, _taken(parts), self.plan.layout)
                sync_all(making)
                making.rename(goal)

    def place(self) -> None:
        """Move the set, its card included, to its place, and end the draft."""
        with self._refusals():
            if not self.finished.exists():
                for card in filter(Path.is_file, self.joined.iterdir()):
                    sync(card)
                self.joined.rename(self.finished)
            check_free(*self._places())
            if self.target.is_file:
                data = {shard.file.name for shard in self.shards}
                for file in sorted(self.finished.iterdir(), key=lambda file: (file.name in data, file.name)):
                    file.rename(self.target.root / file.name)
            else:
                self.finished.rename(self.target.path)
            sync(self.target.path.parent)
            shutil.rmtree(self.target.draft)

    def _refusals(self) -> AbstractContextManager[None]:
        return disk_refusals(self.target.path, AGAIN)


def check_class_folders(target: Target, layout: Layout) -> None:
    """Raise UsageError where classes cannot have a folder each."""
    names = Counter(folder_name(name) for name in layout.classes)
    hidden = any(name[:1] in ("", ".") for name in names)
    if not target.suffix and (max(names.values(), default=1) > 1 or hidden):
        raise UsageError(
            f"--format {target.name}: the classes {', '.join(layout.classes)} cannot have a folder each",
            hint="--format zip",
        )


def save_part(path: Path, batches: Iterable[Batch]) -> None:
    """Write the batches of a part, in the one form that parts of every format have."""
    whole = [*batches]
    images = [image for batch in whole for image in batch.images]
    arrays = {"first": np.array(whole[0].first)}
    if isinstance(images[0], bytes):
        arrays["ends"] = np.cumsum([len(image) for image in images])
        arrays["images"] = np.frombuffer(b"".join(images), np.uint8)
    else:
        arrays["images"] = np.stack(images)
    for name in ("labels", "confidence"):
        if getattr(whole[0], name) is not None:
            arrays[name] = np.concatenate([getattr(batch, name) for batch in whole])
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _taken(parts: Iterable[Path]) -> Iterator[Batch]:
    """Read parts, each of which is then deleted."""
    for path in parts:
        with np.load(path) as file:
            arrays = dict(file)
        path.unlink()
        images = arrays["images"]
        if "ends" in arrays:
            images = [one.tobytes() for one in np.split(images, arrays["ends"][:-1])]
        yield Batch(int(arrays["first"]), images, arrays.get("labels"), arrays.get("confidence"))


def sync_all(path: Path) -> None:
    """Make a file, or all in a folder, survive a power cut."""
    if path.is_dir():
        os.sync()  # of ten thousand small files, at once
    else:
        sync(path)
