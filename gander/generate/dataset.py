"""A run's images as a data set on disk: planned, made in parts, finished in one step."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gander.chance import rank, world_size
from gander.engine.distributed import agree
from gander.errors import StorageError, UsageError, did_you_mean
from gander.generate.stream import BLOCK, Indices, Stream
from gander.generate.writers import FORMATS, LARGEST, About, Batch, image_file
from gander.metrics.judge import Judge
from gander.run import check_free, storage_error, sync_folder, write_whole

PART = 40 * BLOCK
"""Images of a part, which one process makes and which is there whole or not at all."""

_AHEAD = 4  # blocks that are made while others are encoded and written
_MANIFEST, _DATA, _FINISHED = "plan.json", "parts", "finished"

Tell = Callable[[int], object]


@dataclass(frozen=True)
class Target:
    """Where a data set goes: a folder, or one file (more, where it is large) with its card beside it."""

    path: Path
    format: str
    is_file: bool

    @property
    def draft(self) -> Path:
        """The folder of what is not finished."""
        return self.path.with_name(f"{self.path.name}.unfinished")

    def file(self, number: int, count: int) -> Path:
        """Give the place, within the finished folder, of one of the set's files."""
        suffix = FORMATS[self.format].suffix
        if self.format == "folder":
            return Path("train")
        if not self.is_file:
            return Path("data") / f"train-{number:05d}-of-{count:05d}{suffix}"
        stem = self.path.name.removesuffix(suffix)
        return Path(self.path.name if count == 1 else f"{stem}-{number:05d}-of-{count:05d}{suffix}")

    def beside(self, name: str) -> Path:
        """Give the place of a file of the card."""
        suffix = FORMATS[self.format].suffix
        return Path(f"{self.path.name.removesuffix(suffix)}.{name}" if self.is_file else name)


def find_target(path: Path, wanted: str | None) -> Target:
    """Choose the format from a name, or take the one that is asked for; Parquet without either.

    Raises: UsageError where they differ, the format is not known, or something is there already.
    """
    if wanted is not None and wanted not in FORMATS:
        allowed = ", ".join(FORMATS)
        raise UsageError(f'--format "{wanted}": allowed are {allowed}{did_you_mean(wanted, FORMATS)}')
    named = next(
        (name for name, kind in FORMATS.items() if kind.suffix and path.name.endswith(kind.suffix)), None
    )
    if wanted == "csv" and named in ("csv.gz", "csv.zst"):
        wanted = named
    if named is not None and wanted not in (None, named):
        raise UsageError(f'--to "{path}": is named like {named}, and --format says {wanted}')
    target = Target(path, named or wanted or "parquet", named is not None)
    taken = [path, path.with_name(target.beside("README.md").name)] if target.is_file else [path]
    if not (target.draft / _FINISHED).exists():
        if any(place.exists() for place in taken):
            shutil.rmtree(target.draft, ignore_errors=True)  # a process killed at its very end left it
        check_free(*taken)
    return target


@dataclass(frozen=True)
class Order:
    """What is to be made; equal orders give equal bytes.

    Args:
        n: images.
        places: (n,) which images of the stream; None for the first n.
        labels: (n,) their classes, or None.
    """

    n: int
    about: About
    places: Indices | None
    labels: Indices | None
    facts: dict[str, Any]  # what else the bytes depend on

    def digest(self) -> str:
        """Hash all that decides the bytes."""
        told = json.dumps([self.n, asdict(self.about), self.facts], sort_keys=True).encode()
        arrays = [array.tobytes() for array in (self.places, self.labels) if array is not None]
        return hashlib.sha256(b"".join([told, *arrays])).hexdigest()


class Share(NamedTuple):
    """The parts of one file of the set."""

    file: Path
    parts: list[int]


