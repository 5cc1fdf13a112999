"""How long a data set of 50,000 images takes in each format, beside the net's own rate and numpy.savetxt.

    python benchmarks/datasets.py RUN      # a run of cifar10-dcgan; a few steps of training are enough

Each format is made by a process of its own, whose peak memory is what the system counted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from process import cost_of

from gander.data.formats.all import written_formats
from gander.engine.machine import choose_machine, device_name
from gander.generation.load import BLOCK, load
from gander.recipe.schema import Engine

FIGURES = {"parquet": 30, "npz": 20, "csv": 60, "folder": 45}  # seconds
_SAVED = 500  # rows, by numpy.savetxt


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("-n", type=int, default=50_000)
    given = parser.parse_args()
    choose_machine(Engine())
    rate = forward_rate(given.run)
    where = f"{device_name(torch.device('cpu'))}, {os.cpu_count()} cores"
    print(f"{where}; torch {torch.__version__}; {datetime.now(UTC).date()}; {given.n:,} images")
    print(f"\nthe net alone: {rate:,.0f} images a second, {given.n / rate:.1f} s\n")
    print("| format | seconds | figure | images a second | share of the net's rate | MB | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for name in written_formats():
        seconds, size, peak = made(given.run, given.n, name)
        told = f"{FIGURES[name]} s" if name in FIGURES else ""
        share = given.n / seconds / rate
        each = f"{given.n / seconds:,.0f} | {share:.0%} | {size:,.0f} | {peak:,.0f}"
        print(f"| {name} | {seconds:.1f} | {told} | {each} |", flush=True)
    print(f"\nnumpy.savetxt: {savetxt_seconds(given.n):,.0f} s for the CSV, from {_SAVED} rows")


def forward_rate(run: str) -> float:
    """Give images a second of the net alone, in the blocks that data sets are made of; the best of five."""
    sampler = load(run)
    latents, labels = sampler.draw(BLOCK), torch.arange(BLOCK) % max(sampler.generator.num_classes, 1)
    told = labels if sampler.conditional else None
    best = 0.0
    with torch.inference_mode():
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(8):
                sampler.generator(latents, told)
            best = max(best, 8 * BLOCK / (time.perf_counter() - began))
    return best


def made(run: str, n: int, name: str) -> tuple[float, float, float]:
    """Make a set; give seconds, and megabytes on disk and in memory."""
    folder = Path(tempfile.mkdtemp())
    cost = cost_of("generate", run, "-n", n, "--to", folder / "out", "--format", name)
    size = sum(path.stat().st_size for path in (folder / "out").rglob("*") if path.is_file())
    shutil.rmtree(folder)
    return cost.seconds, size / 1e6, cost.peak_mb


def savetxt_seconds(n: int) -> float:
    """Give what numpy.savetxt would take for as many rows."""
    rows = np.random.default_rng(0).integers(0, 256, (_SAVED, 1 + 3 * 32 * 32))
    with tempfile.NamedTemporaryFile("w") as file:
        began = time.perf_counter()
        np.savetxt(file.name, rows, fmt="%d", delimiter=",")
        return (time.perf_counter() - began) * n / _SAVED


if __name__ == "__main__":
    main()
