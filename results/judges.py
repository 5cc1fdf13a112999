"""Does the judge order images as people do? Ladders of corruption, junk, generators ranked by two judges.

    python results/judges.py train                        # the second judge, of another design and seed
    python results/judges.py score RUN RUN@IMAGES ...     # writes results/judges.md and its pictures

A generator is a run, or one of its checkpoints. The folder `--work` keeps the scores of every set, which are
not made again; `-n` images a set.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from corruptions import CORRUPTIONS, junk
from second_judge import SecondJudge, train_second

from gander.data.images import Images, open_images
from gander.generation.load import Sampler, load
from gander.generation.source import generated_samples
from gander.pictures.sheet import contact_sheet, save_png
from gander.run import find_run
from gander.scores.evaluation import Reference, Samples, score_samples, split_reals
from gander.scores.judge import find_judge, training_and_held_out
from gander.scores.score import VERSION
from gander.training.checkpoint import read_checkpoint

HERE = Path(__file__).parent
FEWER = (7, 5, 3, 1)  # classes that are left
SHOWN = 10  # images a row
CHANCE = 0.02  # by which a share of some thousand images may rise for nothing
SEES = {
    "one image repeated": ("recall", "coverage", "class-diversity"),
    "classes dropped": ("recall", "coverage"),
    "checkerboard": ("precision", "checkerboard"),
    "pixelated": ("precision", "coverage"),
    "mixed": ("precision", "coverage"),
}
"""Which scores should see a corruption; all others precision."""

Scores = dict[str, float]
Made = tuple[np.ndarray, torch.Tensor | None]  # images, with labels


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "score"))
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--path", help="of CIFAR-10, where it is not to be downloaded")
    parser.add_argument("--work", type=Path, default=Path("runs/judges"))
    parser.add_argument("-n", type=int, default=2_000)
    given = parser.parse_intermixed_args()
    images = open_images("cifar10", given.path)
    if given.what == "train":
        train_second(images, given.work / "second.safetensors")
    else:
        Measurement(images, given.work, given.n).write(given.runs)


class Measurement:
    """Scores sets of n images by both judges, once."""

    def __init__(self, images: Images, work: Path, n: int) -> None:
        self.images, self.n = images, n
        judges = {"judge": find_judge(images), "second": SecondJudge(work / "second.safetensors")}
        self.references = {name: Reference(images, judge, n, whole=False) for name, judge in judges.items()}
        training, aside = training_and_held_out(images)
        self.compared, against = split_reals(training, aside, n, seed=0)
        self.clean, self.labels = images.pixels[against], torch.from_numpy(images.labels[against])
        self.kept = work / f"scores-{n}-{'-'.join(judge.digest[:8] for judge in judges.values())}.json"
        self.scores: dict[str, Scores] = json.loads(self.kept.read_text()) if self.kept.exists() else {}
        self.rows: dict[str, np.ndarray] = {}  # for the pictures

    def score(self, name: str, make: Callable[[], Made], judge: str = "judge") -> Scores:
        """Score a set, or read what it got before."""
        key = f"{judge}: {name}"
        if key not in self.scores:
            pixels, labels = make()
            samples = Samples(name, pixels, labels if judge == "judge" else None, "as they are")
            found = score_samples(samples, self.references[judge])
            self.scores[key] = {score.name.removesuffix("-second"): score.value for score in found.scores}
            self.kept.write_text(json.dumps(self.scores, indent=1))
            print(key, {name: round(value, 3) for name, value in self.scores[key].items()}, flush=True)
        return self.scores[key]

    def ladder(self, name: str) -> list[tuple[float, Scores]]:
        """Score real images and ever worse ones."""
        steps = [(0.0, self.score("real", lambda: (self.clean, self.labels)))]
        if name == "classes dropped":
            for count in FEWER:
                steps.append((10 - count, self.score(f"{name} {count}", partial(self.of_classes, count))))
            return steps
        corrupt, strengths = CORRUPTIONS[name]
        row = [self.clean[:2]]  # two images at each strength, and the clean ones where there is room
        for strength in strengths:
            make = partial(self.spoilt, corrupt, strength)
            steps.append((strength, self.score(f"{name} {strength}", make)))
            row.append(corrupt(self.clean[:2], strength))
        self.rows[name] = np.concatenate(row[-SHOWN // 2 :])
        return steps

    def of_classes(self, count: int) -> Made:
        """Give real images of the first few classes, which are not compared with."""
        rest = np.setdiff1d(np.arange(len(self.images)), self.compared)
        own = np.random.default_rng(0).permutation(rest[self.images.labels[rest] < count])[: self.n]
        return self.images.pixels[own], torch.from_numpy(self.images.labels[own])

    def spoilt(self, corrupt: Callable[[np.ndarray, float], np.ndarray], strength: float) -> Made:
        """Give corrupted real images."""
        return corrupt(self.clean, strength), self.labels

    def generators(self, names: list[str]) -> Iterator[tuple[str, Scores, Scores]]:
        """Score what runs and their checkpoints make, by both judges."""
        for name in names:
            run, images = find_run(name.partition("@")[0]), name.partition("@")[2]
            called = f"{run.name} {int(images or run.trained_images()):,}"
            sampler = load(run)
            if images:
                take_weights(sampler, read_checkpoint(run, int(images)).tensors)
            make = partial(self.made, sampler)
            self.rows[called] = generated_samples(called, sampler, self.images, SHOWN, seed=2).pixels
            yield called, *(self.score(called, make, judge) for judge in self.references)

    def made(self, sampler: Sampler) -> Made:
        """Generate images, with labels where they were asked for."""
        samples = generated_samples("", sampler, self.images, self.n, seed=1)
        return samples.pixels, samples.labels

    def write(self, names: list[str]) -> None:
        """Measure everything and write the page with its pictures."""
        first, second = (
            self.score("real", lambda: (self.clean, self.labels), judge) for judge in self.references
        )
        ladders = {name: self.ladder(name) for name in (*CORRUPTIONS, "classes dropped")}
        corrupted, self.rows = self.rows, {}
        nothing = {}
        for kind, pixels in junk(self.n).items():
            corrupted[f"junk: {kind}"] = pixels[:SHOWN]
            make = partial(tuple, (pixels, None))
            nothing[kind] = [self.score(f"junk: {kind}", make, judge) for judge in self.references]
        made = sorted(self.generators(names), key=lambda row: row[1]["fd-judge"])
        (HERE / "judges").mkdir(exist_ok=True)
        draw("corruptions", corrupted)
        draw("generators", {called: self.rows[called] for called, *_ in made})
        about = [judge.extractor for judge in self.references.values()]
        lines = [
            "# Judges: do they order images as people do?",
            "",
            f"{self.n:,} images a set against {self.n:,} real ones of CIFAR-10; scores of version {VERSION}.",
            f"The judge is `{about[0].description}`; no score rests on the `{about[1].description}`,",
            "which is residual, with 8 x 8 maps and another seed.",
            "",
            "```",
            "python results/judges.py train",
            f"python results/judges.py score -n {self.n} {' '.join(Path(name).name for name in names)}",
            "```",
            "",
            *real_table(first, second),
            *ladder_tables(ladders),
            *junk_table(nothing),
            *generator_table(made),
        ]
        (HERE / "judges.md").write_text("\n".join(lines) + "\n", "utf-8")


def take_weights(sampler: Sampler, tensors: dict[str, torch.Tensor]) -> None:
    """Put the averaged weights of a checkpoint into a generator, or the latest where there is no average."""
    names = sampler.generator.state_dict()
    prefixes = ("average.", "g.")
    prefix = next(prefix for prefix in prefixes if all(prefix + name in tensors for name in names))
    sampler.generator.load_state_dict({name: tensors[prefix + name] for name in names})


def rises(values: list[float], chance: float = 0.0) -> bool:
    """Tell whether no value is below the one before, by more than chance."""
    return all(before <= after + chance for before, after in pairwise(values))


def rank_correlation(a: list[float], b: list[float]) -> float:
    """Give Spearman's, with mean ranks for ties."""
    ranks = []
    for values in (np.array(a), np.array(b)):
        below, upto = (values[:, None] > values).sum(1), (values[:, None] >= values).sum(1)
        ranks.append((below + upto - 1) / 2)
    return float(np.corrcoef(*ranks)[0, 1])


