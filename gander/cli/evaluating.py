"""The verb that scores: evaluate."""

from __future__ import annotations

import itertools
import json
import shlex
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gander.cli.progress import duration, say
from gander.cli.tables import make_table, print_table
from gander.data.images import is_data
from gander.errors import UsageError
from gander.files import check_free
from gander.run import BEST, Run, find_run, runs_root

if TYPE_CHECKING:
    from gander.data.images import Images
    from gander.generation.source import Source
    from gander.scores.evaluation import Evaluation, Reals, Subject
    from gander.scores.extractor import Extractor
    from gander.scores.use import Usefulness

_USUAL = 10_000


@dataclass(frozen=True)
class Wishes:
    """What was asked of `gander evaluate` beside its subject."""

    against: str | None
    n: int | None
    seed: int
    use: bool
    quick: bool
    inception: Path | None
    to: Path | None


def evaluate_verb(subject: str, wishes: Wishes, as_json: bool) -> None:
    """Score what a run makes, or a data set, against real images; write numbers, pictures and a page."""
    from gander.engine.machine import choose_machine
    from gander.generation.source import check_wishes
    from gander.recipe.schema import Engine
    from gander.report.evaluation import draw_gallery, write_evaluation
    from gander.scores.evaluation import LEAST, Reals, evaluate
    from gander.scores.gallery import choose_gallery

    began = time.monotonic()
    run = _run(subject)
    if run is None and wishes.against is None:
        raise UsageError(
            f"{subject}: is no run, and images are scored against data that must be named",
            hint=f"gander evaluate {subject} --against cifar10",
        )
    if wishes.quick and not wishes.use:
        raise UsageError("--quick: shortens --use, which is not asked for", hint="--use --quick")
    folder = _folder(run, subject, wishes.to)
    images = _reals(run, wishes.against)
    machine = choose_machine(Engine())
    source = _source(run, subject, images)
    count = wishes.n or min(_USUAL, source.most, max(len(images) // 2, LEAST))
    check_wishes(source, images, count, wishes.use)
    extractor = _extractor(wishes.inception, images, str(machine.device))
    reals = Reals(images, extractor, count, wishes.seed, whole=wishes.inception is None)
    scored = source.subject(count, wishes.seed)
    found = evaluate(scored, reals)
    use = None
    if wishes.use:
        from gander.scores.use import measure_use

        tell = (lambda text: None) if as_json else say
        use = measure_use(source.labelled, images, machine, wishes.quick, wishes.seed, tell)
    answer = _answer(scored, found, reals, use) | {"seconds": round(time.monotonic() - began, 1)}
    answer |= {"machine": machine.describe()["device_name"]}
    gallery = choose_gallery(found, scored, reals)
    try:
        write_evaluation(folder, answer, draw_gallery(gallery, scored.pixels, images))
    finally:  # numbers that took long are shown even where the disk is full
        if as_json:
            say(json.dumps({"folder": str(folder), **answer}))
        else:
            _show(found, answer)
    if not as_json:
        say(f"page    {folder / 'page.html'}")
        say(f"scores  {folder / 'scores.json'}")
        say(f"next    gander sample {run.path}" if run else f"next    gander data {subject}")


def _run(subject: str) -> Run | None:
    """Give the run that is meant, or None where it is a data set."""
    path = Path(subject)
    is_run = path.name == BEST or Run(path).env_file.exists()
    return find_run(subject) if is_run or not is_data(subject) else None


def _folder(run: Run | None, subject: str, to: Path | None) -> Path:
    """Say where the answer goes, before any work: nothing is overwritten."""
    if to is not None:
        check_free(to)
        return to
    stem = run.path / "evaluation" if run else runs_root() / f"evaluation-{Path(subject).name}"
    names = (Path(f"{stem}-{number}") for number in itertools.count(1))
    return next(folder for folder in names if not folder.exists())


def _reals(run: Run | None, against: str | None) -> Images:
    from gander.data.images import open_images
    from gander.generation.source import real_images

    if against is not None or run is None:
        return open_images(against or "")
    return real_images(run)


def _extractor(weights: Path | None, images: Images, device: str) -> Extractor:
    if weights is not None:
        from gander.scores.inception import load_inception

        return load_inception(weights, device)
    from gander.scores.judge import find_judge

    return find_judge(images, device)


def _source(run: Run | None, subject: str, images: Images) -> Source:
    from gander.data.images import open_images
    from gander.generation.load import load
    from gander.generation.source import DataSource, RunSource

    if run is None:
        return DataSource(open_images(subject), images)
    data = run.env()["data"]
    return RunSource(run.name, load(run), (data["channels"], data["size"], data["size"]), images)


def _answer(subject: Subject, found: Evaluation, reals: Reals, use: Usefulness | None) -> dict[str, Any]:
    import torch

    from gander import __version__

    judged = reals.extractor.accuracy is not None
    return {
        "subject": subject.name,
        "data": reals.images.source,
        "command": shlex.join(["gander", *sys.argv[1:]]),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"gander": __version__, "torch": torch.__version__},
        "protocol": asdict(found.scores[0].protocol),
        "judge": {"accuracy": reals.extractor.accuracy} if judged else None,
        "scores": [score.row() for score in found.scores],
        "caveats": found.caveats,
        "classes": reals.images.classes,
        "memorisation": found.memorisation and found.memorisation.told(),
        "confusion": None if found.confusion is None else found.confusion.tolist(),
        "use": None if use is None else use.row(),
    }


def _show(found: Evaluation, answer: dict[str, Any]) -> None:
    table = make_table("score", "value", "95 %", "floor", "")
    for score in found.scores:
        interval = "" if score.low is None else f"{score.low:.4g} to {score.high:.4g}"
        floor = "" if score.floor is None else f"{score.floor:.4g}"
        table.add_row(score.name, f"{score.value:.4g}", interval, floor, score.verdict)
    print_table(table)
    told = found.scores[0].protocol
    made = f"{told.n_fake:,} images of {answer['subject']} ({told.weights})"
    say(f"{made}, {told.n_real:,} of {answer['data']};")
    judged = f", right on {answer['judge']['accuracy']:.1%} of held-out images" if answer["judge"] else ""
    say(f"{told.features}{judged}; {told.split}; seed {told.seed}; {duration(answer['seconds'])}.")
    say("The floor is what real images get; the interval, 95 %, is for the mean over other draws of images.")
    for caveat in found.caveats:
        say(f"note    {caveat}")
    if answer["use"]:
        say(f"use     {answer['use']['told']}")
