"""A whole run: started anew, gone on with, or branched from another; its signals, its end, its record."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from gander.chance import rank, world_size
from gander.data.facts import describe
from gander.data.images import Images, open_images
from gander.doctor.case import Case
from gander.doctor.facts import facts
from gander.doctor.finding import Finding
from gander.engine.distributed import agree, any_of_all, first_then_others, process_group
from gander.engine.machine import CHOICES, Machine, choose_machine, settings_restored, wants_cuda
from gander.engine.streams import global_streams_kept
from gander.errors import DataError, Interrupted, RecipeError, UsageError
from gander.files import append_row, disk_refusals, storage_error
from gander.generation.ancestry import Ancestry
from gander.patch import as_patch, show_patch
from gander.recipe.read import load_recipe, read_recipe
from gander.recipe.schema import Recipe
from gander.recipe.write import recipe_toml
from gander.run import RESUME, Pretrained, Run, create_run, find_run, writing
from gander.training.checkpoint import read_checkpoint
from gander.training.memory import too_large
from gander.training.session import Session
from gander.training.state import adopt, adopt_generator
from gander.training.trainer import held_out_of
from gander.training.watcher import Watching, watchers

_AGREE_EVERY = 8  # steps


@settings_restored()
def train(
    recipe: Recipe | str | Path,
    run: str | Path | None = None,
    watcher: Watching = None,
    name: str = "",
    patch: Mapping[str, Any] | Sequence[str] = (),
) -> Run:
    """Train from the start into a new run directory.

    Args:
        recipe: what to train: a recipe, the name of a shipped one, or the path of a .toml file.
        run: the new directory; None picks the next free `runs/NAME-N`.
        watcher: who hears of the progress: a Watcher, a function of the log's rows, or several.
        name: what the run is called after, where that is not the recipe's own name.
        patch: edits of the recipe: `["train.images=2000"]`.
    Raises: Interrupted (state saved) on SIGINT, SIGTERM, SIGHUP or a watcher's word; any GanderError.
    """
    if isinstance(recipe, Recipe):
        recipe = recipe.patched(patch) if patch else recipe
    else:
        recipe, name = load_recipe(str(recipe), patch), name or str(recipe)
    with process_group(wants_cuda(recipe.engine)):
        machine = choose_machine(recipe.engine)
        with global_streams_kept(machine.device):
            session, env, notes = _new_session(recipe, machine)
            env["edits"] = show_patch(as_patch(patch))
            return _go_on(_created(session, env, run, name or "run"), session, watcher, notes)


@settings_restored()
def resume(run: Run | str | Path, watcher: Watching = None) -> Run:
    """Go on exactly where a run stopped, from its newest whole checkpoint.

    Raises: CheckpointError where no checkpoint is usable, DataError where the data changed; else as `train`.
    """
    run = run if isinstance(run, Run) else find_run(str(run), unsaved=True)
    if isinstance(run, Pretrained):
        raise UsageError(f"{run.name}: holds a generator alone", hint=f"gander train --from {run.name}")
    recipe = read_recipe(run)
    with process_group(wants_cuda(recipe.engine)):
        env = run.env()
        alike = env["processes"] == world_size()
        machine = choose_machine(recipe.engine, env if alike else None)
        recipe, images = open_data(recipe)
        if images.fingerprint != env["data"]["fingerprint"]:
            raise DataError(
                f"{images.source}: is not the data this run began with: its fingerprint is "
                f"{images.fingerprint[:12]}, and was {env['data']['fingerprint'][:12]}",
                hint="put the data back, or train anew",
            )
        notes = [
            f"not bit-identical from here on: {key} was {env[key]}, is {now}"
            for key, now in machine.describe().items()
            if key in ("torch", "device_name", "processes", *CHOICES) and env.get(key, now) != now
        ]
        with global_streams_kept(machine.device):
            return _go_on(run, Session(recipe, images, machine, run.ancestry()), watcher, notes)


@settings_restored()
def branch(
    source: Run | str | Path,
    patch: Mapping[str, Any] | Sequence[str] = (),
    run: str | Path | None = None,
    watcher: Watching = None,
) -> Run:
    """Start a new run from the state of another, at the same place of the clock, with edits of its recipe.

    Weights, averages, moments and the memories of techniques are taken by name and shape; what cannot be is
    said, and recorded in `env.json`. Without edits, the branch goes on in the same bytes as its source would.

    Args:
        source: a run, its path or name, for its newest checkpoint; or RUN@IMAGES.
        patch: edits of the run's recipe; `data=...` fine-tunes on other data.
        run: the new directory; None picks the next free one.
        watcher: as for `train`.
    Raises: UsageError where there is no such checkpoint or nothing is left to train; else as `train`.
    """
    source = str(source.path if isinstance(source, Run) else source)
    name, _, at = source.rpartition("@")
    parent = find_run(name if name and at.isdecimal() else source)
    images_at = int(at) if name and at.isdecimal() else None
    checkpoint, shipped = read_checkpoint(parent, images_at), isinstance(parent, Pretrained)
    before = read_recipe(parent)
    recipe = before.patched(patch)
    if recipe.train.per_class or checkpoint.progress["stage"]:
        raise UsageError(f"{parent.path}: trains one GAN a class, and such a run cannot be branched")
    images, steps = checkpoint.progress["images"], checkpoint.progress["steps"]
    itself = {"kind": "run", "source": parent.name, "digest": checkpoint.digest, "images": images}
    if recipe.shown_per_step != before.shown_per_step:  # the run's length is in steps
        steps = -(-images // recipe.shown_per_step)
    with process_group(wants_cuda(recipe.engine)):
        machine = choose_machine(recipe.engine)
        with global_streams_kept(machine.device):
            session, env, notes = _new_session(recipe, machine, [itself, *parent.ancestry()])
            if images >= session.images_total:
                raise UsageError(
                    f"{parent.path}: has {images:,} images at that checkpoint, and the branch ends at "
                    f"{session.images_total:,}",
                    hint=f"train.images={images + max(session.images_total // 2, 1)}",
                )
            take, place = (adopt_generator, parent.name) if shipped else (adopt, str(parent.path.absolute()))
            left_out = take(session.trainer, checkpoint.tensors, images, steps)
            env["edits"] = show_patch(as_patch(patch))
            env["branched"] = {"from": place, "images": images, "not_taken": left_out}
            notes = [f"branched from {place} after {images:,} images" + "; D is new" * shipped, *notes]
            notes += [f"not taken: {line}" for line in left_out]
            return _go_on(_created(session, env, run, parent.name), session, watcher, notes, begins=True)


def _new_session(
    recipe: Recipe, machine: Machine, inherited: Ancestry = ()
) -> tuple[Session, dict[str, Any], list[str]]:
    """Build all that a run needs before anything is written: the nets must fit the data."""
    recipe, images = open_data(recipe)
    # The place, so that it is found from any folder.
    given = {"source": images.name, "path": images.path, "held_out": held_out_of(recipe, len(images))}
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update=given)})
    session = Session(recipe, images, machine, inherited)
    env = machine.describe() | {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "images_total": session.images_total,
        "data": describe(images, counted=rank() == 0),
        "ancestry": session.ancestry,
    }
    known = [f"note    {note}" for note in images.notes]
    known += [f"{each.severity:<7} {each.code}: {each}" for each in _facts(session, env)]
    return session, env, [machine.said, *known]


def _facts(session: Session, env: Mapping[str, Any]) -> list[Finding]:
    """Give what is wrong before the first step."""
    if rank() > 0:
        return []
    return facts(Case(session.recipe.as_tree(), env["data"], total=session.images_total))


def _created(session: Session, env: Mapping[str, Any], run: str | Path | None, name: str) -> Run:
    created = None
    if rank() == 0:
        created = create_run(Path(run) if run else None, name, recipe_toml(session.recipe), env)
        with disk_refusals(created.findings_file):
            for finding in _facts(session, env):
                append_row(created.findings_file, {"images": 0, "gone": False, **finding.as_dict()})
    return Run(agree(created and created.path))


def _go_on(run: Run, session: Session, watcher: Watching, notes: list[str], begins: bool = False) -> Run:
    session.run = run
    session.watchers = watchers(watcher) if rank() == 0 else []
    with _signals() as asked, _held(run), _recorded(session):
        notes = notes if begins else notes + session.restore()
        if session.scorer.note:
            notes.append(session.scorer.note)
        if rank() == 0:
            if begins:
                session.save()
            session.tidy()
            if not run.reals_file.exists():
                session.draw_reals()
        session.record("running")
        session.tell("started", run, session.images_done, session.images_total, notes)
        for _ in session.steps():
            if _asked_to_stop(asked, session) and not session.finished:
                session.save()
                number = asked[0] if asked else signal.SIGTERM
                by = "a watcher" if session.asked_to_stop else signal.Signals(number).name
                raise Interrupted(
                    number,
                    f"stopped by {by} after {session.images_done:,} images; the state is saved",
                    hint=f"gander resume {run.path}",
                )
    return run


@contextmanager
def _recorded(session: Session) -> Iterator[None]:
    """Keep `state.json`: that the run is at work, and how it ended."""
    try:
        yield
        session.record("finished")
        session.tell("ended", "finished")
    except Interrupted as stop:
        session.record("stopped", {"signal": stop.signal_number})
        session.tell("ended", "stopped")
        raise
    except BaseException as error:
        cause = storage_error(error, session.run.path, RESUME) if isinstance(error, OSError) else error
        if isinstance(error, torch.OutOfMemoryError):
            cause = too_large(session.recipe, session.images, session.machine)
        with suppress(OSError):  # the error itself matters more
            session.record("failed", {"error": f"{type(cause).__name__}: {cause}"})
        session.tell("ended", "failed")
        if cause is error:
            raise
        raise cause from None


def _asked_to_stop(asked: list[int], session: Session) -> bool:
    """Say whether any process was asked to stop; several processes agree on that every few steps."""
    if world_size() > 1 and session.trainer.clock.steps % _AGREE_EVERY:
        return False
    return any_of_all(bool(asked) or session.asked_to_stop)


@contextmanager
def _held(run: Run) -> Iterator[None]:
    if rank() == 0:
        with writing(run):
            yield
    else:
        yield


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Note SIGINT, SIGTERM and SIGHUP instead of dying of them; a third one ends the process at once.

    A second one comes with the first where a group and its leader are both asked, and must not lose the save.
    """
    asked: list[int] = []

    def note(number: int, _: Any) -> None:
        asked.append(number)
        if len(asked) > 2:
            raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # by nohup
        numbers.pop()
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def open_data(recipe: Recipe) -> tuple[Recipe, Images]:
    """Open a recipe's data, and give the recipe as it fits them."""
    data = recipe.data
    given = data.source, data.path, data.size
    images: Images = first_then_others(lambda: open_images(*given, columns=data.columns))
    if images.labels is None and data.labels == "if_there":
        recipe = recipe.without_labels()
    if images.labels is None and recipe.features is not None and recipe.features.task == "classes":
        raise RecipeError(
            f"{images.source}: has no labels, and this recipe's features are a classifier's",
            hint="features=rotations",
        )
    if (recipe.uses_labels or recipe.train.per_class) and images.labels is None:
        raise RecipeError(
            f"{images.source}: has no labels, which this recipe's nets use",
            hint='generator.labels=ignored discriminator.labels=ignored "penalties=[]", or data with labels',
        )
    parts = len(recipe.updates.parts)
    if recipe.train.batch % (parts * world_size()):
        raise RecipeError(
            f"train.batch = {recipe.train.batch}: must be a multiple of the {world_size()} processes, "
            "and of twice that with separate D updates"
        )
    return recipe, images
