"""The run directory: its file names, its readers, and the one writer of each file."""

from __future__ import annotations

import json
import logging
import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gander.errors import CheckpointError, StorageError, UsageError, did_you_mean
from gander.files import (
    check_plain,
    digest_of,
    draft_of,
    file_digest,
    is_locked,
    locked,
    storage_error,
    write_whole,
)
from gander.history import History, best_of, chained, read_rows

BEST = "best.safetensors"
RESUME = "gander resume RUN"
PRETRAINED = Path(__file__).parent / "pretrained"
PRETRAINED_FORMAT = 1
_CHECKPOINT = re.compile(r"images-\d{12}")
_DRAFT = re.compile(
    r"\.(((best|generator|average-\d)\.safetensors|state\.json|log\.jsonl|metrics\.jsonl)"
    r"|(reals|curves|images-\d{12})\.png)-\d+\.draft"
)
_WEIGHTS = re.compile(r"(best|generator|average-[2-9])\.safetensors")


def runs_root() -> Path:
    """Give the folder that holds runs: $GANDER_RUNS, or runs/ here."""
    return Path(os.environ.get("GANDER_RUNS", "runs"))


@dataclass(frozen=True)
class Run:
    """One training on disk; it is all that looking at a training needs.

    Args:
        weights: the file of the generator that is meant.
    """

    path: Path
    weights: str = "generator.safetensors"

    @property
    def name(self) -> str:
        """The folder's name; with the weights' where they are not the newest."""
        return self.path.name if self.weights == Run.weights else f"{self.path.name}/{self.weights}"

    @property
    def recipe_file(self) -> Path:
        """The resolved recipe, with every setting."""
        return self.path / "recipe.toml"

    @property
    def env_file(self) -> Path:
        """Versions, device, threads, data fingerprint."""
        return self.path / "env.json"

    @property
    def log_file(self) -> Path:
        """One object a line: losses, scores, speed by images shown."""
        return self.path / "log.jsonl"

    @property
    def reals_file(self) -> Path:
        """A contact sheet of real images."""
        return self.path / "reals.png"

    @property
    def curves_file(self) -> Path:
        """The loss and score curves as a picture."""
        return self.path / "curves.png"

    @property
    def checkpoints(self) -> Path:
        """One folder a checkpoint, named by images shown."""
        return self.path / "checkpoints"

    @property
    def generator_file(self) -> Path:
        """The averaged generator's weights, written with every checkpoint."""
        return self.path / "generator.safetensors"

    @property
    def weights_file(self) -> Path:
        """The weights that are meant: the newest, or the best."""
        return self.generator_file if self.weights == Run.weights else self.path / self.weights

    @property
    def metrics_file(self) -> Path:
        """One object a line: the scores during training."""
        return self.path / "metrics.jsonl"

    @property
    def findings_file(self) -> Path:
        """One object a line: what the doctor found, and what was gone again."""
        return self.path / "findings.jsonl"

    @property
    def best_file(self) -> Path:
        """The averaged generator's weights at the best score during training."""
        return self.path / BEST

    @property
    def state_file(self) -> Path:
        """Whether the run is at work, and how it ended."""
        return self.path / "state.json"

    def average_file(self, number: int) -> Path:
        """The weights of a further average, from 2."""
        return self.path / f"average-{number}.safetensors"

    def plain(self) -> Run:
        """Return itself; StorageError where what it holds is not its own, but a link that leads elsewhere."""
        for places in ("*", "samples/*", "checkpoints/*", "checkpoints/images-*/*"):
            check_plain(self.path.glob(places))
        return self

    def write_state(self, state: str, more: Mapping[str, Any]) -> None:
        """Say what the run is doing: running, finished, stopped or failed; and the time, as its heartbeat."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        record = {"state": state, "at": now, "pid": os.getpid(), "host": platform.node(), **more}
        write_whole(self.state_file, json.dumps(record, indent=2).encode() + b"\n")

    def state(self) -> dict[str, Any]:
        """Read how the run is: `state` is running, finished, stopped, failed, lost or unknown.

        Lost is a run that says it runs, and that no process of this machine holds.
        """
        try:
            read: dict[str, Any] = json.loads(self.state_file.read_text("utf-8"))
            state = read["state"]
        except (OSError, ValueError, KeyError, TypeError):
            return {"state": "running" if in_use(self) else "unknown"}
        if state == "running" and read.get("host") == platform.node() and not in_use(self):
            return {**read, "state": "lost"}
        return read

    def trained_images(self) -> int:
        """Tell how many images its generator was trained with, by the newest checkpoint or the best score."""
        best = self.best_score() if self.weights == BEST else None
        if best is not None:
            return int(best["images"])
        return max(self.saved_images(), default=0)

    def saved(self) -> list[Path]:
        """List the folders of its checkpoints, whole or damaged, oldest first."""
        return sorted(path for path in self.checkpoints.glob("images-*") if _CHECKPOINT.fullmatch(path.name))

    def saved_images(self) -> list[int]:
        """List after how many images its checkpoints were saved, oldest first."""
        return [int(folder.name.removeprefix("images-")) for folder in self.saved()]

    def sheet_file(self, images: int) -> Path:
        """Give the name of the contact sheet made after so many images."""
        return self.path / "samples" / f"images-{images:012d}.png"

    def sheets(self) -> list[Path]:
        """List the contact sheets, oldest first."""
        return sorted((self.path / "samples").glob("images-*.png"))

    def _repr_png_(self) -> bytes | None:
        """Give the newest contact sheet, which is how a notebook shows a run."""
        sheets = self.sheets()
        return sheets[-1].read_bytes() if sheets else None

    def env(self) -> dict[str, Any]:
        """Read what the run was started with; StorageError where that is damaged."""
        try:
            read: dict[str, Any] = json.loads(self.env_file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not JSON"
            raise StorageError(f"{self.env_file}: cannot be read: {reason}") from None
        return read

    def ancestry(self) -> list[dict[str, Any]]:
        """Name the nets and data sets that its weights descend from; of an old run, one of kind `unknown`."""
        return self.env().get("ancestry", [{"kind": "unknown", "source": self.name}])

    def covered(self, file: Path, count: int, progress: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Read the rows that a checkpoint counts; CheckpointError where they are not what was written."""
        rows = read_rows(file)[:count]
        written = progress.get("digests", {}).get(file.name)  # a run of before has none
        if len(rows) < count or written not in (None, chained("", rows)):
            raise CheckpointError(
                f"{file}: its first {count} rows are not those written",
                hint=f"put it back, or begin a run with the weights: gander train --from {self.path}",
            )
        return rows

    def check_recipe(self, text: str) -> None:
        """Raise StorageError where the recipe is not the one that the run was begun with."""
        written = self.env().get("digests", {}).get(self.recipe_file.name)  # a run of before has none
        if written not in (None, digest_of(text.encode())):
            raise StorageError(
                f"{self.recipe_file}: was changed since the run began: its sha256 is another",
                hint=f"put it back; another recipe is another run: gander train --from {self.path} ...",
            )

    def history(self) -> History:
        """Read the log as columns."""
        return History(read_rows(self.log_file))

    def findings(self) -> list[dict[str, Any]]:
        """Read what the doctor found in training and is not gone again, as plain data, oldest first."""
        standing = {row["code"]: row for row in read_rows(self.findings_file)}
        return [row for row in standing.values() if not row.get("gone")]

    def best_score(self) -> Mapping[str, Any] | None:
        """Read the best of the scores during training."""
        return best_of(read_rows(self.metrics_file))

    def scores(self) -> History:
        """Read the scores during training as columns."""
        return History(read_rows(self.metrics_file))


