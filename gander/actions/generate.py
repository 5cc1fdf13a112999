"""A run's images as a labelled data set on disk, with a card."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gander import __version__
from gander.chance import rank, world_size
from gander.data.formats.format import Layout
from gander.data.images import Images
from gander.engine.device import engine_on
from gander.engine.distributed import agree, process_group
from gander.engine.exact import exact
from gander.engine.machine import Machine, choose_machine, device_name, settings_restored, wants_cuda
from gander.errors import DataError, StorageError, UsageError
from gander.files import file_digest
from gander.generation.card import run_facts, score_card, write_card
from gander.generation.draft import Draft, Plan
from gander.generation.load import load
from gander.generation.making import make_parts
from gander.generation.sieve import SPARES, Rules, Seen, Selection, Sieve, look_at
from gander.generation.source import real_images
from gander.generation.stream import Indices, Stream, class_counts, spread, truncated
from gander.generation.target import find_target
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
    run: str | Path | Run,
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
) -> DataSet:
    """Write a labelled data set of n fresh images; called again after an interruption, it goes on.

    Args:
        run: a run, its path or its name; `RUN/best.safetensors` is its best generator.
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

    Raises: UsageError, DataError or CheckpointError where this cannot be made, before anything is written;
        StorageError where the disk refuses.
    """
    rules = Rules(keep, no_copies, no_duplicates)
    request = _Request(
        n, Path(to), format, tuple(classes), like, label_with, seed, truncation, rules, license, command
    )
    engine = engine_on(device, "float32")
    run = run if isinstance(run, Run) else find_run(str(run))
    with settings_restored(), process_group(wants_cuda(engine)):
        machine = choose_machine(engine)
        with exact():  # equal bytes
            return _Generation(run, request, machine).make(progress)


@dataclass(frozen=True)
class _Request:
    n: int
    to: Path
    format: str | None
    classes: tuple[str, ...]
    like: str | None
    label_with: str | None
    seed: int
    truncation: float | None
    rules: Rules
    license: str
    command: str


class _Generation:
    """What is decided before the first image is written, and then the work."""

    def __init__(self, run: Run, request: _Request, machine: Machine) -> None:
        if request.n < 1:
            raise UsageError(f"-n {request.n}: at least 1 image is wanted", hint="-n 50000")
        if not _LEAST_KEPT <= request.rules.keep <= 1:
            raise UsageError(f"--keep {request.rules.keep:g}: a share from {_LEAST_KEPT} to 1 is wanted")
        if request.label_with not in (None, "judge"):
            raise UsageError(f'--label-with "{request.label_with}": only the judge can')
        self.run, self.request, self.machine = run, request, machine
        self.target = find_target(request.to, request.format)
        self.sampler = truncated(load(run), request.truncation)
        self.sampler.generator.to(machine.device)
        self.counts = class_counts(self.sampler, request.n, request.classes, request.like)
        self.judge: Judge | None = None
        self.images: Images | None = None
        self.unscored = ""
        try:
            self.images = real_images(run)
            self.judge = find_judge(self.images, str(machine.device))
        except (DataError, StorageError) as error:
            if request.label_with or not request.rules.idle:
                raise
            self.unscored = "its real images could not be opened"  # where is nothing for others to know
            if self.images is not None:
                self.unscored = error.problems[0].replace(self.images.source, Path(self.images.source).name)
        if request.label_with and self.sampler.conditional:
            raise UsageError(
                "--label-with judge: this run's images have the classes that they were asked for"
            )

    def make(self, progress: Progress) -> DataSet:
        """Make the set; of several processes, each makes its share."""
        request, target, rules = self.request, self.target, self.request.rules
        wanted = self.counts or [request.n]
        looks_first = bool(request.label_with) or not rules.idle
        total = request.n + (sum(map(rules.candidates, wanted)) if looks_first else 0)

        def count(more: int) -> None:
            progress(more, total // world_size())

        asked, selection, seen = (spread(self.counts) if self.counts else None), None, None
        if looks_first:
            asked, selection, seen = self._select(wanted, count)
        stream = Stream(self.sampler, request.seed, asked)
        with Draft(target, self._plan(asked, selection, seen)) as draft:
            make_parts(draft, stream, count)
            files = [shard.file for shard in draft.shards]
            if rank() == 0:
                if not draft.finished.exists():
                    draft.join()
                    candidates = request.n if seen is None else len(seen.confidence)
                    self._write_card(draft, stream, candidates, selection.dropped if selection else {})
                draft.place()
        agree(None)
        page, facts = (target.root / target.card_file(name) for name in ("README.md", "dataset.json"))
        images = tuple(target.root / file for file in files)
        return DataSet(target.path, images, page, json.loads(facts.read_text("utf-8")))

    def _select(
        self, wanted: list[int], count: Callable[[int], object]
    ) -> tuple[Indices | None, Selection, Seen]:
        """Look at candidates and choose; give what they were asked to be, the choice, and what was seen.

        More candidates are made where distances leave too few.
        """
        assert self.judge is not None
        assert self.images is not None
        rules, seed = self.request.rules, self.request.seed
        memory = Reference(self.images, self.judge, LEAST).memory if rules.compares else None
        sieve = Sieve(rules, self.judge, memory)
        for spare in SPARES:
            each = [rules.candidates(number, spare) for number in wanted]
            asked = spread(each) if self.counts else None
            seen = look_at(sieve, Stream(self.sampler, seed, asked), sum(each), count)
            try:
                return asked, sieve.choose(seen, asked, wanted, self.sampler.classes), seen
            except UsageError:
                if spare == SPARES[-1] or not rules.compares:
                    raise
        raise AssertionError("there is a last try")

    def _plan(self, asked: Indices | None, selection: Selection | None, seen: Seen | None) -> Plan:
        request, shape = self.request, self.run.env()["data"]
        places = None if selection is None or request.rules.idle else selection.places
        kept = slice(None) if places is None else places
        labels, confidence = None if asked is None else asked[kept], None
        classes = () if asked is None else self.sampler.classes
        if request.label_with and seen is not None and self.images is not None:
            labels, confidence, classes = seen.classes[kept], seen.confidence[kept], self.images.classes
        layout = Layout(classes, (shape["channels"], shape["size"], shape["size"]), confidence is not None)
        facts = {
            "generator": file_digest(self.run.weights_file),
            "seed": request.seed,
            "truncation": request.truncation,
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
        places = np.arange(count) if plan.places is None else plan.places[:count]
        pixels = np.concatenate([pixels for _, pixels in stream.at(places)])
        own = plan.labels is not None and not plan.layout.confident  # the judge would agree with itself
        labels = plan.labels[:count] if plan.labels is not None and own else None
        root = Path() if self.target.is_file else Path(self.target.path.name)
        facts: dict[str, Any] = {
            "name": self.target.path.name,
            "title": f"{plan.n:,} images generated by {self.run.name}",
            "images": plan.n,
            "shape": [*plan.layout.shape],
            "classes": [*plan.layout.classes],
            "labels_are": self._labels_are(plan),
            "format": self.target.name,
            "license": request.license,
            "recipe_file": str(self.target.card_file("recipe.toml")),
            "command": request.command,
            "seed": request.seed,
            "truncation": request.truncation,
            "filters": asdict(request.rules),
            "candidates": candidates,
            "dropped": dropped,
            "versions": {"gander": __version__, "torch": torch.__version__},
        }
        chosen = bool(request.label_with) or not request.rules.idle
        facts |= run_facts(self.run, self.judge if chosen else None)
        facts |= {"counts": plan.counts(), "files": [str(root / shard.file) for shard in draft.shards]}
        if self.judge is None or self.images is None:
            facts |= {"scores": [], "caveats": [], "unscored": self.unscored}
        else:
            comparable = labels is not None and plan.layout.classes == self.images.classes
            named = torch.from_numpy(labels) if comparable else None
            made = Samples("", pixels, named, self.sampler.weights)
            facts |= score_card(self.judge, self.images, facts["ancestry"], made, request.seed)
        write_card(draft.joined, self.target, facts, read_recipe(self.run), pixels, labels)

    def _labels_are(self, plan: Plan) -> str:
        if plan.labels is None:
            return "none"
        if not plan.layout.confident or self.judge is None:
            return "what the generator was asked for"
        right = f"{self.judge.record.accuracy:.1%} of held-out real images"
        return f"the judge's, which names {right} rightly; with its confidence"
