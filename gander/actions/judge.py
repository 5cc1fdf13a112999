"""The judge of a data set: the small classifier whose features scores are made of."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch

from gander.data.images import Images, open_images
from gander.data.store import storage_errors
from gander.engine.device import engine_on
from gander.engine.machine import choose_machine, settings_restored
from gander.scores.classifier import Classifier, Labelled, default_hyperparameters, split_data
from gander.scores.judge import Judge, Record, judge_file, judges_of, load_judge, read_record, save_judge


class Epoch(NamedTuple):
    """How far a training is; `loss` is None where an earlier one is taken up again."""

    number: int
    epochs: int
    loss: float | None
    accuracy: float  # on the held-out images
    seconds_left: float


@settings_restored()
def judge(
    data: str | Path | Images,
    size: int | None = None,
    epochs: int | None = None,
    mirror: bool | None = None,
    seed: int = 0,
    device: str = "auto",
    command: str = "",
    progress: Callable[[int, int], object] = lambda more, total: None,
    report: Callable[[Epoch], object] = lambda epoch: None,
) -> Judge:
    """Train the judge of a data set and keep it in the cache; called again after an interruption, it goes on.

    One that is there, or shipped, and more often right on the held-out images stays, and is returned.

    Args:
        data: labelled images, by name, path or as they are.
        size: pixels a side, as `data.size` of a recipe.
        epochs: by default a million images in all.
        mirror: mirrored images keep their class; by default where that is known.
        seed: of weights, order and augmentation; each seed's judge is kept beside the others.
        device: auto, cpu, cuda or mps.
        command: what its record says that it was made with.
        progress: hears how many more images it was trained on, and how many there will be.
        report: hears of every epoch.

    Raises: DataError where the data cannot be read, or have no two classes of at least ten images;
        UsageError for a device that is not there, StorageError where the cache cannot be written.
    """
    images = data if isinstance(data, Images) else open_images(str(data), size=size)
    settings = default_hyperparameters(images, epochs, mirror, seed)
    machine = choose_machine(engine_on(device))
    training_set, held_out = split_data(images)
    classifier = Classifier(training_set, len(images.classes), settings, machine)
    path, total = judge_file(images, seed), settings.epochs * len(training_set.labels)
    # Other hyper-parameters make another judge, which must not go on from this one's weights.
    which = hashlib.sha256(json.dumps(asdict(settings)).encode()).hexdigest()[:8]
    draft = path.with_suffix(f".{which}.part")
    if classifier.restore(draft):
        progress(classifier.epoch * len(training_set.labels), total)
    for epoch in _train(classifier, held_out, draft, lambda more: progress(more, total)):
        report(epoch)
    record = Record(
        source=images.source,
        digest=images.digest,
        classes=images.classes,
        channels=images.channels,
        size=images.size,
        width=settings.width,
        accuracy=round(epoch.accuracy, 5),
        held_out=len(held_out.labels),
        epochs=settings.epochs,
        seed=seed,
        command=command,
        torch=torch.__version__,
    )
    with storage_errors():
        path = _kept(path, classifier, record, images)
    draft.unlink(missing_ok=True)
    return load_judge(path, str(machine.device))


def _kept(path: Path, classifier: Classifier, record: Record, images: Images) -> Path:
    """Save a judge, unless one that it would replace is more often right; give the place of the better."""
    for other in () if record.seed else judges_of(images):
        if (accuracy := read_record(other).accuracy) > record.accuracy:
            names = f"{accuracy:.2%} of held-out images rightly, the new one {record.accuracy:.2%}"
            logging.getLogger(__name__).info("kept    the judge that was there: it names %s", names)
            return other
    save_judge(path, classifier.net, record)
    return path


def _train(
    classifier: Classifier, held_out: Labelled, draft: Path, progress: Callable[[int], object]
) -> Iterator[Epoch]:
    """Train to the end; what a draft held is the first epoch."""
    epochs, first, began = classifier.settings.epochs, classifier.epoch, time.monotonic()
    if first:
        yield Epoch(first, epochs, None, classifier.accuracy(held_out), 0.0)
    while not classifier.finished:
        loss = classifier.train_epoch(progress)
        with storage_errors():
            classifier.save(draft)
        seconds = (time.monotonic() - began) / (classifier.epoch - first)
        left = seconds * (epochs - classifier.epoch)
        yield Epoch(classifier.epoch, epochs, loss, classifier.accuracy(held_out), left)
