"""What runs are worth: scored by a judge that nothing was trained with, and by a fresh classifier.

    gander train cifar10-fast seed=0 --run runs/fast-0      # and the like, as many as are compared
    python results/judges.py train                          # the second judge, of another design and seed
    python results/quality.py runs/fast-0 runs/dcgan-0 ...  # writes results/quality.md and its pictures

A run that was scored is not scored again while `--work` is kept. Pictures are of the first latents of seed 0,
and never chosen.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from first_scores import figure
from second_judge import SecondJudge

from gander.actions.evaluate import evaluate
from gander.actions.sample import sample
from gander.data.images import Images
from gander.engine.machine import device_name
from gander.generation.load import load
from gander.generation.source import generated_samples, real_images
from gander.pictures.sheet import save_png
from gander.recipe.read import read_recipe
from gander.run import Run, find_run
from gander.scores.evaluation import Reference, score_samples

HERE = Path(__file__).parent
COLUMNS = ("precision", "recall", "coverage", "label-fidelity", "class-diversity", "checkerboard")


def main() -> None:
    """Score the runs and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--work", type=Path, default=Path("runs/judges"))
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--use", choices=("no", "quick", "full"), default="quick")
    given = parser.parse_args()
    runs = [find_run(name) for name in given.runs]
    images = real_images(runs[0])
    judge = SecondJudge(given.work / "second.safetensors")
    second = Reference(images, judge, given.n, whole=False)
    kept = given.work / f"quality-{given.n}-{judge.digest[:8]}.json"
    rows: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    table = []
    for run in runs:
        key = f"{run.path.resolve()} {run.trained_images()} {given.use}"
        if key not in rows:
            rows[key] = measured(run, images, second, given.n, given.use)
            kept.write_text(json.dumps(rows, indent=1))
        table.append(rows[key])
        draw(run)
    (HERE / "quality.md").write_text(page(table, judge.description, given), "utf-8")


def measured(run: Run, images: Images, second: Reference, n: int, use: str) -> dict[str, Any]:
    """Score one run by both judges, and by what a classifier learns."""
    sampler = load(run)
    use = use if sampler.conditional else "no"  # without labels there is nothing to learn
    made = generated_samples(run.name, sampler, images, n, seed=0)
    independent = score_samples(made, second)
    own = evaluate(run, n=n, use={"no": False, "quick": "quick", "full": True}[use], report=print)
    return {
        "run": run.name,
        "title": read_recipe(run).title,
        "images": run.trained_images(),
        "seed": read_recipe(run).seed,
        "machine": run.env()["device_name"],
        "independent": [asdict(score) for score in independent.scores],
        "own": [asdict(score) for score in own.scores],
        "use": own.use.row() if own.use else None,
    }


def draw(run: Run) -> None:
    """Draw ten images a class, or a hundred."""
    (HERE / "quality").mkdir(exist_ok=True)
    save_png(sample(run, 100, columns=10), HERE / "quality" / f"{run.name}.png")


def page(rows: list[dict[str, Any]], judge: str, given: argparse.Namespace) -> str:
    """Write the page."""
    head = f"| run | images | seed | distance | {' | '.join(COLUMNS)} | fd-judge | use |"
    lines = ["# Quality", "", head, f"|{'---|' * (len(COLUMNS) + 6)}"]
    floor: dict[str, Any] = {}
    for row in rows:
        independent = {score["name"].removesuffix("-second"): score for score in row["independent"]}
        own = {score["name"]: score for score in row["own"]}
        floor = {name: score["floor"] for name, score in independent.items()}
        floor |= {"fd-judge": own["fd-judge"]["floor"]}
        cells = [figure(independent.get(name, own.get(name)), 3) for name in COLUMNS]
        use = row["use"]
        learned = f"{use['from_these']:.1%} (real: {use['from_real']:.1%})" if use else ""
        lines.append(
            f"| `{row['run']}` | {row['images']:,} | {row['seed']} | {figure(independent['fd'], 3)} | "
            f"{' | '.join(cells)} | {figure(own['fd-judge'], 3)} | {learned} |"
        )
    cells = [f"{floor[name]:.3g}" if floor.get(name) is not None else "" for name in ("fd", *COLUMNS)]
    lines += [f"| real images (floor) | | | {' | '.join(cells)} | {floor['fd-judge']:.3g} | |", ""]
    lines += [
        "Each row is one training: how much seeds differ is not known from one.",
        f"Distance to `checkerboard`: by the {judge}, which no training saw, of {given.n:,} images",
        "against as many real ones; in brackets 95 % intervals, of other draws of images, not of seeds.",
        "`fd-judge` and `label-fidelity` (floor .91) are of the judge that is shipped.",
        f"Use ({given.use}): what a classifier that learned from these images alone names rightly among real",
        "ones that the generator never saw, beside one that learned from as many real images.",
        "",
        f"Machine: {device_name(torch.device('cpu'))}, {os.cpu_count()} cores, {platform.system()}; torch "
        f"{torch.__version__}, Python {platform.python_version()}; {datetime.now(UTC).date()}.",
        "",
    ]
    for row in rows:
        lines += [
            f"## {row['run']}: {row['title']}",
            "",
            f"![images of {row['run']}](quality/{row['run']}.png)",
            "",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
