"""From a run and wishes to a labelled data set with its card."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
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
from gander.errors import DataError, UsageError, did_you_mean
from gander.generate.card import loading_lines, render_card
from gander.generate.dataset import Draft, Order, Target, find_target
from gander.generate.load import Sampler, load
from gander.generate.sheet import contact_sheet, save_png
from gander.generate.sieve import Rules, Sifted, sift
from gander.generate.source import real_images
from gander.generate.stream import BLOCK, Indices, Stream, shares, spread, truncated
from gander.generate.writers import About
from gander.metrics.evaluation import LEAST, Reals, Subject, evaluate
from gander.metrics.judge import Judge, find_judge
from gander.recipe.shipped import parse_recipe, recipe_text
from gander.run import Run

_SCORED = 2_000  # images, for the card
_SHEET = 100


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
        if not 0 < wishes.rules.keep <= 1:
            raise UsageError(f"--keep {wishes.rules.keep:g}: a share above 0 and up to 1 is wanted")
        if wishes.label_with not in (None, "judge"):
            raise UsageError(f'--label-with "{wishes.label_with}": only the judge can')
        self.run, self.wishes = run, wishes
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
        except DataError as error:
            if wishes.label_with or not wishes.rules.idle:
                raise
            self.unscored = error.problems[0]
        if wishes.label_with and sampler.conditional:
            raise UsageError(
                "--label-with judge: this run's images have the classes that they were asked for"
            )

    def produce(self, tell: Callable[[int], object]) -> Produced:
        """Make it; `tell` hears how many images this process has written.

        Raises: StorageError where the disk refuses.
        """
        sifted, candidates = None, self.wishes.n
        labels = spread(self.counts) if self.counts else None
        if not self.wishes.rules.idle:
            made = [self.wishes.rules.candidates(count) for count in self.counts or [self.wishes.n]]
            candidates = sum(made)
            asked = spread(made) if self.counts else None
            sifted = self._sift(Stream(self.sampler, self.wishes.seed, asked), candidates)
            labels = None if asked is None else asked[sifted.places]
            stream = Stream(self.sampler, self.wishes.seed, asked)
        else:
            stream = Stream(self.sampler, self.wishes.seed, labels)
        named = self.judge if self.wishes.label_with else None
        classes = self.sampler.classes if labels is not None else ()
        if named is not None and self.images is not None:
            classes = self.images.classes
        about = About(classes, self._shape(), named is not None)
        generator = hashlib.sha256(self.run.generator_file.read_bytes()).hexdigest()
        facts = {
            "generator": generator,
            "seed": self.wishes.seed,
            "truncation": self.wishes.truncation,
            "judge": named.digest if named else None,
            "format": self.target.format,
        }
        order = Order(self.wishes.n, about, sifted.places if sifted else None, labels, facts)
        draft = Draft(self.target, order)
        draft.make(stream, named, tell)
        told: dict[str, Any] = {}
        files: list[Path] = []
        if rank() == 0:
            told = self._facts(order, sifted, candidates)

            def card(folder: Path) -> None:
                told.update(self._seen(stream, order))
                self._write_card(folder, told, stream, order)

            files = draft.finish(card)
        return Produced(self.target, files, told)

    def _shape(self) -> tuple[int, int, int]:
        data = self.run.env()["data"]
        return data["channels"], data["size"], data["size"]

    def _sift(self, stream: Stream, candidates: int) -> Sifted:
        """Look at all candidates, each process at its share of the blocks, and choose."""
        assert self.judge is not None
        assert self.images is not None
        blocks = np.arange(-(-candidates // BLOCK))
        mine = blocks[rank() :: world_size()]
        seen = {}
        for block in mine:
            places = np.arange(block * BLOCK, min((block + 1) * BLOCK, candidates))
            ((_, pixels),) = stream.at(places)
            seen[int(block)] = self.judge.look(pixels).features
        if world_size() > 1:
            parts: list[Any] = [None] * world_size()
            dist.all_gather_object(parts, seen)
            seen = {block: features for part in parts for block, features in part.items()}
        opinion = self.judge.opinion(torch.cat([seen[int(block)] for block in blocks]))
        reals = Reals(self.images, self.judge, LEAST)
        return sift(opinion, stream.labels, self.counts or [self.wishes.n], self.wishes.rules, reals)

    def _first(self, stream: Stream, order: Order, count: int) -> tuple[np.ndarray, Indices | None]:
        """Make the first images of the set again."""
        places = np.arange(count) if order.places is None else order.places[:count]
        pixels = np.concatenate([pixels for _, pixels in stream.at(places)])
        return pixels, None if order.labels is None else order.labels[:count]

    def _seen(self, stream: Stream, order: Order) -> dict[str, Any]:
        """Score the first images, and count the classes."""
        counts: dict[str, int] = {}
        if order.labels is not None:
            found = Counter(order.labels.tolist())
            counts = {name: found[label] for label, name in enumerate(order.about.classes) if found[label]}
        nothing = {"counts": counts, "scores": [], "unscored": self.unscored}
        if self.judge is None or self.images is None:
            return nothing
        n = min(order.n, _SCORED, len(self.images) // 2)
        if n < LEAST:
            return nothing | {"unscored": f"scores need at least {LEAST} images"}
        pixels, labels = self._first(stream, order, n)
        known = labels is not None and order.about.classes == self.images.classes
        subject = Subject("", pixels, torch.from_numpy(labels) if known else None, "averaged weights")
        reals = Reals(self.images, self.judge, n, self.wishes.seed, whole=False)
        scores = [score.row() for score in evaluate(subject, reals).scores]
        rounded = [_rounded(score) for score in scores]
        return {"counts": counts, "scores": rounded, "unscored": ""}

    def _facts(self, order: Order, sifted: Sifted | None, candidates: int) -> dict[str, Any]:
        env, history = self.run.env(), self.run.history()
        recipe = parse_recipe(recipe_text(str(self.run.recipe_file)), str(self.run.recipe_file))
        wishes, target = self.wishes, self.target
        labels_are = "none"
        if order.about.confident:
            assert self.judge is not None
            right = self.judge.record.accuracy
            labels_are = (
                f"the judge's, which names {right:.1%} of held-out real images rightly; with its confidence"
            )
        elif order.labels is not None:
            labels_are = "what the generator was asked for"
        return {
            "name": target.path.name,
            "title": f"{order.n:,} images generated by {self.run.name}",
            "images": order.n,
            "shape": [*order.about.shape],
            "classes": [*order.about.classes],
            "labels_are": labels_are,
            "format": target.format,
            "license": wishes.license,
            "size_category": _size_category(order.n),
            "run": self.run.name,
            "recipe_title": recipe.get("title", ""),
            "recipe_file": str(target.beside("recipe.toml")),
            "recipe_seed": recipe.get("seed", 0),
            "generator": order.facts["generator"],
            "trained_images": history.images[-1] if history.images else 0,
            "trained_on": {
                "source": Path(env["data"]["source"]).name,
                "images": env["data"]["images"],
                "fingerprint": env["data"]["fingerprint"],
            },
            "command": wishes.command,
            "seed": wishes.seed,
            "truncation": wishes.truncation,
            "filters": asdict(wishes.rules),
            "candidates": candidates,
            "dropped": sifted.dropped if sifted else {},
            "versions": {"gander": __version__, "torch": torch.__version__},
            "loading": loading_lines(target),
            "sheet": str(target.beside("sheet.png")),
        }

    def _write_card(self, folder: Path, told: dict[str, Any], stream: Stream, order: Order) -> None:
        pixels, labels = self._first(stream, order, min(order.n, _SHEET))
        names: tuple[str, ...] = ()
        if labels is not None and len(pixels) == _SHEET:
            by_class = np.argsort(labels, kind="stable")
            pixels, labels = pixels[by_class], labels[by_class]
            rows = labels.reshape(-1, 10)
            if (rows == rows[:, :1]).all():
                names = tuple(order.about.classes[label] for label in rows[:, 0])
        save_png(
            contact_sheet(pixels, min(10, len(pixels)), row_names=names),
            folder / self.target.beside("sheet.png"),
        )
        (folder / self.target.beside("recipe.toml")).write_bytes(self.run.recipe_file.read_bytes())
        about = folder / self.target.beside("dataset.json")
        about.write_text(json.dumps(told, indent=2) + "\n", "utf-8")
        (folder / self.target.beside("README.md")).write_text(render_card(told), "utf-8")


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


def _rounded(score: dict[str, Any]) -> dict[str, Any]:
    """Leave the digits away that depend on where in memory an array lies."""
    return {
        name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in score.items()
    }


def _size_category(n: int) -> str:
    """Give the class of size that the Hugging Face hub sorts by."""
    names = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for most, name in names.items() if n < most), "n>1M")