def real_table(first: Scores, second: Scores) -> list[str]:
    """What other real images get."""
    names = ("precision", "recall", "coverage")
    rows = [
        f"| {which} | {scores[distance]:.3g} | " + " | ".join(f"{scores[name]:.3f}" for name in names) + " |"
        for which, distance, scores in (("judge", "fd-judge", first), ("second", "fd", second))
    ]
    head = ["## Real images against others", "", f"| by the | distance | {' | '.join(names)} |"]
    return [*head, "|---|---|---|---|---|", *rows, ""]


def ladder_tables(ladders: dict[str, list[tuple[float, Scores]]]) -> list[str]:
    """Every ladder: distance, and the scores that should see it."""
    lines = [
        "## Ladders of corruption",
        "",
        "![two images at every strength, and ten of each kind of junk](judges/corruptions.png)",
        "",
        "From clean real images to the worst. `yes`: no step is better than the one before, or by no more",
        f"than {CHANCE} where it is a share of images.",
        "",
        "| corruption | strengths | fd-judge | rises | a score that should see it | | sees it |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, steps in ladders.items():
        strengths = " ".join(f"{strength:g}" for strength, _ in steps)
        distances = [scores["fd-judge"] for _, scores in steps]
        for place, seen_by in enumerate(SEES.get(name, ("precision",))):
            values = [scores[seen_by] for _, scores in steps]
            sees = rises(values if seen_by == "checkerboard" else [-value for value in values], CHANCE)
            about = f"{name} | {strengths} | {joined(distances)} | {yes(rises(distances))}"
            lines.append(f"| {'| | |' if place else about} | {seen_by} | {joined(values)} | {yes(sees)} |")
    return [*lines, ""]


def junk_table(nothing: dict[str, list[Scores]]) -> list[str]:
    """What images get that show nothing."""
    lines = ["## Junk", "", "| | fd-judge | precision | recall | coverage | precision by the second judge |"]
    lines.append("|---|---|---|---|---|---|")
    for kind, (first, second) in nothing.items():
        cells = [f"{first[name]:.3g}" for name in ("fd-judge", "precision", "recall", "coverage")]
        lines.append(f"| {kind} | {' | '.join(cells)} | {second['precision']:.3g} |")
    return [*lines, ""]


def generator_table(made: list[tuple[str, Scores, Scores]]) -> list[str]:
    """The generators in the first judge's order, and how far the second agrees."""
    lines = [
        "## Generators",
        "",
        "The first images that each makes, not chosen, in the order of the table.",
        "",
        "![ten images of each generator](judges/generators.png)",
        "",
        "| run, images | fd-judge | second's | precision | second's | recall | second's | coverage "
        "| second's | checkerboard | class-diversity |",
        f"|{'---|' * 11}",
    ]
    for called, first, second in made:
        cells = [f"{first['fd-judge']:.2f} | {second['fd']:.2f}"]
        cells += [f"{first[name]:.2f} | {second[name]:.2f}" for name in ("precision", "recall", "coverage")]
        cells += [
            f"{first[name]:.2f}" if name in first else "" for name in ("checkerboard", "class-diversity")
        ]
        lines.append(f"| {called} | {' | '.join(cells)} |")
    columns = {"distance": ("fd-judge", "fd")} | {
        name: (name, name) for name in ("precision", "recall", "coverage")
    }
    found = [
        f"{title} {rank_correlation([row[1][ours] for row in made], [row[2][theirs] for row in made]):.3f}"
        for title, (ours, theirs) in columns.items()
    ]
    return [
        *lines,
        "",
        f"Spearman's rank correlation of the two judges over these {len(made)}: {', '.join(found)}.",
    ]


def joined(values: list[float]) -> str:
    """Write numbers behind each other."""
    return " ".join(f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in values)


def yes(holds: bool) -> str:
    """Say yes or no."""
    return "yes" if holds else "**no**"


def draw(name: str, rows: dict[str, np.ndarray]) -> None:
    """Write a sheet with a named row a set."""
    sheet = contact_sheet(np.concatenate([*rows.values()]), SHOWN, row_names=[*rows])
    save_png(sheet, HERE / "judges" / f"{name}.png")


if __name__ == "__main__":
    main()
