"""Runs' images as a labelled data set on disk, with a card."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from gander import __version__
from gander.actions.choosing import Trials, choose_setting
from gander.actions.kept import Kept, kept_generators, meant_generator
from gander.chance import alone, rank, world_size
from gander.data.formats.format import Layout
from gander.data.images import Images
from gander.engine.device import engine_on
from gander.engine.distributed import agree, process_group
from gander.engine.exact import exact
from gander.engine.machine import Machine, choose_machine, device_name, settings_restored, wants_cuda
from gander.errors import DataError, StorageError, UsageError
from gander.generation.ancestry import each_once
from gander.generation.card import run_facts, score_card, write_card
from gander.generation.draft import Draft, Plan
from gander.generation.load import RunLike, Sampler
from gander.generation.making import make_parts
from gander.generation.sieve import Assessed, Rules, Selection, Sieve, sifted
from gander.generation.source import real_images
from gander.generation.stream import Stream, cells_of, class_counts, drawn_from, interleaved
from gander.generation.target import check_room, find_target
from gander.recipe.read import read_recipe
from gander.run import Run, find_run
from gander.scores.evaluation import LEAST, Reference, Samples
from gander.scores.judge import Judge, find_judge

_LEAST_KEPT = 0.01  # of the candidates
_SCORED = 2_000  # images, for the card

Progress = Callable[[int, int], object]
"""Hears how many more images are done, and how many there are to do in all."""


@dataclass(frozen=True)
class DataSet:
    """A generated data set on disk.

    Args:
        path: what was asked for, a folder or a file.
        files: of images.
        page: the card.
        facts: how it was made, what is in it and how it scores; `dataset.json` holds the same.
    """

    path: Path
    files: tuple[Path, ...]
    page: Path
    facts: dict[str, Any]


def generate(
    run: RunLike | Sequence[RunLike],
    n: int,
    to: str | Path,
    format: str | None = None,
    classes: Sequence[str] = (),
    like: str | None = None,
    label_with: str | None = None,
    seed: int = 0,
    truncation: float | None = None,
    keep: float = 1.0,
    no_copies: bool = False,
    no_duplicates: bool = False,
    license: str = "",
    command: str = "",
    device: str = "auto",
    progress: Progress = lambda more, total: None,
    spread: float = 1.0,
    shares: Sequence[float] = (),
    use: bool | Literal["quick"] = False,
    report: Callable[[str], object] = lambda line: None,
    scores: bool = True,
) -> DataSet:
    """Write a labelled data set of n fresh images; called again after an interruption, it goes on.

    Args:
        run: a run, its path or its name; `RUN/best.safetensors` is its best generator. Several are mixed.
        to: a new folder, or a file whose suffix gives the format.
        format: its name, where the suffix does not say; Parquet without either.
        classes: only these, by name or number.
        like: data, by name or path, whose counts of classes are copied.
        label_with: "judge" names the classes where the generator knows none.
        seed: of the latents.
        truncation: the most standard deviations of a latent.
        keep, no_copies, no_duplicates: what is dropped, as `gander.generation.sieve.Rules` says.
        license: for the card.
        command: what the card says that the set was made with.
        device: auto, cpu, cuda or mps.
        spread: of the latents, relative to the training's.
        shares: of each run, relative to each other; equal ones where nothing is said.
        use: choose spread, filter and checkpoints by what a classifier learns; "quick": a third of the work.
        report: hears of the choice and of the scores.
        scores: score the first 2,000 images for the card, where their data have a judge.

    Raises: UsageError, DataError or CheckpointError where this cannot be made, before anything is written;
        StorageError where the disk refuses.
    """
    rules = Rules(keep, no_copies, no_duplicates)
    given = n, to, format, tuple(classes), like, label_with, seed, truncation
    request = _Request(*given, rules, license, command, spread, scores, report)
    engine = engine_on(device, "float32")
    named = [run] if isinstance(run, str | Path | Run) else run
    runs = [one if isinstance(one, Run) else find_run(str(one)) for one in named]
    with settings_restored(), process_group(wants_cuda(engine)):
        machine = choose_machine(engine)
        with exact():  # equal bytes
            generation = _Generation(runs, shares, request, machine)
            if use:
                generation.choose(use == "quick", report)
            return generation.make(progress)


@dataclass(frozen=True)
class _Request:
    n: int
    to: str | Path
    format: str | None
    classes: tuple[str, ...]
    like: str | None
    label_with: str | None
    seed: int
    truncation: float | None
    rules: Rules
    license: str
    command: str
    spread: float
    scores: bool
    report: Callable[[str], object]


class _Generation:
    """What is decided before the first image is written, and then the work."""

    def __init__(self, runs: list[Run], given: Sequence[float], request: _Request, machine: Machine) -> None:
        if request.n < 1:
            raise UsageError(f"-n {request.n}: at least 1 image is wanted", hint="-n 50000")
        if not _LEAST_KEPT <= request.rules.keep <= 1:
            raise UsageError(f"--keep {request.rules.keep:g}: a share from {_LEAST_KEPT} to 1 is wanted")
        if request.label_with not in (None, "judge"):
            raise UsageError(f'--label-with "{request.label_with}": only the judge can')
        self.shares = _checked(runs, given)
        self.runs, self.request, self.machine = runs, request, machine
        self.target = find_target(Path(request.to), request.format)
        self.search: dict[str, Any] | None = None
        check_room(self.target, request.n, runs[0].env()["data"])
        self._take([meant_generator(run) for run in runs])
        first = self.samplers[0]
        self.counts = class_counts(first, request.n, request.classes, request.like)
        self.judge: Judge | None = None
        self.images: Images | None = None
        self.unscored = "" if request.scores else "they were not asked for (--no-scores)"
        try:
            self.images = real_images(runs[0])
            self.judge = find_judge(self.images, str(machine.device))
        except (DataError, StorageError) as error:
            if request.label_with or not request.rules.idle:
                raise
            self.unscored = "its real images could not be opened"  # where is nothing for others to know
            if self.images is not None:
                self.unscored = error.problems[0].replace(self.images.source, Path(self.images.source).name)
        if request.label_with and first.conditional:
            raise UsageError("--label-with judge: this run's images have the classes they were asked for")

    def _take(self, generators: list[Kept]) -> None:
        """Draw from these generators, one of each run."""
        self.generators, request = generators, self.request
        self.samplers = [drawn_from(one.sampler, request.truncation, request.spread) for one in generators]
        _check_alike(self.runs, [one.sampler for one in generators])
        for sampler in self.samplers:
            sampler.generator.to(self.machine.device)

    def choose(self, quick: bool, report: Callable[[str], object]) -> None:
        """Choose spread, filter and checkpoints by what a classifier learns; the first process does."""
        request = self.request
        if request.truncation is not None or request.spread != 1 or request.rules.keep < 1:
            raise UsageError("--for use: chooses --spread and --keep itself, without --truncation")
        if self.images is None:
            raise DataError(f"--for use: {self.unscored}", hint="the run's data.path must be where it was")
        kept = [kept_generators(run) for run in self.runs]
        trials = Trials(kept, self.shares, self.images, self.judge, request.n, self.machine, quick)
        found = None
        if rank() == 0:
            with alone():
                found = choose_setting(trials, report)
        setting, self.search = agree(found)
        rules = replace(request.rules, keep=setting.keep)
        self.shares, self.request = setting.shares, replace(request, spread=setting.spread, rules=rules)
        self._take(trials.generators(setting))

    def make(self, progress: Progress) -> DataSet:
        """Make the set; of several processes, each makes its share."""
        request, target, rules = self.request, self.target, self.request.rules
        wanted = cells_of(self.counts or [request.n], self.shares)
        sifts = bool(request.label_with) or not rules.idle
        total = request.n + (sum(map(rules.candidates, wanted)) if sifts else 0)

        def count(more: int) -> None:
            progress(more, total // world_size())

        assessed, selection = None, None
        if sifts:
            assert self.judge is not None
            assert self.images is not None
            memory = Reference(self.images, self.judge, LEAST).memory if rules.compares else None
            sieve = Sieve(rules, self.judge, memory)
            stream, assessed, selection = sifted(sieve, self.samplers, request.seed, wanted, count)
        else:
            stream = Stream.of_cells(self.samplers, request.seed, interleaved(wanted))
        with Draft(target, self._plan(stream, selection, assessed)) as draft:
            make_parts(draft, stream, count)
            files = [shard.file for shard in draft.shards]
            if rank() == 0:
                if not draft.finished.exists():
                    draft.join()
                    candidates = request.n if assessed is None else len(assessed.confidence)
                    self._write_card(draft, stream, candidates, selection.dropped if selection else {})
                draft.place()
        agree(None)
        page, facts = (target.root / target.card_file(name) for name in ("README.md", "dataset.json"))
        images = tuple(target.root / file for file in files)
        return DataSet(target.path, images, page, json.loads(facts.read_text("utf-8")))

    def _plan(self, stream: Stream, selection: Selection | None, assessed: Assessed | None) -> Plan:
        request, shape = self.request, self.runs[0].env()["data"]
        places = None if selection is None or request.rules.idle else selection.places
        kept = slice(None) if places is None else places
        labels, confidence = None if stream.labels is None else stream.labels[kept], None
        classes = () if labels is None else self.samplers[0].classes
        if request.label_with and assessed is not None and self.images is not None:
            labels, confidence = assessed.classes[kept], assessed.confidence[kept]
            classes = self.images.classes
        layout = Layout(classes, (shape["channels"], shape["size"], shape["size"]), confidence is not None)
        facts = {
            "generators": [one.digest for one in self.generators],
            "shares": self.shares,
            "seed": request.seed,
            "truncation": request.truncation,
            "spread": request.spread,
            "format": self.target.name,
            "device": self.machine.device.type,
        }
        packages = ("torch", "numpy", "pillow", "pyarrow")
        machine = {name: f"{name} {version(name)}" for name in packages}
        machine |= {"gander": f"gander {__version__}", "device": device_name(self.machine.device)}
        return Plan(request.n, layout, places, labels, confidence, facts, machine)

    def _write_card(self, draft: Draft, stream: Stream, candidates: int, dropped: dict[str, int]) -> None:
        plan, request = draft.plan, self.request
        count = min(plan.n, _SCORED)
        if not self.unscored:
            request.report(f"scoring {count:,} images for the card; --no-scores does not")
        places = np.arange(count) if plan.places is None else plan.places[:count]
        pixels = np.concatenate([pixels for _, pixels in stream.at(places)])
        own = plan.labels is not None and not plan.layout.confident  # the judge would agree with itself
        labels = plan.labels[:count] if plan.labels is not None and own else None
        root = Path() if self.target.is_file else Path(self.target.path.name)
        facts: dict[str, Any] = {
            "name": self.target.path.name,
            "title": f"{plan.n:,} images generated by {' + '.join(one.name for one in self.generators)}",
            "images": plan.n,
            "shape": [*plan.layout.shape],
            "classes": [*plan.layout.classes],
            "labels_are": _labels_are(plan, self.judge),
            "format": self.target.name,
            "license": request.license,
            "recipe_file": str(self.target.card_file("recipe.toml")),
            "command": request.command,
            "seed": request.seed,
            "truncation": request.truncation,
            "spread": request.spread,
            "search": self.search,
            "filters": asdict(request.rules),
            "candidates": candidates,
            "dropped": dropped,
            "versions": {"gander": __version__, "torch": torch.__version__},
        }
        chosen = bool(request.label_with) or not request.rules.idle
        by = self.judge if chosen else None
        facts |= {"runs": _shares_of(self.runs, self.generators, stream, plan, by)}
        facts["ancestry"] = each_once(one for run in facts["runs"] for one in run.pop("ancestry"))
        facts["trained_on"] = facts["runs"][0]["trained_on"]
        facts |= {"counts": plan.counts(), "files": [str(root / shard.file) for shard in draft.shards]}
        if self.judge is None or self.images is None or self.unscored:
            facts |= {"scores": [], "caveats": [], "unscored": self.unscored}
        else:
            comparable = labels is not None and plan.layout.classes == self.images.classes
            named = torch.from_numpy(labels) if comparable else None
            weights = " + ".join(dict.fromkeys(sampler.weights for sampler in self.samplers))
            made = Samples("", pixels, named, weights)
            facts |= score_card(self.judge, self.images, facts["ancestry"], made, request.seed)
        write_card(draft.joined, self.target, facts, read_recipe(self.runs[0]), pixels, labels)


def _shares_of(
    runs: list[Run], generators: list[Kept], stream: Stream, plan: Plan, chosen_by: Judge | None
) -> list[dict[str, Any]]:
    """Say of each run which weights it gave, and how many images."""
    kept = slice(plan.n) if plan.places is None else plan.places
    owners = np.zeros(plan.n, np.int64) if stream.owners is None else stream.owners[kept]
    images = np.bincount(owners, minlength=len(runs)).tolist()
    return [
        run_facts(run, chosen_by)
        | {"run": own.name, "generator": own.digest, "trained_images": own.images}
        | {"weights": own.sampler.weights, "images": count, "share": count / plan.n}
        for run, own, count in zip(runs, generators, images, strict=True)
    ]


def _labels_are(plan: Plan, judge: Judge | None) -> str:
    if plan.labels is None:
        return "none"
    if not plan.layout.confident or judge is None:
        return "what the generator was asked for"
    right = f"{judge.record.accuracy:.1%} of held-out real images"
    return f"the judge's, which names {right} rightly; with its confidence"


def _checked(runs: list[Run], shares: Sequence[float]) -> tuple[float, ...]:
    """Give the share of each run; UsageError where one is not positive or missing, or a run comes twice."""
    if not runs:
        raise UsageError("RUN: at least one is wanted", hint="gander runs")
    if len({(run.path.resolve(), run.weights) for run in runs}) < len(runs):
        raise UsageError("a run is named twice", hint="--share gives a run more than the others")
    if shares and (len(shares) != len(runs) or not all(0 < share < float("inf") for share in shares)):
        given = " ".join(f"--share {share:g}" for share in shares)
        raise UsageError(f"{given}: a positive number is wanted for each of {len(runs)} runs, in their order")
    return tuple(float(share) for share in shares or [1] * len(runs))


def _check_alike(runs: list[Run], samplers: list[Sampler]) -> None:
    """Raise UsageError where runs differ in what must be the same to be mixed."""
    made = []
    for run, sampler in zip(runs, samplers, strict=True):
        data, classes = run.env()["data"], ", ".join(sampler.classes if sampler.conditional else ("none",))
        made.append(f"{data['size']} x {data['size']} pixels, {data['channels']} channels, classes {classes}")
        if made[-1] != made[0]:
            both = f"{run.name} makes {made[-1]}; {runs[0].name} makes {made[0]}"
            raise UsageError(f"{both}: only runs that make the same are mixed")