class Draft:
    """A data set in the making; a later call with the same order goes on with it.

    Raises: UsageError where the draft is of another order, StorageError where the disk is too small.
    """

    def __init__(self, target: Target, order: Order) -> None:
        self.target, self.order = target, order
        self.format = FORMATS[target.format]
        self.count = -(-order.n // PART)
        each = self.format.bytes_each(order.about)
        rows = max(1, LARGEST // (each * PART)) if self.format.joins else 1
        if target.format == "folder":
            rows = self.count
        leads = range(0, self.count, rows)
        self.shares = [
            Share(target.file(number, len(leads)), [*range(lead, min(lead + rows, self.count))])
            for number, lead in enumerate(leads)
        ]
        if rank() == 0:
            self._open(each)
        agree(None)

    def _open(self, each: int) -> None:
        place = self.target.draft
        manifest, digest = place / _MANIFEST, self.order.digest()
        if place.exists():
            held = json.loads(manifest.read_text()) if manifest.is_file() else {}
            if held.get("order") != digest:
                raise UsageError(
                    f"{place}: holds an unfinished data set that was ordered otherwise",
                    hint=f"the same command as then, or rm -r {place}",
                )
        needed = (2 if self.format.joins else 1) * each * sum(self._rows(part) for part in self.missing())
        try:
            (place / _DATA).mkdir(parents=True, exist_ok=True)
            for left in (place / _DATA).glob(".making-*"):
                _remove(left)
            free = shutil.disk_usage(place).free
            if needed > free:
                if not manifest.exists():
                    shutil.rmtree(place)
                raise StorageError(
                    f"{self.target.path}: up to {needed / 1e6:,.0f} MB are needed there, and "
                    f"{free / 1e6:,.0f} MB are free",
                    hint="--to another disk, or a smaller -n",
                )
            write_whole(manifest, json.dumps({"order": digest}).encode())
        except OSError as error:
            raise storage_error(error, self.target.path) from None

    def missing(self) -> list[int]:
        """List the parts that are not there yet."""
        there = {path.name for path in (self.target.draft / _DATA).glob("*")}
        shares = [share for share in self.shares if not self._is_done(share)]
        return [part for share in shares for part in share.parts if self._name(part) not in there]

    def _is_done(self, share: Share) -> bool:
        """Tell whether a file of the set is there, in the draft or in its place already."""
        moved = self.target.path.with_name(share.file.name)
        return (self.target.draft / _FINISHED / share.file).is_file() or (
            self.target.is_file and moved.is_file()
        )

    def _name(self, part: int) -> str:
        return f"part-{part:06d}{self.format.suffix}"

    def _rows(self, part: int) -> int:
        return min(PART, self.order.n - part * PART)

    def make(self, stream: Stream, judge: Judge | None, tell: Tell) -> None:
        """Make this process's share of the missing parts; `tell` hears how many images are written.

        `judge` names the classes where the order says that it does.
        """
        mine = [part for part in self.missing() if part % world_size() == rank()]
        leads = {share.parts[0] for share in self.shares}
        draft = self.target.draft / _DATA / f".making-{os.getpid()}"
        try:
            for part in mine:
                _remove(draft)
                batches = self._batches(stream, judge, part, tell)
                self.format.write(draft, batches, self.order.about, part in leads)
                _sync(draft)
                draft.rename(self.target.draft / _DATA / self._name(part))
        except OSError as error:
            _remove(draft)
            whole = self.count - len(self.missing())
            told = storage_error(error, self.target.draft)
            told.problems = (*told.problems, f"{whole} of {self.count} parts are there, whole")
            told.hint = "free some room, then the same command again goes on from there"
            raise told from None
        agree(None)

    def _batches(self, stream: Stream, judge: Judge | None, part: int, tell: Tell) -> Iterator[Batch]:
        """Give a part's images block by block; the net goes ahead of who encodes and writes."""
        rows = np.arange(part * PART, part * PART + self._rows(part))
        places = rows if self.order.places is None else self.order.places[rows]

        def encoded(block: tuple[Indices, npt.NDArray[np.uint8]]) -> Batch:
            chosen, pixels = block
            images = [image_file(image) for image in pixels] if self.format.png else []
            labels, confidence = None, None
            if judge is not None:
                sure, named = judge.look(pixels).probabilities.max(1)
                labels, confidence = named.numpy(), sure.numpy()
            elif self.order.labels is not None:
                labels = self.order.labels[rows[chosen]]
            return Batch(int(rows[chosen[0]]), pixels, images, labels, confidence)

        with ThreadPoolExecutor(2) as pool:
            blocks = stream.at(places)
            coming = [pool.submit(encoded, block) for block in islice(blocks, _AHEAD)]
            while coming:
                batch = coming.pop(0).result()
                coming += [pool.submit(encoded, block) for block in islice(blocks, 1)]
                yield batch
                tell(len(batch.pixels))

    def finish(self, card: Callable[[Path], None]) -> list[Path]:
        """Put the parts together, let `card` write what stands beside them, and give the set its place.

        Returns: the files of the set.
        """
        done = self.target.draft / _FINISHED
        try:
            for share in self.shares:
                goal = done / share.file
                goal.parent.mkdir(parents=True, exist_ok=True)
                parts = [self.target.draft / _DATA / self._name(part) for part in share.parts]
                if self.target.format == "folder":
                    self.format.join([part for part in parts if part.exists()], goal, self.order.about)
                elif not self._is_done(share):
                    made = goal.with_name(f".{goal.name}")
                    self.format.join(parts, made, self.order.about)
                    _sync(made)
                    made.rename(goal)
            card(done)
            if self.target.is_file:
                data = {share.file.name for share in self.shares}
                for file in sorted(done.iterdir(), key=lambda file: file.name in data):  # the data come last
                    file.rename(self.target.path.with_name(file.name))
            else:
                done.rename(self.target.path)
            sync_folder(self.target.path.parent)
            shutil.rmtree(self.target.draft)
        except OSError as error:
            raise storage_error(error, self.target.path) from None
        root = self.target.path.parent if self.target.is_file else self.target.path
        return [root / share.file for share in self.shares]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Make a file, or all in a folder, survive a power cut."""
    if path.is_dir():
        os.sync()  # of ten thousand small files, at once
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())
