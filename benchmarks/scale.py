"""What an image costs against batch, width, size of the data and count of processes.

python benchmarks/scale.py measure benchmarks/scale.json     with gander's own Python; prints the table too
python benchmarks/scale.py draw benchmarks/scale.json benchmarks/scale.png     with matplotlib
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RECIPE = "cifar10-dcgan"
BATCHES = (8, 16, 32, 64, 128, 256)
WIDTHS = (0.25, 0.5, 1.0, 2.0)
IMAGES = (2_000, 10_000, 50_000, 250_000)
PROCESSES = ((1, 1), (1, 2), (2, 1))  # processes, threads of each
ROUNDS = 5


def width_edits(factor: float) -> list[str]:
    """Scale every hidden width of the recipe's nets."""
    widths = {"generator": (256, 128, 64), "discriminator": (64, 128, 256)}
    return [
        f"{net}.layers.{place}.width={round(width * factor)}"
        for net, hidden in widths.items()
        for place, width in enumerate(hidden)
    ]


def by_batch_and_width() -> list[dict[str, Any]]:
    """Time the training side by side at every batch, and at every width."""
    from side_by_side.rounds import side, side_by_side

    from gander.engine.machine import share_of_cores

    fixed = ["engine.memory=channels_last", f"engine.threads={share_of_cores()}"]
    cases = [("batch", float(batch), [f"train.batch={batch}"]) for batch in BATCHES]
    cases += [("width", factor, width_edits(factor)) for factor in WIDTHS]
    commands = [side("train", RECIPE, *fixed, *edits) for _, _, edits in cases]
    product, *results = side_by_side([side("matrix-product", "float32"), *commands], ROUNDS, 1.0)
    return [
        {
            "what": what,
            "value": value,
            "images_per_second": result.rate,
            "lowest": min(result.rates),
            "highest": max(result.rates),
            "of_matrix_product": result.gflops / product.gflops,
            "peak_mib": result.peak_mib,
        }
        for (what, value, _), result in zip(cases, results, strict=True)
    ]


def by_data_size() -> list[dict[str, Any]]:
    """Time taking batches of 128 from data of every size, over at least two passes or a thousand batches."""
    import numpy as np
    import torch

    from gander.data.batches import Batches
    from gander.data.images import Images

    rows = []
    for count in IMAGES:
        pixels = np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), np.uint8)
        batches = Batches(Images(pixels, None, (), "random", "random"), 0, torch.device("cpu"))
        rates = []
        for number in range(ROUNDS):
            began = time.perf_counter()
            steps = max(1_000, count // 128)
            for step in range(number * steps, (number + 1) * steps):
                batches.take(step * 128, 128)
            rates.append(steps * 128 / (time.perf_counter() - began))
        rows.append(_row("images in the data", count, rates))
    return rows


def by_processes() -> list[dict[str, Any]]:
    """Train for some seconds with every count of processes, in turns; rates as the log has them."""
    rates: dict[tuple[int, int], list[float]] = {case: [] for case in PROCESSES}
    for _ in range(3):
        for case in PROCESSES:
            rates[case].append(_trained(*case))
    return [
        _row(f"processes of {threads} thread{'s' * (threads > 1)}", processes, rates[processes, threads])
        for processes, threads in PROCESSES
    ]


def _trained(processes: int, threads: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        edits = ["data=shapes", "train.images=5120", "every.log=1280", f"engine.threads={threads}"]
        edits += [
            "every.samples=0",
            "every.save=0",
            "engine.memory=channels_last",
            "engine.precision=float32",
        ]
        start = [
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={processes}",
            "-m",
            "--",
            "gander",
        ]
        command = [sys.executable, "-m", *start, "train", RECIPE, *edits, "--run", str(run)]
        subprocess.run(command, check=True, capture_output=True)
        rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return statistics.median(row["speed/images_per_second"] for row in rows[1:])


def _row(what: str, value: float, rates: list[float]) -> dict[str, Any]:
    return {
        "what": what,
        "value": value,
        "images_per_second": statistics.median(rates),
        "lowest": min(rates),
        "highest": max(rates),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table, in Markdown."""
    print(
        "| what | | images/s (lowest to highest) | of the matrix product | peak MiB |\n|---|---|---|---|---|"
    )
    for row in rows:
        share = f"{row['of_matrix_product']:.0%}" if "of_matrix_product" in row else ""
        peak = f"{row['peak_mib']:,.0f}" if "peak_mib" in row else ""
        spread = f"{row['lowest']:,.0f} to {row['highest']:,.0f}"
        rate = f"{row['images_per_second']:,.0f} ({spread})"
        print(f"| {row['what']} | {row['value']:,g} | {rate} | {share} | {peak} |")


def draw(rows: list[dict[str, Any]], path: str) -> None:
    """Draw images a second against each quantity."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    whats = ["batch", "width", "images in the data"]
    figure, axes = pyplot.subplots(1, len(whats) + 1, figsize=(16, 4), constrained_layout=True)
    for axis, what in zip(axes, whats, strict=False):
        own = [row for row in rows if row["what"] == what]
        middle = [row["images_per_second"] for row in own]
        spread = [
            [m - row["lowest"] for m, row in zip(middle, own, strict=True)],
            [row["highest"] - m for m, row in zip(middle, own, strict=True)],
        ]
        axis.errorbar([row["value"] for row in own], middle, yerr=spread, marker="o", capsize=3)
        axis.set(xscale="log", yscale="log" if what == "width" else "linear", xlabel=what, ylabel="images/s")
        axis.set_xticks([row["value"] for row in own], [f"{row['value']:,g}" for row in own])
        axis.minorticks_off()
        if what != "width":
            axis.set_ylim(bottom=0)
    own = [row for row in rows if row["what"].startswith("processes")]
    names = [
        f"{row['value']} {row['what'].replace('processes', 'process' + 'es' * (row['value'] > 1))}"
        for row in own
    ]
    axes[-1].bar(names, [row["images_per_second"] for row in own])
    axes[-1].set(ylabel="images/s")
    axes[-1].tick_params(axis="x", rotation=15)
    figure.savefig(path, dpi=100)


def main() -> None:
    """Measure, or draw what was measured."""
    match sys.argv[1:]:
        case ["measure", to]:
            rows = by_batch_and_width() + by_data_size() + by_processes()
            Path(to).write_text(json.dumps(rows, indent=1) + "\n")
            show(rows)
        case ["draw", source, to]:
            draw(json.loads(Path(source).read_text()), to)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
