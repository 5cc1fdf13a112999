"""The verb that scores: evaluate."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gander.cli.progress import say
from gander.cli.tables import make_table, print_table
from gander.data.names import NAMED, SHAPES
from gander.errors import UsageError
from gander.run import Run, find_run

if TYPE_CHECKING:
    from gander.data.images import Images
    from gander.metrics.evaluation import Evaluation, Subject

_USUAL = 10_000


def evaluate_verb(subject: str, against: str | None, n: int | None, seed: int, as_json: bool) -> None:
    """Score what a run makes, or a data set, against real images."""
    from gander.metrics.evaluation import evaluate
    from gander.metrics.judge import find_judge

    began = time.monotonic()
    run = _run(subject)
    if run is None and against is None:
        raise UsageError(
            f"{subject}: is no run, and images are scored against data that must be named",
            hint=f"gander evaluate {subject} --against cifar10",
        )
    images = _reals(run, against)
    judge = find_judge(images)
    count = n or min(_USUAL, len(images) // 2)
    scored = _made_by(run, count, seed) if run else _taken_from(subject, images, count, seed)
    found = evaluate(scored, images, judge, seed)
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        answer = {
            "subject": scored.name,
            "seconds": seconds,
            "scores": [score.row() for score in found.scores],
        }
        say(json.dumps(answer))
        return
    _show(found)
    told = found.scores[0].protocol
    say(f"{told.n_fake:,} images of {scored.name} ({scored.weights}), {told.n_real:,} of {images.source};")
    say(f"{told.features}, right on {judge.record.accuracy:.1%} of held-out images; {told.split};")
    say(f"seed {seed}; {seconds:.0f} s. The floor is what real images get; 95 % is of other draws of images.")


def _run(subject: str) -> Run | None:
    """Give the run that is meant, or None where it is a data set."""
    path = Path(subject)
    if subject in (*NAMED, SHAPES) or (path.exists() and not Run(path).env_file.exists()):
        return None
    return find_run(subject)


def _reals(run: Run | None, against: str | None) -> Images:
    from gander.data.images import open_images

    if against is not None or run is None:
        return open_images(against or "")
    from gander.recipe.read import build_recipe
    from gander.recipe.shipped import parse_recipe, recipe_text

    data = build_recipe(parse_recipe(recipe_text(str(run.recipe_file)), str(run.recipe_file))).data
    return open_images(data.source, data.path, data.size)


def _made_by(run: Run, n: int, seed: int) -> Subject:
    import torch

    from gander.generate.load import load
    from gander.metrics.evaluation import Subject

    sampler = load(run)
    labels = torch.arange(n) % sampler.generator.num_classes if sampler.conditional else None
    pixels = sampler.images(sampler.draw(n, seed), labels)
    return Subject(run.name, pixels.numpy(), labels, "averaged weights")


def _taken_from(source: str, reals: Images, n: int, seed: int) -> Subject:
    import numpy as np
    import torch

    from gander.data.images import open_images
    from gander.metrics.evaluation import Subject

    images = open_images(source)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(images))[:n])
    labels = None
    if images.labels is not None and images.classes == reals.classes:
        labels = torch.from_numpy(images.labels[chosen])
    return Subject(source, images.pixels[chosen], labels, "as they are")


def _show(found: Evaluation) -> None:
    table = make_table("score", "value", "95 %", "floor", "")
    for score in found.scores:
        interval = "" if score.low is None else f"{score.low:.4g} to {score.high:.4g}"
        table.add_row(score.name, f"{score.value:.4g}", interval, f"{score.floor:.4g}", score.verdict)
    print_table(table)
