"""Whether a finding's remedy does what was predicted: a training with it beside one without."""

from __future__ import annotations

import hashlib
import math
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from gander.actions import diagnose as diagnosing
from gander.data.images import Images
from gander.doctor.finding import Finding, in_order
from gander.errors import CheckpointError, Interrupted, NumericsError, UsageError
from gander.generation.source import real_images
from gander.patch import Patch, parse_patch, show_patch, typed
from gander.recipe.read import read_recipe
from gander.recipe.schema import Recipe
from gander.run import Run, find_run, in_use
from gander.training.checkpoint import Checkpoint, read_checkpoint
from gander.training.loop import branch, resume, train
from gander.training.trainer import build_nets, image_shape
from gander.training.watcher import Watching

QUALITY = "probe/distance"
"""The column that a cure is judged by beside its prediction: lower is better, about 1 is as good as real."""

_LOOKS = 12  # probes of each training; the last third of them is what counts
_UNPREDICTED = 0.2  # of the run's length, where a finding predicts nothing


@dataclass(frozen=True)
class Arm:
    """One training of a cure.

    Args:
        remedy: a patch as it is typed; () is the training without one.
        start: images it began with; 0 is anew.
        anew: why it was not branched; "" where it was.
        held: whether the prediction came true; None is not known.
        quality: mean of the last third's distances and its standard error; nan where unknown.
        failed: how its training ended, where it did not finish.
    """

    remedy: tuple[str, ...]
    run: Run
    start: int
    anew: str
    held: bool | None
    quality: tuple[float, float]
    scores: dict[str, float] = field(default_factory=dict)
    failed: str = ""

    def beside(self, control: Arm) -> str:
        """Say which of two was better: better, worse, no clear difference (within two standard errors)."""
        if self.failed or control.failed:
            ends = {(True, False): "worse", (False, True): "better"}
            return ends.get((bool(self.failed), bool(control.failed)), "unknown")
        (ours, error), (theirs, other) = self.quality, control.quality
        if not math.isfinite(ours - theirs):
            return "unknown"
        if abs(ours - theirs) <= 2 * math.hypot(error, other):
            return "no clear difference"
        return "better" if ours < theirs else "worse"

    def as_dict(self) -> dict[str, Any]:
        """Give plain data."""
        mean, error = (value if math.isfinite(value) else None for value in self.quality)
        told = {"run": str(self.run.path), "remedy": list(self.remedy), "start": self.start}
        told |= {"anew": self.anew, "held": self.held, "failed": self.failed, "scores": self.scores}
        return told | {"distance": mean, "distance_error": error}


@dataclass(frozen=True)
class Cure:
    """What came of trying a finding's remedies, each alone, beside the training without."""

    run: Run
    finding: Finding
    images: int
    tried: tuple[tuple[Arm, Arm], ...]
    """Each remedy's training, and the one without it that began at the same moment."""

    def verdict(self, arm: Arm, control: Arm) -> str:
        """Say in words whether the prediction held."""
        if self.finding.prediction is None:
            return "nothing was predicted"
        if arm.failed:
            return f"did not hold: {arm.failed}"
        if arm.held is None:
            column = self.finding.prediction.column
            return f"not known: {self.images:,} images are too few, or {column} is missing"
        if not arm.held:
            return "did not hold"
        return "held, and without the remedy, too" if control.held else "held, and not without the remedy"

    def as_dict(self) -> dict[str, Any]:
        """Give plain data, for `--json`."""
        rows = [
            {"with": arm.as_dict(), "without": control.as_dict()}
            | {"verdict": self.verdict(arm, control), "held": arm.held, "quality": arm.beside(control)}
            for arm, control in self.tried
        ]
        told = {"run": str(self.run.path), "finding": self.finding.as_dict(), "images": self.images}
        return told | {"remedies": rows}


