"""The verb that trains a judge."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from gander.cli.progress import counting, duration, say

if TYPE_CHECKING:
    from gander.actions.judge import Epoch


def judge_verb(
    source: str, size: int | None, epochs: int | None, mirror: bool | None, seed: int, as_json: bool
) -> None:
    """Train the judge of a data set, or go on with one that was interrupted."""
    from gander.actions.judge import judge

    with counting(0, as_json) as progress:
        trained = judge(
            source,
            size,
            epochs,
            mirror,
            seed,
            os.environ.get("GANDER_DEVICE", "auto"),
            shlex.join(["gander", *sys.argv[1:]]),
            progress,
            (lambda epoch: None) if as_json else _say_epoch,
        )
    record = trained.record
    if as_json:
        say(json.dumps({"judge": str(trained.path)} | asdict(record)))
        return
    say(f"judge   {trained.path}")
    say(f"        names {record.accuracy:.2%} of {record.held_out:,} held-out images rightly")


def _say_epoch(epoch: Epoch) -> None:
    if epoch.loss is None:
        say(f"going on after epoch {epoch.number} of {epoch.epochs}")
        return
    line = f"{epoch.number:>4} / {epoch.epochs}  loss {epoch.loss:.3f}  held out {epoch.accuracy:.2%}"
    say(f"{line}  {duration(epoch.seconds_left)} left" if epoch.seconds_left else line)