class Pretrained(Run):
    """A generator that comes with gander, read as a run is; what it makes goes to a folder of its name."""

    @property
    def recipe_file(self) -> Path:
        return PRETRAINED / f"{self.path.name}.toml"

    @property
    def env_file(self) -> Path:
        return PRETRAINED / f"{self.path.name}.json"

    @property
    def generator_file(self) -> Path:
        return PRETRAINED / f"{self.path.name}.safetensors"

    @property
    def card(self) -> dict[str, Any]:
        """Format, digest, bytes, images, scores and the command and machine that made it."""
        return self.env()["pretrained"]

    def trained_images(self) -> int:
        return int(self.card["images"])

    def checked(self) -> Pretrained:
        """Return itself; CheckpointError where its file is damaged, or of a newer gander."""
        made = self.card["format"]
        if made > PRETRAINED_FORMAT:
            reason, how = f"has format {made}, and this gander reads {PRETRAINED_FORMAT}", "--upgrade"
        elif file_digest(self.generator_file) != self.card["digest"]:
            reason, how = "is damaged: its sha256 is not that of its card", "--force-reinstall"
        else:
            return self
        raise CheckpointError(f"{self.generator_file}: {reason}", hint=f"pip install {how} gander-gan")


def list_pretrained() -> list[Pretrained]:
    """List the generators that come with gander, by name."""
    return [Pretrained(runs_root() / file.stem) for file in sorted(PRETRAINED.glob("*.safetensors"))]


