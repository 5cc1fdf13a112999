"""What filters are worth: sets of one size from one run, and how well a classifier learns from each.

    python results/filters.py RUN... --seeds 2      # runs on named data; writes results/filters.md

`results/first_scores.py train` and `gander train quickstart` make runs that it can be tried on.

A judge that filters does not score: train a second one first, with `gander judge DATA --seed 1`.
Runs without classes are labelled by the judge, which then filters by its own confidence. The folder `--work`
keeps the scores of each set, which are not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch

from gander.engine.machine import device_name
from gander.generation.card import run_facts
from gander.generation.load import load
from gander.run import Run, find_run

FILTERS = {
    "none": (),
    "--keep 0.8": ("--keep", "0.8"),
    "--keep 0.5": ("--keep", "0.5"),
    "--no-copies --no-duplicates": ("--no-copies", "--no-duplicates"),
}
SCORES = ("fd-judge", "precision", "recall", "label-fidelity")
HERE = Path(__file__).parent


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("runs/filters"))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    runs = [find_run(name) for name in given.runs]
    answers = {}
    for seed in range(given.seeds):
        for run in runs:
            for name in FILTERS:
                answers[run.name, name, seed] = measured(run, name, seed, given.work)
                use = answers[run.name, name, seed]["use"]
                print(f"{run.name:<24}{name:<30}seed {seed}  {use['from_these']:.2%}", flush=True)
    lines = [
        "# What filters are worth",
        "",
        f"Sets as large as the real one that a small classifier learns from, {given.seeds} seeds each (of",
        "latents and classifiers), and what the classifier that learned from one makes of real held-out",
        "images (`gander evaluate SET --use --quick`: 90,000 looks). Chance is 10 %. Means, and in brackets",
        "each seed. The other scores are of 2,000 images; label fidelity is 1 where the judge gave the",
        "labels.",
        "",
    ]
    for run in runs:
        lines += table(run, {key[1:]: answer for key, answer in answers.items() if key[0] == run.name})
    where = f"{device_name(torch.device('cpu'))}, {os.cpu_count()} cores, {platform.system()}"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    names = " ".join(run.name for run in runs)
    lines += [
        f"Machine: {where}; {versions}; {datetime.now(UTC).date()}.",
        "",
        "```",
        f"python results/filters.py {names} --seeds {given.seeds}",
        "```",
        "",
    ]
    (HERE / "filters.md").write_text("\n".join(lines), "utf-8")


def measured(run: Run, name: str, seed: int, work: Path) -> dict:
    """Make a set and score it."""
    stem = f"{run.name.replace('/', '-')}-{name.replace(' ', '')}-{seed}"
    scored, data = work / stem, work / f"{stem}.npz"
    if not scored.exists():
        labels = () if load(run).conditional else ("--label-with", "judge")
        made = [
            "generate",
            run.path,
            "-n",
            size_of(run),
            "--seed",
            seed,
            *FILTERS[name],
            *labels,
            "--to",
            data,
        ]
        gander(*made)
        asked = ["-n", 2_000, "--use", "--quick", "--seed", seed]
        gander("evaluate", data, "--against", source_of(run), *asked, "--to", scored)
        told = (work / f"{stem}.dataset.json").read_text()
        (scored / "dataset.json").write_text(told)
        for file in work.glob(f"{stem}.*"):
            file.unlink()
    card = json.loads((scored / "dataset.json").read_text())
    return json.loads((scored / "scores.json").read_text()) | {"dropped": card["dropped"]}


def source_of(run: Run) -> str:
    """Give the name of a run's data."""
    return run.env()["data"]["source"]


def size_of(run: Run) -> int:
    """Give the size of a set: as many images as there are real ones to learn from, nine tenths."""
    return run.env()["data"]["images"] * 9 // 10


def gander(*words: object) -> None:
    """Run a command."""
    subprocess.run([sys.executable, "-m", "gander", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def table(run: Run, answers: dict) -> list[str]:
    """Write the table of a run."""
    labels, facts = "as asked for" if load(run).conditional else "by the judge", run_facts(run)
    lines = [
        f"## {run.name}",
        "",
        f"{facts['recipe_title']}, after {facts['trained_images']:,} images; sets of {size_of(run):,}, "
        f"labels {labels}.",
        "",
        f"| filter | learned from these | {' | '.join(SCORES)} | dropped |",
        f"|---|---|{'---|' * len(SCORES)}---|",
    ]
    for name in FILTERS:
        of = [answer for key, answer in answers.items() if key[0] == name]
        uses = [answer["use"]["from_these"] for answer in of]
        cells = [f"{statistics.mean(uses):.1%} ({', '.join(f'{use:.1%}' for use in uses)})"]
        for score in SCORES:
            values = [found["value"] for answer in of for found in answer["scores"] if found["name"] == score]
            cells.append(f"{statistics.mean(values):.3g}")
        dropped = "; ".join(f"{count:,} {reason}" for reason, count in of[0]["dropped"].items())
        lines.append(f"| {name} | {' | '.join(cells)} | {dropped or 'nothing'} |")
    real = statistics.mean(answer["use"]["from_real"] for answer in answers.values())
    return [*lines, f"| real images | {real:.1%} |{' |' * len(SCORES)} |", ""]


if __name__ == "__main__":
    main()
