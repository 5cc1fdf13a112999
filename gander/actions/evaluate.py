"""What a run makes, or a data set, scored beside real images."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from gander.data.images import Images, is_data, open_images
from gander.engine.device import engine_on
from gander.engine.machine import choose_machine, device_name, settings_restored
from gander.errors import UsageError
from gander.generation.ancestry import Ancestry, find_independent_judge, of_card
from gander.generation.load import load
from gander.generation.source import DataSource, RunSource, real_images
from gander.run import BEST, Run, find_run
from gander.scores.evaluation import LEAST, Evaluation, Reference, score_samples
from gander.scores.inception import load_inception
from gander.scores.use import measure_use

_USUAL = 10_000  # images


@settings_restored()
def evaluate(
    images: str | Path | Run | Images,
    against: str | Path | Images | None = None,
    n: int | None = None,
    seed: int = 0,
    use: bool | Literal["quick"] = False,
    inception: str | Path | None = None,
    device: str = "auto",
    report: Callable[[str], object] = lambda line: None,
    fresh: bool = False,
    mix: bool = False,
) -> Evaluation:
    """Score n images against as many real ones: `evaluate("runs/mine")["fd-judge"].value`.

    Args:
        images: a run, its name or path (`RUN/best.safetensors`: its best generator), or a data set.
        against: real images; those that the run was trained on, where nothing is said.
        n: 10,000, or as many as there are twice among the real ones.
        seed: of latents, and of which images are taken.
        use: train a classifier on these images and test it on real ones; "quick": a fifth of the training.
        inception: weights of Inception, or "download", in place of the data's judge.
        device: auto, cpu, cuda or mps.
        report: hears a line now and then where it takes minutes.
        fresh, mix: with `use`: new images of a run in each epoch; what they add to few real ones, too.

    Raises: UsageError where that cannot be done, DataError where data cannot be read, are too few or have no
        judge, CheckpointError where the run has no generator.
    """
    began = time.monotonic()
    run = find_subject(images) if not isinstance(images, Images) else None
    if run is None and against is None:
        raise UsageError(
            f"{images}: is no run, and images are scored against data that must be named",
            hint=f"gander evaluate {images} --against cifar10",
        )
    reals = _opened(against) if against is not None else real_images(run)  # type: ignore[arg-type]
    machine = choose_machine(engine_on(device, "float32"))
    where = str(machine.device)
    source, ancestry = _source(run, images, reals, where)
    count = n or min(_USUAL, source.most, max(len(reals) // 2, LEAST))
    _check(source, reals, count, bool(use), fresh)
    judge, note = (None, "") if inception else find_independent_judge(reals, ancestry or (), where)
    extractor = judge or load_inception(Path(inception or ""), where)
    reference = Reference(reals, extractor, count, seed, whole=inception is None)
    evaluation = score_samples(source.samples(count, seed), reference)
    if use:
        worth = measure_use(source.labelled, reals, machine, use == "quick", seed, report, fresh, mix)
        evaluation = replace(evaluation, use=worth)
    recorded = {ancestor["kind"] != "unknown" for ancestor in ancestry or ()}
    return replace(
        evaluation,
        ancestry="" if ancestry is None else "known" if all(recorded) else "unknown",
        caveats=evaluation.caveats + ((note,) if note else ()),
        seconds=round(time.monotonic() - began, 1),
        machine=device_name(machine.device),
    )


def find_subject(images: str | Path | Run) -> Run | None:
    """Give the run that is meant, or None where it is a data set; UsageError where it is neither."""
    if isinstance(images, Run):
        return images
    path = Path(images)
    is_run = path.name == BEST or Run(path).env_file.exists()
    return find_run(str(images)) if is_run or not is_data(str(images)) else None


def _source(
    run: Run | None, images: str | Path | Run | Images, reals: Images, where: str
) -> tuple[RunSource | DataSource, Ancestry | None]:
    if run is None:
        made = _opened(images)  # type: ignore[arg-type]
        return DataSource(made, reals), of_card(made)
    data = run.env()["data"]
    shape = data["channels"], data["size"], data["size"]
    return RunSource(run.name, load(run, where), shape, reals), run.ancestry()


def _opened(images: str | Path | Images) -> Images:
    return images if isinstance(images, Images) else open_images(str(images))


def _check(source: RunSource | DataSource, reals: Images, n: int, use: bool, fresh: bool) -> None:
    if n > source.most:
        raise UsageError(f"-n {n}: {source.name} has {source.most:,} images", hint=f"-n {source.most}")
    if fresh and isinstance(source, DataSource):
        raise UsageError(f"--fresh: {source.name} is a data set, which holds the same images in each epoch")
    if use and not source.has_labels:
        raise UsageError(
            f"--use: {source.name} comes without labels of the classes of {reals.source}, "
            "and a classifier learns from labels"
        )