def create_run(path: Path | None, recipe_name: str, recipe_toml: str, env: Mapping[str, Any]) -> Run:
    """Make a run directory, whole from the first moment it can be seen.

    Args:
        path: where; None picks the next free `runs/NAME-N`.
        recipe_name: what the run is called after.
        recipe_toml: the resolved recipe.
        env: what it is started with.
    Raises: UsageError where the place is taken, StorageError where it cannot be written.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", Path(recipe_name).name.removesuffix(".toml")).strip(".-") or "run"
    for count in range(1, 1_000_000):
        goal = path or runs_root() / f"{stem}-{count}"
        if path is None and goal.exists():
            continue
        try:
            return _create(goal, recipe_toml, env)
        except FileExistsError:
            if path is not None:
                raise UsageError(
                    f'--run "{path}": is already there, and nothing is overwritten',
                    hint=f"gander resume {path}, or another --run",
                ) from None
        except OSError as error:
            raise storage_error(error, goal) from None
    raise StorageError(f"{runs_root()}: holds a million runs of {stem}")


def _create(goal: Path, recipe_toml: str, env: Mapping[str, Any]) -> Run:
    if goal.exists() and not (goal.is_dir() and not any(goal.iterdir())):
        raise FileExistsError(goal)
    try:
        with draft_of(goal) as draft:
            (draft / "samples").mkdir()
            (draft / "checkpoints").mkdir()
            (draft / "recipe.toml").write_text(recipe_toml, "utf-8")
            known = {**env, "digests": {"recipe.toml": digest_of(recipe_toml.encode())}}
            (draft / "env.json").write_text(json.dumps(known, indent=2) + "\n", "utf-8")
    except OSError as error:
        if goal.exists():
            raise FileExistsError(goal) from error
        raise
    return Run(goal)


def find_run(name: str, unsaved: bool = False) -> Run:
    """Find a run by path, by name under the runs folder, the newest by `@last`, or a pretrained generator.

    `RUN/best.safetensors` is the run with the generator of its best checkpoint. `@last` passes over runs that
    have saved no generator, unless `unsaved` ones will do.

    Raises: UsageError with the nearest name.
    """
    if name == "@last":
        newest = list_runs()
        if not newest:
            raise UsageError(f'"@last": there is no run in {runs_root()} yet', hint="gander train quickstart")
        return next((run for run in newest if unsaved or run.generator_file.is_file()), newest[0])
    weights = Path(name).name
    if _WEIGHTS.fullmatch(weights):
        run = replace(find_run(str(Path(name).parent)), weights=weights)
        if not run.weights_file.is_file():
            wanted = "; a run writes it with its first scores" if weights == BEST else ""
            raise UsageError(f"{run.weights_file}: is not there{wanted}")
        return run
    shipped = {str(place): run for run in list_pretrained() for place in (run.name, run.path)}
    for path in (Path(name), runs_root() / name):
        if (path / "recipe.toml").is_file():
            if name in shipped:
                logging.getLogger(__name__).info("%s: the run in this folder, not the pretrained one", path)
            return Run(path).plain()
    if name in shipped:
        return shipped[name].checked()
    names = [run.name for run in list_runs()]
    held = f"{runs_root()} holds: {', '.join(names[:8])}" if names else f"{runs_root()} holds none"
    near = did_you_mean(name, [*names, *shipped])
    raise UsageError(f'no run is called "{name}"; {held}{near}', hint="gander runs")


def list_runs() -> list[Run]:
    """List the runs in the runs folder, newest first."""
    found = [Run(file.parent) for file in runs_root().glob("*/recipe.toml") if file.parent.name[0] != "."]
    return sorted(found, key=lambda run: (run.recipe_file.stat().st_mtime, run.name), reverse=True)


@contextmanager
def writing(run: Run) -> Iterator[None]:
    """Hold a run for writing; the kernel lets go of it however the process ends.

    Raises: RunInUseError with the holder's process number.
    """
    with locked(run.plain().path, "training"):
        try:
            for draft in [*run.path.iterdir(), *run.path.glob("samples/*")]:
                if _DRAFT.fullmatch(draft.name):  # a process that was killed here left it
                    draft.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, run.path, RESUME) from None
        yield


def in_use(run: Run) -> bool:
    """Tell whether a process is writing a run now."""
    return is_locked(run.path)
