"""The verb that trains a judge."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
import time
from dataclasses import asdict
from typing import Any

from gander.cli.progress import counting, duration, say


def judge_verb(
    source: str, size: int | None, epochs: int | None, mirror: bool | None, seed: int, as_json: bool
) -> None:
    """Train the judge of a data set, or go on with one that was interrupted."""
    import torch

    from gander.data.images import open_images
    from gander.engine.machine import choose_machine
    from gander.recipe.schema import Engine
    from gander.scores.judge import Record, judge_file, save_judge
    from gander.scores.schooling import Pupil, lessons, schooling_for

    images = open_images(source, size=size)
    schooling = schooling_for(images, epochs, mirror, seed)
    machine = choose_machine(Engine())
    lesson, test = lessons(images)
    pupil = Pupil(lesson, len(images.classes), schooling, machine)
    path = judge_file(images)
    how = hashlib.sha256(json.dumps(asdict(schooling)).encode()).hexdigest()[:8]
    draft = path.with_suffix(f".{how}.part")  # another schooling is another judge
    if pupil.restore(draft) and not as_json:
        say(f"going on after epoch {pupil.epoch} of {schooling.epochs}")
    began, begun = time.monotonic(), pupil.epoch
    accuracy = pupil.accuracy(test) if pupil.finished else 0.0
    while not pupil.finished:
        with counting(len(lesson.labels), as_json, f"{pupil.epoch + 1:>4}  ") as tell:
            loss = pupil.learn(tell)
        pupil.save(draft)
        accuracy = pupil.accuracy(test)
        left = (time.monotonic() - began) / (pupil.epoch - begun) * (schooling.epochs - pupil.epoch)
        if not as_json:
            told = f"{pupil.epoch:>4} / {schooling.epochs}  loss {loss:.3f}  held out {accuracy:.2%}"
            say(f"{told}  {duration(left)} left" if left else told)
    record = Record(
        source=source,
        digest=images.digest,
        classes=images.classes,
        channels=images.channels,
        size=images.size,
        width=schooling.width,
        accuracy=round(accuracy, 5),
        held_out=len(test.labels),
        epochs=schooling.epochs,
        seed=seed,
        command=shlex.join(["gander", *sys.argv[1:]]),
        torch=torch.__version__,
    )
    save_judge(path, pupil.net, record)
    draft.unlink(missing_ok=True)
    answer: dict[str, Any] = {"judge": str(path)} | asdict(record)
    if as_json:
        say(json.dumps(answer))
        return
    say(f"judge   {path}")
    say(f"        names {accuracy:.2%} of {record.held_out:,} held-out images rightly")
