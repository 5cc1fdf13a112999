"""Train six recipes for the same time, in turns, and score them by one protocol.

    python results/first_scores.py train --minutes 15     # goes on where it was stopped
    python results/first_scores.py score                   # writes results/first-scores.md and its grids

In turns of two and a half minutes, so that whatever else the machine does hits all of them alike. Time counts
from the first step of a turn to its end: starting again between turns does not count, nor does a pause by
SIGSTOP to the process group.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

from gander.actions.sample import sample
from gander.engine.machine import device_name
from gander.generation.load import load
from gander.pictures.sheet import save_png
from gander.run import Run

RECIPES = (
    "cifar10-trial3",
    "cifar10-maxpool",
    "cifar10-acgan",
    "cifar10-dcgan",
    "cifar10-sngan",
    "cifar10-biggan-mini",
)
TURN = 150  # seconds
N = 10_000
HERE = Path(__file__).parent
ENDLESS = ("train.images=1_000_000_000", "every.samples=0", "evaluate.every=0")


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "score"))
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    given = parser.parse_args()
    if given.what == "train":
        train_all(given.runs, 60 * given.minutes)
    else:
        score_all(given.runs)


def spent_file(runs: Path) -> Path:
    """Give the file that holds how long each recipe was trained."""
    return runs / "first-scores.json"


def read_spent(runs: Path) -> dict[str, float]:
    """Read how long each recipe was trained, in seconds."""
    file = spent_file(runs)
    return json.loads(file.read_text()) if file.exists() else dict.fromkeys(RECIPES, 0.0)


def train_all(runs: Path, seconds: float) -> None:
    """Give every recipe its turns until all have had their time."""
    runs.mkdir(parents=True, exist_ok=True)
    spent = read_spent(runs)
    while min(spent.values()) < seconds - 1:
        recipe = min(spent, key=lambda name: spent[name])
        spent[recipe] += turn(recipe, runs / f"first-{recipe}", min(TURN, seconds - spent[recipe]))
        spent_file(runs).write_text(json.dumps(spent, indent=2))
        print(f"{recipe:<22}{spent[recipe]:7.0f} s", flush=True)


def turn(recipe: str, run: Path, seconds: float) -> float:
    """Train for so long, and give how long it was."""
    gander = [sys.executable, "-m", "gander"]
    words = ["resume", str(run)] if run.exists() else ["train", recipe, "--run", str(run), *ENDLESS]
    with subprocess.Popen([*gander, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if not any(line.startswith("run ") for line in process.stdout):
            raise SystemExit(f"{recipe} did not start")
        took, last = 0.0, time.monotonic()
        while took < seconds:
            time.sleep(0.5)
            now = time.monotonic()
            took, last = took + min(now - last, 1.0), now  # while both processes were stopped, nobody trained
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        if process.wait() != 128 + signal.SIGTERM:
            raise SystemExit(f"{recipe} ended with {process.returncode}")
    return took


def score_all(runs: Path) -> None:
    """Evaluate every run and write the table with its grids."""
    spent, rows, protocol, floor = read_spent(runs), [], {}, {}
    (HERE / "first-scores").mkdir(exist_ok=True)
    for recipe in RECIPES:
        run = Run(runs / f"first-{recipe}")
        answer = evaluate(run)
        weights = answer["protocol"].pop("weights").removesuffix(" weights")
        protocol = answer["protocol"]
        scores = {score["name"]: score for score in answer["scores"]}
        floor = {name: score["floor"] for name, score in scores.items()}
        save_png(sample(run, 50, columns=10 if not load(run).conditional else 5), grid(recipe))
        rows.append((recipe, spent[recipe], run.trained_images(), weights, scores))
    (HERE / "first-scores.md").write_text(page(rows, protocol, floor), "utf-8")


def grid(recipe: str) -> Path:
    """Give the place of a recipe's grid."""
    return HERE / "first-scores" / f"{recipe}.png"


def evaluate(run: Run) -> dict:
    """Score a run; one that was scored is read again."""
    folder = run.path / "evaluation-first"
    if not folder.exists():
        words = ["evaluate", str(run.path), "-n", str(N), "--to", str(folder)]
        subprocess.run([sys.executable, "-m", "gander", *words], check=True)
    return json.loads((folder / "scores.json").read_text())


def page(rows: list, protocol: dict, floor: dict) -> str:
    """Write the page."""
    columns = ("fd-judge", "fd-judge-infinity", "kd-judge", "precision", "recall", "density", "coverage")
    columns = (*columns, "classifier-score", "label-fidelity", "memorised")
    lines = [
        "# First scores",
        "",
        "Six recipes, the same time each on the same machine, one seed, one protocol. These are the first",
        "minutes of a training on a small CPU, not what the recipes can do: the larger nets saw few images.",
        "",
        f"| recipe | seconds | images | weights | {' | '.join(columns)} |",
        f"|---|---|---|---|{'---|' * len(columns)}",
    ]
    for recipe, seconds, images, weights, scores in rows:
        cells = [figure(scores.get(name)) for name in columns]
        lines.append(f"| `{recipe}` | {seconds:.0f} | {images:,} | {weights} | {' | '.join(cells)} |")
    cells = [f"{floor[name]:.4g}" if floor.get(name) is not None else "" for name in columns]
    lines += [f"| real images (floor) | | | | {' | '.join(cells)} |", ""]
    told = "; ".join(f"{name} {value}" for name, value in protocol.items())
    where = f"{device_name(torch.device('cpu'))}, {os.cpu_count()} cores, {platform.system()}"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    lines += [
        f"95 % intervals in brackets, of other draws of images; one training each. Protocol: {told}.",
        "",
        f"Machine: {where}; {versions}; {datetime.now(UTC).date()}. Scores during training were off.",
        "",
        "```",
        "python results/first_scores.py train --minutes 15",
        "python results/first_scores.py score",
        "```",
        "",
    ]
    for recipe, *_ in rows:
        lines += [f"## {recipe}", "", f"![50 images of {recipe}](first-scores/{recipe}.png)", ""]
    return "\n".join(lines)


def figure(score: dict | None, digits: int = 4) -> str:
    """Write a value with its interval."""
    if score is None:
        return ""
    if score["low"] is None:
        return f"{score['value']:.{digits}g}"
    value, low, high = (f"{score[name]:.{digits}g}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


if __name__ == "__main__":
    main()