def cure(
    run: Run | str | Path,
    findings: Sequence[Finding] | None = None,
    every: bool = False,
    images: int | None = None,
    folder: str | Path | None = None,
    watcher: Watching = None,
    report: Callable[[str], object] = lambda line: None,
) -> Cure:
    """Try the remedy of a run's worst finding that predicts something; after an interruption, it goes on.

    Args:
        run: a run, its name or path; nothing in it changes.
        findings: what was found in it; None diagnoses it.
        every: try each of the finding's remedies alone, and not the first only.
        images: what each training is shown; None is what the prediction says.
        folder: where the new runs go; None is beside the run.
        watcher: who hears of each training, one after another.
        report: hears a line before each training.
    Raises: UsageError where there is nothing to try; else as `branch` and `train`.
    """
    parent = run if isinstance(run, Run) else find_run(str(run))
    finding, recipe = (
        _with_remedy(parent, diagnosing.diagnose(parent) if findings is None else findings),
        read_recipe(parent),
    )
    if recipe.train.per_class:
        why = f"{parent.path}: trains one GAN a class, and such a run cannot be branched"
        raise UsageError(why, hint=f"gander train {parent.recipe_file} {typed(finding.remedy[0])}")
    unpredicted = max(round(_UNPREDICTED * int(parent.env()["images_total"])), 1)
    images = images or (finding.prediction.within if finding.prediction else unpredicted)
    trial = _Trial(parent, recipe, finding, images, Path(folder or parent.path.parent), watcher, report)
    remedies = finding.remedy if every else finding.remedy[:1]
    return Cure(parent, finding, images, tuple(trial.of(remedy) for remedy in remedies))


