"""A whole run: start or resume, step, and the chores between the steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from gander.chance import rank, world_size
from gander.data.images import Images, open_images
from gander.engine.distributed import agree, any_of_all, first_then_others, process_group
from gander.engine.machine import CHOICES, choose_machine, wants_cuda
from gander.errors import DataError, Interrupted, RecipeError
from gander.files import storage_error
from gander.recipe.read import stored_recipe
from gander.recipe.schema import Recipe
from gander.recipe.write import recipe_toml
from gander.run import RESUME, Run, create_run, writing
from gander.training.session import Session, image_shape
from gander.training.trial import fastest_machine

_AGREE_EVERY = 8  # steps


class Watcher(Protocol):
    """Who is told how a run goes; only in the first process."""

    def started(self, run: Run, images: int, total: int, notes: list[str]) -> None:
        """Hear that the first step comes next; `images` are done already."""

    def stepped(self, images: int) -> None:
        """Hear that a step ended."""

    def logged(self, row: dict[str, Any]) -> None:
        """Hear a row of the log."""

    def scored(self, row: dict[str, Any], best: bool) -> None:
        """Hear a row of the scores, and whether none before was better."""


class Unwatched:
    """Tell nobody."""

    def started(self, run: Run, images: int, total: int, notes: list[str]) -> None:
        """Ignore it."""

    def stepped(self, images: int) -> None:
        """Ignore it."""

    def logged(self, row: dict[str, Any]) -> None:
        """Ignore it."""

    def scored(self, row: dict[str, Any], best: bool) -> None:
        """Ignore it."""


def train(
    recipe: Recipe, run: str | Path | None = None, watcher: Watcher | None = None, name: str = "run"
) -> Run:
    """Train from the start into a new run directory.

    Args:
        recipe: what to train.
        run: the new directory; None picks the next free `runs/NAME-N`.
        watcher: who is told of the progress.
        name: what the run is called after.
    Raises: Interrupted (state saved) on SIGINT and SIGTERM; any GanderError.
    """
    with process_group(wants_cuda(recipe.engine)):
        machine = choose_machine(recipe.engine)
        recipe = _anchored(recipe)
        images = _open(recipe)
        machine, engine = fastest_machine(recipe, images, image_shape(recipe, images), machine)
        session = Session(recipe, images, machine)  # before anything is written: the nets must fit the data
        env = machine.describe() | {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "engine": engine,
            "images_total": session.images_total,
            "data": {
                "source": images.source,
                "fingerprint": images.fingerprint,
                "images": len(images),
                "channels": images.channels,
                "size": images.size,
                "classes": list(images.classes),
            },
        }
        created = None
        if rank() == 0:
            created = create_run(Path(run) if run else None, name, recipe_toml(recipe), env)
        return _go_on(Run(agree(created and created.path)), session, watcher, [engine["said"]])


def resume(run: Run, watcher: Watcher | None = None) -> Run:
    """Go on exactly where a run stopped, from its newest whole checkpoint.

    Raises: CheckpointError where no checkpoint is usable, DataError where the data changed; else as `train`.
    """
    recipe = stored_recipe(run.recipe_file)
    with process_group(wants_cuda(recipe.engine)):
        env = run.env()
        alike = env["processes"] == world_size()
        machine = choose_machine(recipe.engine, env if alike else None)
        images = _open(recipe)
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
        return _go_on(run, Session(recipe, images, machine), watcher, notes)


def _go_on(run: Run, session: Session, watcher: Watcher | None, notes: list[str]) -> Run:
    watching = watcher if watcher is not None and rank() == 0 else Unwatched()
    with _held(run), _signals() as asked:
        try:
            notes = notes + session.restore(run)
            if session.scorer.note:
                notes.append(session.scorer.note)
            if rank() == 0:
                session.tidy(run)
                if not run.reals_file.exists():
                    session.draw_reals(run)
            watching.started(run, session.images_done, session.images_total, notes)
            for told in session.steps(run):
                watching.stepped(session.images_done)
                if told.row:
                    watching.logged(told.row)
                if told.scores:
                    watching.scored(told.scores, session.scorer.is_best(session.images_done))
                if _asked_to_stop(asked, session) and not session.finished:
                    session.save(run)
                    number = asked[0] if asked else signal.SIGTERM
                    raise Interrupted(
                        number,
                        f"stopped by {signal.Signals(number).name} after {session.images_done:,} images; "
                        "the state is saved",
                        hint=f"gander resume {run.path}",
                    )
        except OSError as error:
            raise storage_error(error, run.path, RESUME) from None
    return run


def _asked_to_stop(asked: list[int], session: Session) -> bool:
    """Tell whether any process got a signal; several processes agree on that every few steps, all at once."""
    if world_size() > 1 and session.trainer.clock.steps % _AGREE_EVERY:
        return False
    return any_of_all(bool(asked))


@contextmanager
def _held(run: Run) -> Iterator[None]:
    if rank() == 0:
        with writing(run):
            yield
    else:
        yield


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Note SIGINT and SIGTERM instead of dying of them; a second one ends the process at once."""
    asked: list[int] = []

    def note(number: int, _: Any) -> None:
        if asked:
            raise SystemExit(128 + number)
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open(recipe: Recipe) -> Images:
    data = recipe.data
    images: Images = first_then_others(lambda: open_images(data.source, data.path, data.size))
    if (recipe.uses_labels or recipe.train.per_class) and images.labels is None:
        raise RecipeError(
            f"{images.source}: has no labels, which this recipe's nets use",
            hint='generator.labels=ignored discriminator.labels=ignored "penalties=[]", or data with labels',
        )
    if recipe.train.batch % (2 * world_size() if recipe.train.d_update == "separate" else world_size()):
        raise RecipeError(
            f"train.batch = {recipe.train.batch}: must be a multiple of the {world_size()} processes, "
            "and of twice that with separate D updates"
        )
    return images


def _anchored(recipe: Recipe) -> Recipe:
    """Make the data's path absolute, so that the run can be resumed from anywhere."""
    data = recipe.data
    if data.path:
        data = data.model_copy(update={"path": str(Path(data.path).expanduser().absolute())})
    elif "/" in data.source or "." in data.source:
        data = data.model_copy(update={"source": "", "path": str(Path(data.source).expanduser().absolute())})
    return recipe.model_copy(update={"data": data})
