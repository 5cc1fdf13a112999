"""Checkpoints that are whole or not there: draft folder, fsync, sha256 manifest, rename."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from gander.engine.guard import first_bad
from gander.errors import CheckpointError, NumericsError
from gander.files import digest_of, disk_refusals, draft_of
from gander.run import RESUME, Pretrained, Run

_TENSORS, _PROGRESS, _MANIFEST = "state.safetensors", "progress.json", "manifest.json"
_DEBRIS = re.compile(r"\.(images-\d{12}-\d+\.draft|replaced-images-\d{12})")
_FORMAT = 2  # 1 held random states, and memories under other names


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and found whole."""

    tensors: dict[str, Tensor]
    progress: dict[str, Any]
    digest: str  # of the tensors' file


def save_checkpoint(
    run: Run,
    images: int,
    tensors: Mapping[str, Tensor],
    progress: Mapping[str, Any],
    keep: int,
    best: int | None = None,
) -> Path:
    """Write a checkpoint, then drop the oldest beyond the `keep` newest; the one of `best` images stays.

    Raises: NumericsError where a tensor is not finite, StorageError where the disk refuses; old ones stay.
    """
    bad = first_bad(tensors)
    if bad:
        raise NumericsError(f"after {images:,} images: {bad} is not finite, so it is not saved")
    folder = _folder(run, images)
    contents = {
        _TENSORS: safetensors.torch.save(dict(tensors)),
        _PROGRESS: json.dumps({"format": _FORMAT, **progress}, indent=2).encode() + b"\n",
    }
    listed = {name: {"bytes": len(data), "sha256": digest_of(data)} for name, data in contents.items()}
    contents[_MANIFEST] = json.dumps(listed, indent=2).encode() + b"\n"
    if _holds(folder, contents):
        return folder
    with disk_refusals(folder, RESUME):
        tidy_checkpoints(run, keep, best)
        with draft_of(folder) as draft:
            for name, data in contents.items():
                (draft / name).write_bytes(data)
            if folder.exists():  # of the same moment, but damaged or from other threads
                folder.rename(folder.with_name(f".replaced-{folder.name}"))
        tidy_checkpoints(run, keep, best)
    return folder


def tidy_checkpoints(run: Run, keep: int, best: int | None) -> None:
    """Drop the oldest beyond the `keep` newest checkpoints, and what a killed process has left.

    The one of `best` images stays.
    """
    for debris in filter(_DEBRIS.fullmatch, (path.name for path in run.checkpoints.glob(".*"))):
        _drop(run.checkpoints / debris)
    good, chosen = 0, None if best is None else _folder(run, best)
    for folder in reversed(run.saved()):
        if good >= keep:
            if folder != chosen:
                _drop(folder)
        elif _has_its_sizes(folder):  # to hash them would read `keep` times what a save writes
            good += 1


def _drop(folder: Path) -> None:
    """Delete what a checkpoint consists of; what else lies there is nobody's to delete but its owner's."""
    with suppress(OSError):
        for name in (_MANIFEST, _TENSORS, _PROGRESS):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def newest_checkpoint(run: Run) -> tuple[Checkpoint | None, list[str]]:
    """Read the newest whole checkpoint; also say which newer ones are damaged, and how.

    A run that never saved has none. Raises: CheckpointError where all there are are damaged.
    """
    skipped: list[str] = []
    for folder in reversed(run.saved()):
        contents = _contents(folder)
        if isinstance(contents, dict):
            return _checkpoint(folder, contents), skipped
        skipped.append(f"{folder}: is damaged ({contents}), so it is not used")
    if skipped:
        raise CheckpointError(
            *skipped, f"{run.path}: no usable checkpoint is left", hint="train anew with another --run"
        )
    return None, skipped


def read_checkpoint(run: Run, images: int | None) -> Checkpoint:
    """Read the checkpoint of so many images, or the newest whole one; of a pretrained generator, its weights.

    Raises: CheckpointError where there is none, with those that there are.
    """
    if isinstance(run, Pretrained) and images is None:
        start = dict.fromkeys(("stage", "images", "steps"), 0)
        return Checkpoint(safetensors.torch.load_file(run.generator_file), start, run.card["digest"])
    if images is None:
        newest, _ = newest_checkpoint(run)
        if newest is None:
            raise CheckpointError(f"{run.path}: has no checkpoint yet", hint=f"gander resume {run.path}")
        return newest
    folder = _folder(run, images)
    if folder not in run.saved():
        there = ", ".join(f"{int(other.name.removeprefix('images-')):,}" for other in run.saved()) or "none"
        raise CheckpointError(f"{run.path}: has no checkpoint at {images:,} images; there are: {there}")
    contents = _contents(folder)
    if not isinstance(contents, dict):
        raise CheckpointError(f"{folder}: is damaged ({contents})")
    return _checkpoint(folder, contents)


def _checkpoint(folder: Path, contents: Mapping[str, bytes]) -> Checkpoint:
    progress = json.loads(contents[_PROGRESS])
    if progress["format"] != _FORMAT:
        raise CheckpointError(f"{folder}: has format {progress['format']}; this version reads {_FORMAT}")
    tensors = safetensors.torch.load(contents[_TENSORS])
    if bad := first_bad(tensors):
        raise CheckpointError(f"{folder}: {bad} is not finite")
    return Checkpoint(tensors, progress, digest_of(contents[_TENSORS]))


def _contents(folder: Path) -> dict[str, bytes] | str:
    """Read the files of a checkpoint, or say in words what is wrong with it."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_bytes())
        contents = {name: (folder / name).read_bytes() for name in (_TENSORS, _PROGRESS)}
        for name, data in contents.items():
            if len(data) != manifest[name]["bytes"]:
                return f"{name} has {len(data):,} bytes of {manifest[name]['bytes']:,}"
            if digest_of(data) != manifest[name]["sha256"]:
                return f"{name} has not the sha256 it was written with"
        return contents
    except OSError as error:
        return f"{Path(error.filename or folder).name}: {error.strerror}"
    except (ValueError, KeyError, TypeError):
        return f"{_MANIFEST} cannot be read"


def _has_its_sizes(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / _MANIFEST).read_bytes())
        sizes = {name: (folder / name).stat().st_size for name in (_TENSORS, _PROGRESS)}
        return all(manifest[name]["bytes"] == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _holds(folder: Path, contents: Mapping[str, bytes]) -> bool:
    try:
        return all((folder / name).read_bytes() == data for name, data in contents.items())
    except OSError:
        return False


def _folder(run: Run, images: int) -> Path:
    return run.checkpoints / f"images-{images:012d}"