@dataclass
class _Trial:
    parent: Run
    recipe: Recipe
    finding: Finding
    images: int
    folder: Path
    watcher: Watching
    report: Callable[[str], object]

    def __post_init__(self) -> None:
        self.data, self.good = real_images(self.parent), _last_good(self.parent, self.finding.since)
        self._controls: dict[int, Arm] = {}

    def of(self, remedy: tuple[str, ...]) -> tuple[Arm, Arm]:
        """Train with a remedy, and without where that has not been done from there."""
        edits = parse_patch(remedy)
        since = self.finding.since
        anew = f"nothing was saved before {since:,} images" if since else "it was wrong from the start"
        if self.good is not None:
            anew = _why_not(self.recipe, self.recipe.patched(edits), self.data)
        arm = self._arm(remedy, edits, anew)
        if arm.start not in self._controls:
            self._controls[arm.start] = self._arm((), {}, anew)
        return arm, self._controls[arm.start]

    def _arm(self, remedy: tuple[str, ...], edits: Patch, anew: str) -> Arm:
        good = None if anew else self.good
        start = good.progress["images"] if good else 0
        patch = edits | self._watched(start + self.images)
        stem = f"{self.parent.name}-cure-{_slug(remedy)}-{start}-to-{start + self.images}"
        run, what = Run(self.folder / stem), show_patch(edits) or "no remedy"
        self.report(f"{what}: {self.images:,} images, {f'anew: {anew}' if anew else f'from {start:,} on'}")
        failed = self._trained(run, patch, good)
        history, scores, predicted = run.history(), run.scores(), self.finding.prediction
        rows = zip(history.images, history.column(QUALITY), strict=True)
        last = [value for at, value in rows if at >= start + self.images * 2 / 3 and math.isfinite(value)]
        quality = fmean(last) if last else math.nan
        error = stdev(last) / len(last) ** 0.5 if len(last) > 1 else math.nan
        return Arm(
            remedy,
            run,
            start,
            anew,
            False if failed else predicted.holds(history, start) if predicted else None,
            (quality, error),
            {name: scores.last(name) for name in scores.names if "/" not in name and name != "step"},
            failed,
        )

    def _watched(self, total: int) -> Patch:
        """Give the length, and chores that let a short training be judged and be interrupted."""
        looks, saves = max(self.images // _LOOKS, 1), max(self.images // 4, 1)
        patch: Patch = {"train.images": total, "every.probe": looks, "every.save": saves}
        patch["every.log"] = min(self.recipe.every.log or looks, looks)
        scored = {"evaluate.every": total, "evaluate.share": 1.0} if self.recipe.evaluate.every else {}
        return patch | scored

    def _trained(self, run: Run, patch: Patch, good: Checkpoint | None) -> str:
        """Train, or go on, or leave alone what is done; say how it failed, or nothing."""
        wanted = self.recipe.patched(patch)
        if good and run.path.exists() and not run.saved() and not in_use(run):
            shutil.rmtree(run.path)  # killed before it had anything of the checkpoint
        try:
            if run.recipe_file.is_file():
                _check_same(run, wanted, good)
                state = run.state()
                if state["state"] == "failed" and "NumericsError" in state["error"]:
                    return str(state["error"])
                if state["state"] != "finished":
                    resume(run, self.watcher)
            elif good:
                branch(f"{self.parent.path}@{good.progress['images']}", patch, run.path, self.watcher)
            else:
                train(wanted, run.path, self.watcher)
        except NumericsError as error:  # that may be what the finding is about
            return f"NumericsError: {error.problems[0]}"
        except Interrupted as stop:
            raise Interrupted(
                stop.signal_number, *stop.problems, hint="the same command once more: it goes on"
            ) from None
        return ""


def _with_remedy(parent: Run, findings: Sequence[Finding]) -> Finding:
    if not findings:
        raise UsageError(f"{parent.path}: nothing is wrong that the doctor knows", hint="gander runs")
    codes = [finding.code for finding in in_order(findings)]
    # Before a fact that predicts nothing: what can be seen to come true.
    for finding in sorted(in_order(findings), key=lambda each: (not each.alarms, each.prediction is None)):
        if finding.remedy:
            return finding
    why = f"{parent.path}: no patch is known for what was found: {', '.join(codes)}"
    raise UsageError(why, hint=f"gander explain {codes[0]}")


def _last_good(parent: Run, since: int) -> Checkpoint | None:
    """Give the best-scored checkpoint of before a finding, or the newest where none of them has a score."""
    rows = parent.scores()
    scores = dict(zip(rows.images, rows.column("fd-judge"), strict=True))
    for images in sorted(parent.saved_images(), key=lambda at: (scores.get(at, math.inf), -at)):
        if images < since:
            try:
                return read_checkpoint(parent, images)
            except CheckpointError:  # damaged: the next best
                continue
    return None


def _why_not(before: Recipe, after: Recipe, images: Images) -> str:
    """Say why a remedy cannot be given to a training under way, or nothing."""
    if after.data.model_copy(update={"mirror": before.data.mirror}) != before.data:
        return "the remedy is other data"
    shapes = []
    with torch.random.fork_rng(devices=[]):
        for recipe in (before, after):
            nets = build_nets(recipe, image_shape(recipe, images))
            shapes.append([(name, part.shape) for net in nets for name, part in net.state_dict().items()])
    return "" if shapes[0] == shapes[1] else "the remedy's nets have other shapes"


def _check_same(run: Run, wanted: Recipe, good: Checkpoint | None) -> None:
    """Refuse a directory that only has the name: what is in it would be taken for the answer."""
    there = read_recipe(run).model_copy(update={"data": wanted.data, "title": wanted.title})
    digests = [each.get("digest") for each in run.ancestry()]
    if there != wanted or (good and good.digest not in digests):
        raise UsageError(f"{run.path}: is there, and is not this cure", hint="another place: --to DIR")


def _slug(remedy: tuple[str, ...]) -> str:
    text = re.sub(r"[^A-Za-z0-9._+-]+", "-", "-".join(remedy)).strip("-.") or "without"
    return text if len(text) <= 60 else f"{text[:50]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
