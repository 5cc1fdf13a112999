"""A run's images as a data set on disk: planned, made in parts, finished in one step."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from gander.chance import rank, world_size
from gander.data.folders import folder_name
from gander.data.origins import Pixels
from gander.engine.distributed import agree, wait_for_all
from gander.errors import StorageError, UsageError, did_you_mean
from gander.files import LOCK, check_free, locked, storage_error, sync_folder, write_whole
from gander.generate.stream import BLOCK, Indices, Stream
from gander.generate.writers import FORMATS, LARGEST, About, Batch, image_file
from gander.scores.judge import Judge

PART = 40 * BLOCK
"""The most images of a part, which one process makes and which is there whole or not at all."""

_PART_BYTES = 64 * 10**6  # of a part, which may be held in memory
_AHEAD = 4  # blocks that are made while others are encoded and written
_MANIFEST, _DATA, _FINISHED = "plan.json", "parts", "finished"
_CARD = ("README.md", "dataset.json", "recipe.toml", "sheet.png")
_AGAIN = "the same command again, which goes on from there"

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

    def plan(self) -> dict[str, Any]:
        """Read what the draft is to become; {} where there is none."""
        file = self.draft / _MANIFEST
        return json.loads(file.read_text()) if file.is_file() else {}

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
    if path.name in ("", ".."):
        raise UsageError(f'--to "{path}": give the new folder or file a name', hint=f"--to {path / 'made'}")
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
    if wanted is None and named is None and path.suffix[1:].isalpha():
        near = did_you_mean(path.suffix[1:], FORMATS)
        raise UsageError(
            f'--to "{path}": no format is called {path.suffix[1:]}; allowed are {", ".join(FORMATS)}{near}',
            hint="a name without an ending for a folder, or --format",
        )
    target = Target(path, named or wanted or "parquet", named is not None)
    if path.exists() and target.draft.exists() and _is_empty(target.draft):
        shutil.rmtree(target.draft)  # a process that was killed at its very end left it
    if not target.is_file:
        check_free(path)
    elif not target.draft.exists():
        check_free(path, path.with_name(target.beside("README.md").name))
    return target


def _is_empty(draft: Path) -> bool:
    """Tell whether a draft holds nothing that would have to be made again, and nothing foreign."""
    held = [path for path in draft.rglob("*") if path.name not in (_MANIFEST, LOCK, _DATA, _FINISHED)]
    ours = (f".{_MANIFEST}-", ".counts-", "counts-", ".making-")
    return all(path.name.startswith(ours) for path in held)


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
        each = self.format.bytes_each(order.about)
        self.rows = min(PART, max(1, _PART_BYTES // (each * BLOCK)) * BLOCK)
        self.count = -(-order.n // self.rows)
        together = self.count if self.format.whole else max(1, LARGEST // (each * self.rows))
        leads = range(0, self.count, together)
        self.shares = [
            Share(target.file(number, len(leads)), [*range(lead, min(lead + together, self.count))])
            for number, lead in enumerate(leads)
        ]
        self._most = each * (order.n + self.rows)  # bytes: what is joined is copied part by part
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Draft:
        if rank() == 0:
            _check_folders(self.target, self.order.about.classes)
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
        """Begin, or go on with what is there; nothing that is not of this order is touched."""
        place, plan = self.target.draft, self.target.plan()
        if plan.get("order", self.order.digest()) != self.order.digest():
            raise UsageError(
                f"{place}: holds an unfinished data set that was ordered otherwise",
                hint=f"the same command as then, or rm -r {place}",
            )
        if not plan and place.exists() and not _is_empty(place):
            raise UsageError(f"{place}: is already there, and is no unfinished data set")
        if not plan.get("placing"):
            check_free(*self._places())
        done = self.order.n - sum(self._rows(part) for part in self.missing())
        needed = self._most * (1 - done / self.order.n)
        try:
            (place / _DATA).mkdir(parents=True, exist_ok=True)
            self._lock = locked(place, "making")
            for left in (place / _DATA).glob(".making-*"):
                _remove(left)
            free = shutil.disk_usage(place).free
            if needed > free:
                if not plan:
                    shutil.rmtree(place)
                raise StorageError(
                    f"{self.target.path}: up to {needed / 1e6:,.0f} MB are needed there, and "
                    f"{free / 1e6:,.0f} MB are free",
                    hint="--to another disk, or a smaller -n",
                )
            self._save_plan(placing=bool(plan.get("placing")))
        except OSError as error:
            raise storage_error(error, self.target.path, _AGAIN) from None

    def _save_plan(self, placing: bool) -> None:
        plan = {"order": self.order.digest(), "placing": placing}
        write_whole(self.target.draft / _MANIFEST, json.dumps(plan).encode())

    def _places(self) -> list[Path]:
        """List everything that the set will be."""
        if not self.target.is_file:
            return [self.target.path]
        files = [share.file for share in self.shares] + [self.target.beside(name) for name in _CARD]
        return [self.target.path, *(self.target.path.with_name(file.name) for file in files)]

    def missing(self) -> list[int]:
        """List the parts that are not there yet."""
        there = {path.name for path in (self.target.draft / _DATA).glob("*")}
        shares = [share for share in self.shares if not self._is_done(share)]
        return [part for share in shares for part in share.parts if self._name(part) not in there]

    def _is_done(self, share: Share) -> bool:
        """Tell whether a file of the set is there, in the draft or in its place already."""
        if (self.target.draft / _FINISHED / share.file).exists():
            return True
        moved = self.target.path.with_name(share.file.name)
        return self.target.is_file and bool(self.target.plan().get("placing")) and moved.is_file()

    def _name(self, part: int) -> str:
        return f"part-{part:06d}{self.format.suffix}"

    def _rows(self, part: int) -> int:
        return min(self.rows, self.order.n - part * self.rows)

    def make(self, stream: Stream, judge: Judge | None, tell: Tell) -> None:
        """Make this process's share of the missing parts; `tell` hears how many images are written.

        `judge` names the classes where the order says that it does.
        """
        mine = [part for part in self.missing() if part % world_size() == rank()]
        leads = {share.parts[0] for share in self.shares}
        data = self.target.draft / _DATA
        draft = data / f".making-{rank()}"
        try:
            with closing(self._batches(stream, judge, mine, tell)) as made:
                for part, own in groupby(made, lambda batch: batch.first // self.rows):
                    _remove(draft)
                    counts = np.zeros(len(self.order.about.classes), np.int64)
                    self.format.write(draft, _counted(own, counts), self.order.about, part in leads)
                    _sync(draft)
                    write_whole(data / f"counts-{part:06d}.json", json.dumps(counts.tolist()).encode())
                    draft.rename(data / self._name(part))
        except OSError as error:
            _remove(draft)
            whole = self.count - len(self.missing())
            told = storage_error(error, self.target.draft, _AGAIN)
            told.problems = (*told.problems, f"{whole} of {self.count} parts are there, whole")
            raise told from None
        wait_for_all()

    def files(self) -> list[str]:
        """List the files of the set, from the folder that the set lies in."""
        root = Path() if self.target.is_file else Path(self.target.path.name)
        return [str(root / share.file) for share in self.shares]

    def counts(self) -> dict[str, int]:
        """Count the images of each class that has some."""
        files = (self.target.draft / _DATA).glob("counts-*.json")
        each = [json.loads(file.read_text()) for file in files]
        total = [sum(counts) for counts in zip(*each, strict=True)]
        return {name: count for name, count in zip(self.order.about.classes, total, strict=True) if count}

    def _batches(
        self, stream: Stream, judge: Judge | None, parts: list[int], tell: Tell
    ) -> Generator[Batch, None, None]:
        """Give the images of parts block by block, each of one part.

        The net does not wait for who encodes and writes.
        """

        def blocks() -> Iterator[tuple[Indices, Pixels]]:
            for part in parts:
                rows = np.arange(part * self.rows, part * self.rows + self._rows(part))
                places = rows if self.order.places is None else self.order.places[rows]
                yield from ((rows[chosen], pixels) for chosen, pixels in stream.at(places))

        def encoded(numbers: Indices, pixels: Pixels) -> Batch:
            images = [image_file(image) for image in pixels] if self.format.png else []
            labels, confidence = None, None
            if judge is not None:
                sure, named = judge.look(pixels).probabilities.max(1)
                labels, confidence = named.numpy(), sure.numpy()
            elif self.order.labels is not None:
                labels = self.order.labels[numbers]
            return Batch(int(numbers[0]), pixels, images, labels, confidence)

        coming_blocks = blocks()

        def made() -> Future[Batch] | None:
            block = next(coming_blocks, None)
            return None if block is None else encoders.submit(encoded, *block)

        with ThreadPoolExecutor(2) as encoders, ThreadPoolExecutor(1) as maker:
            coming = deque(maker.submit(made) for _ in range(_AHEAD))
            while (batch := coming.popleft().result()) is not None:
                coming.append(maker.submit(made))
                yield batch.result()
                tell(len(batch.result().pixels))

    def finish(self, card: Callable[[Path], None]) -> list[Path]:
        """Put the parts together, let `card` write what stands beside them, and give the set its place.

        Returns: the files of the set.
        """
        done = self.target.draft / _FINISHED
        try:
            for share in self.shares:
                if not self._is_done(share):
                    self._join(share, done / share.file)
            done.mkdir(exist_ok=True)
            card(done)
            if self.target.is_file:
                self._place(done)
            else:
                done.rename(self.target.path)
            sync_folder(self.target.path.parent)
            shutil.rmtree(self.target.draft)
        except OSError as error:
            raise storage_error(error, self.target.path, _AGAIN) from None
        root = self.target.path.parent if self.target.is_file else self.target.path
        return [root / share.file for share in self.shares]

    def _join(self, share: Share, goal: Path) -> None:
        parts = [self.target.draft / _DATA / self._name(part) for part in share.parts]
        lost = [part.name for part in parts if not part.exists()]
        if lost:
            raise StorageError(f"{self.target.draft}: {', '.join(lost)} went missing", hint=_AGAIN)
        goal.parent.mkdir(parents=True, exist_ok=True)
        made = goal.with_name(f".{goal.name}")
        self.format.join(parts, made, self.order.about)
        _sync(made)
        made.rename(goal)

    def _place(self, done: Path) -> None:
        """Move the files of the card, then the data, beside what is there already."""
        if not self.target.plan().get("placing"):
            check_free(*self._places())
            self._save_plan(placing=True)
        card = [self.target.beside(name) for name in _CARD]
        for file in [*card, *(share.file for share in self.shares)]:
            if (done / file).exists():  # not so where a killed process moved it
                (done / file).rename(self.target.path.with_name(file.name))


def _check_folders(target: Target, classes: Sequence[str]) -> None:
    """Raise UsageError where classes cannot have a folder each."""
    names = Counter(folder_name(name) for name in classes)
    hidden = any(name[:1] in ("", ".") for name in names)
    if target.format == "folder" and (max(names.values(), default=1) > 1 or hidden):
        raise UsageError(
            f"--format folder: the classes {', '.join(classes)} cannot have a folder each",
            hint="--format zip",
        )


def _counted(batches: Iterator[Batch], counts: Indices) -> Iterator[Batch]:
    """Count the labels of what passes by."""
    for batch in batches:
        if batch.labels is not None:
            counts += np.bincount(batch.labels, minlength=len(counts))
        yield batch


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
