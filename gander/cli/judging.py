"""The verb that trains a judge."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gander.cli.options import Json
from gander.cli.progress import duration, say

if TYPE_CHECKING:
    from gander.actions.judge import Epoch


def judge(
    source: Annotated[str, typer.Argument(metavar="DATA", help="A name, or a folder or file, with labels.")],
    size: Annotated[
        int | None, typer.Option("--size", help="Pixels a side, as data.size.", show_default="as they are")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, max=10_000, show_default="a million images in all")
    ] = None,
    mirror: Annotated[
        bool | None,
        typer.Option(
            "--mirror/--no-mirror", help="Mirrored images keep their class.", show_default="if known"
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31)] = 0,
    as_json: Json = False,
) -> None:
    """Train the judge of a data set: the small classifier that scores are made with.

    Interrupted, the same command goes on.
    """
    from gander.actions.judge import judge as train
    from gander.data.progress import progress
    from gander.scores.judge import weakness

    device, command = os.environ.get("GANDER_DEVICE", "auto"), shlex.join(["gander", *sys.argv[1:]])
    report = (lambda epoch: None) if as_json else _say_epoch
    with progress("Training the judge", None, quiet=as_json) as count:
        trained = train(source, size, epochs, mirror, seed, device, command, count, report)
    record = trained.record
    if as_json:
        say(json.dumps({"judge": str(trained.path)} | asdict(record)))
        return
    say(f"judge   {trained.path}")
    say(f"        names {record.accuracy:.2%} of {record.held_out:,} held-out images rightly")
    if weak := weakness(record.accuracy, len(record.classes)):
        say(f"note    {weak}")


def _say_epoch(epoch: Epoch) -> None:
    if epoch.loss is None:
        say(f"going on after epoch {epoch.number} of {epoch.epochs}")
        return
    line = f"{epoch.number:>4} / {epoch.epochs}  loss {epoch.loss:.3f}  held out {epoch.accuracy:.2%}"
    say(f"{line}  {duration(epoch.seconds_left)} left" if epoch.seconds_left else line)
