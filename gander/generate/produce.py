"""From a run and wishes to a labelled data set with its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from gander import __version__
from gander.chance import rank, world_size
from gander.data.images import Images, open_images
from gander.data.origins import Pixels
from gander.errors import DataError, StorageError, UsageError, did_you_mean
from gander.generate.card import SHEET, file_digest, first_images, run_facts, write_card
from gander.generate.dataset import Draft, Order, Target, find_target
from gander.generate.load import Sampler, load
from gander.generate.sieve import SPARES, Looks, Rules, Sieve, Sifted
from gander.generate.source import real_images
from gander.generate.stream import BLOCK, Indices, Stream, shares, spread, truncated
from gander.generate.writers import About
from gander.recipe.read import read_recipe
from gander.recipe.write import portable_toml
from gander.run import Run
from gander.scores.evaluation import LEAST, Reals, Subject, evaluate
from gander.scores.judge import Judge, find_judge

_SCORED = 2_000  # images, for the card
_VERSIONS = {"gander": __version__, "torch": torch.__version__}
_LEAST_KEPT = 0.01  # of the candidates


@dataclass(frozen=True)
class Wishes:
    """What data set is asked for."""

    n: int
    to: Path
    format: str | None = None
    classes: tuple[str, ...] = ()
    like: str | None = None  # data whose class counts are copied
    label_with: str | None = None
    seed: int = 0
    truncation: float | None = None
    rules: Rules = field(default_factory=Rules)
    license: str = ""
    command: str = ""


@dataclass(frozen=True)
class Produced:
    """What was made."""

    target: Target
    files: list[Path]
    told: dict[str, Any]  # what `dataset.json` holds


class Producer:
    """Everything that is decided before the first image is written.

    Raises: UsageError, DataError, CheckpointError where the wishes cannot be fulfilled.
    """

    def __init__(self, run: Run, wishes: Wishes, device: str = "cpu") -> None:
        if wishes.n < 1:
            raise UsageError(f"-n {wishes.n}: at least 1 image is wanted", hint="-n 50000")
        if not _LEAST_KEPT <= wishes.rules.keep <= 1:
            raise UsageError(f"--keep {wishes.rules.keep:g}: a share from {_LEAST_KEPT} to 1 is wanted")
        if wishes.label_with not in (None, "judge"):
            raise UsageError(f'--label-with "{wishes.label_with}": only the judge can')
        self.run, self.wishes, self.device = run, wishes, device
        self.target = find_target(wishes.to, wishes.format)
        sampler = truncated(load(run), wishes.truncation)
        sampler.generator.to(device)
        self.sampler = sampler
        self.counts = _counts(sampler, wishes)
        self.judge: Judge | None = None
        self.images: Images | None = None
        self.unscored = ""
        try:
            self.images = real_images(run)
            self.judge = find_judge(self.images, device)
        except (DataError, StorageError) as error:
            if wishes.label_with or not wishes.rules.idle:
                raise
            self.unscored = "its real images could not be opened"  # where is nothing for others to know
            if self.images is not None:
                self.unscored = error.problems[0].replace(self.images.source, Path(self.images.source).name)
        if wishes.label_with and sampler.conditional:
            raise UsageError(
                "--label-with judge: this run's images have the classes that they were asked for"
            )

    @property
    def total(self) -> int:
        """How many images are to be looked at and written, if all goes well."""
        rules = self.wishes.rules
        looks = sum(rules.candidates(count, SPARES[0]) for count in self.counts or [self.wishes.n])
        return self.wishes.n + (0 if rules.idle else looks)

    def produce(self, tell: Callable[[int], object]) -> Produced:
        """Make it; `tell` hears how many more images this process has looked at or written.

        Raises: StorageError where the disk refuses.
        """
        sifted, candidates, asked = None, self.wishes.n, spread(self.counts) if self.counts else None
        if not self.wishes.rules.idle:
            sifted, candidates, asked = self._sift(tell)
        stream = Stream(self.sampler, self.wishes.seed, asked)
        labels = asked if asked is None or sifted is None else asked[sifted.places]
        named = self.judge if self.wishes.label_with else None
        classes = self.sampler.classes if labels is not None else ()
        if named is not None and self.images is not None:
            classes = self.images.classes
        about = About(classes, self._shape(), named is not None)
        facts = {
            "generator": file_digest(self.run.weights_file),
            "seed": self.wishes.seed,
            "truncation": self.wishes.truncation,
            "judge": named.digest if named else None,
            "format": self.target.format,
            "device": self.device.split(":")[0],
            "versions": _VERSIONS,
        }
        order = Order(self.wishes.n, about, sifted.places if sifted else None, labels, facts)
        told: dict[str, Any] = {}
        files: list[Path] = []
        with Draft(self.target, order) as draft:
            draft.make(stream, named, tell)
            if rank() == 0:
                told = self._facts(order, sifted, candidates) | run_facts(self.run)
                told |= {"counts": draft.counts(), "files": draft.files()}
                files = draft.finish(lambda folder: self._write_card(folder, told, stream, order))
        return Produced(self.target, files, told)

    def _write_card(self, folder: Path, told: dict[str, Any], stream: Stream, order: Order) -> None:
        pixels, labels = first_images(stream, order, SHEET if self.judge is None else _SCORED)
        told.update(self._scores(order, pixels, labels))
        seen = pixels[:SHEET], None if labels is None else labels[:SHEET]
        write_card(folder, self.target, order.about, told, *seen)
        recipe = portable_toml(read_recipe(self.run)).encode()
        (folder / self.target.beside("recipe.toml")).write_bytes(recipe)

    def _shape(self) -> tuple[int, int, int]:
        data = self.run.env()["data"]
        return data["channels"], data["size"], data["size"]

    def _sift(self, tell: Callable[[int], object]) -> tuple[Sifted, int, Indices | None]:
        """Choose among candidates; give the choice, how many there were, and what they were asked to be.

        More candidates are made where too few are left.
        """
        assert self.judge is not None
        assert self.images is not None
        rules, wanted = self.wishes.rules, self.counts or [self.wishes.n]
        sieve = Sieve(rules, self.judge, Reals(self.images, self.judge, LEAST, whole=rules.compares))
        for spare in SPARES:
            made = [rules.candidates(count, spare) for count in wanted]
            asked = spread(made) if self.counts else None
            looks = self._look(sieve, Stream(self.sampler, self.wishes.seed, asked), sum(made), tell)
            try:
                return sieve.choose(looks, asked, wanted, self.sampler.classes), sum(made), asked
            except UsageError:
                if spare == SPARES[-1] or not rules.compares:
                    raise
        raise AssertionError("there is a last try")

    def _look(self, sieve: Sieve, stream: Stream, count: int, tell: Callable[[int], object]) -> Looks:
        """Look at candidates, each process at its share of the blocks."""
        blocks = range(-(-count // BLOCK))
        seen = {}
        for block in blocks[rank() :: world_size()]:
            places = np.arange(block * BLOCK, min((block + 1) * BLOCK, count))
            ((_, pixels),) = stream.at(places)
            labels = None if stream.labels is None else stream.labels[places]
            seen[block] = sieve.look(pixels, labels)
            tell(len(pixels))
        if world_size() > 1:
            parts: list[Any] = [None] * world_size()
            dist.all_gather_object(parts, seen)
            seen = {block: looks for part in parts for block, looks in part.items()}
        return Looks(*map(np.concatenate, zip(*(seen.pop(block) for block in blocks), strict=True)))

    def _scores(self, order: Order, pixels: Pixels, labels: Indices | None) -> dict[str, Any]:
        """Score the first images (N, C, S, S), where they have a judge."""
        none: dict[str, Any] = {"scores": [], "caveats": []}
        if self.judge is None or self.images is None:
            return none | {"unscored": self.unscored}
        n = min(len(pixels), len(self.images) // 2)
        if n < LEAST:
            return none | {"unscored": f"scores need at least {LEAST} images"}
        names = None
        if labels is not None and order.about.classes == self.images.classes:
            names = torch.from_numpy(labels[:n])
        subject = Subject("", pixels[:n], names, self.sampler.weights)
        reals = Reals(self.images, self.judge, n, self.wishes.seed, whole=False)
        found = evaluate(subject, reals)
        rows = [score.row(digits=6) for score in found.scores]
        return {"scores": rows, "caveats": [*found.caveats], "unscored": ""}

    def _facts(self, order: Order, sifted: Sifted | None, candidates: int) -> dict[str, Any]:
        """Say what was asked for and what came of it."""
        wishes = self.wishes
        labels_are = "none" if order.labels is None else "what the generator was asked for"
        if order.about.confident and self.judge is not None:
            right = f"{self.judge.record.accuracy:.1%} of held-out real images"
            labels_are = f"the judge's, which names {right} rightly; with its confidence"
        return {
            "name": self.target.path.name,
            "title": f"{order.n:,} images generated by {self.run.name}",
            "images": order.n,
            "shape": [*order.about.shape],
            "classes": [*order.about.classes],
            "labels_are": labels_are,
            "format": self.target.format,
            "license": wishes.license,
            "recipe_file": str(self.target.beside("recipe.toml")),
            "command": wishes.command,
            "seed": wishes.seed,
            "truncation": wishes.truncation,
            "filters": asdict(wishes.rules),
            "candidates": candidates,
            "dropped": sifted.dropped if sifted else {},
            "versions": _VERSIONS,
        }


def _counts(sampler: Sampler, wishes: Wishes) -> list[int]:
    """Say how many images each class gets; [] where the generator knows no classes."""
    if not sampler.conditional:
        for name in wishes.classes:
            sampler.label(name)
        if wishes.like:
            raise UsageError("--like: this generator knows no classes, so that their counts cannot be copied")
        return []
    asked = {sampler.label(name) for name in wishes.classes} or {*range(len(sampler.classes))}
    weights = [int(label in asked) for label in range(len(sampler.classes))]
    if wishes.like:
        theirs = open_images(wishes.like)
        for name in theirs.classes:
            if name not in sampler.classes:
                told = f"{wishes.like} has a class {name}, and this generator {', '.join(sampler.classes)}"
                raise UsageError(f"--like: {told}{did_you_mean(name, sampler.classes)}")
        known = dict(zip(theirs.classes, theirs.counts().tolist(), strict=True))
        weights = [known.get(name, 0) * weight for name, weight in zip(sampler.classes, weights, strict=True)]
        if not sum(weights):
            raise UsageError(f"--like: {wishes.like} has no labelled image of these classes")
    return shares(weights, wishes.n)
