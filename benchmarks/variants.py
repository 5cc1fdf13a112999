"""What each of the engine's choices is worth: one after another, side by side in one run.

python benchmarks/variants.py RECIPE [PATH=VALUE]...     prints one table; made for the first minutes on a GPU
"""

from __future__ import annotations

import sys

from side_by_side.rounds import Result, side, side_by_side

from gander.errors import UsageError
from gander.training.speed import precisions

ROUNDS, SECONDS = 5, 2.0


def variants(known: tuple[str, ...]) -> dict[str, list[str]]:
    """Give the settings of each variant by name, each with one choice more than the one before."""
    steps = [("eager, float32, NCHW", "precision=float32 memory=contiguous compiled=off")]
    steps += [("channels last", "precision=float32 memory=channels_last compiled=off")]
    for precision in known[1:]:
        steps.append(
            (f"{precision}, channels last", f"precision={precision} memory=channels_last compiled=off")
        )
    last = f"precision={known[-1]} memory=channels_last"
    steps.append((f"{known[-1]}, channels last, compiled", f"{last} compiled=nets"))
    if "tf32" in known:  # which only CUDA has, as it has graphs
        steps.append((f"{known[-1]}, channels last, graphs", f"{last} compiled=graphs"))
    return {name: [f"engine.{setting}" for setting in settings.split()] for name, settings in steps}


def main() -> None:
    """Time every variant that runs here."""
    recipe, *edits = sys.argv[1:] or ["cifar10-dcgan"]
    known = precisions()
    products = {precision: side("matrix-product", precision) for precision in known}
    chosen = variants(known)
    commands = {name: side("train", recipe, *edits, *settings) for name, settings in chosen.items()}
    for name in [*commands]:
        try:
            side_by_side([commands[name]], 1, 0.01)
        except UsageError as error:  # no compiler, no memory: the others are measured all the same
            print(f"{name}: does not run here: {error}", file=sys.stderr)
            del commands[name]
    results = side_by_side([*products.values(), *commands.values()], ROUNDS, SECONDS)
    rates = dict(zip(known, results, strict=False))
    sides = dict(zip(commands, results[len(products) :], strict=True))
    print(f"{recipe} {' '.join(edits)}\n")
    print("| variant | images/s (lowest to highest) | times the first | of its matrix product | peak MiB |")
    print("|---|---|---|---|---|")
    first = next(iter(sides.values()))
    for name, result in sides.items():
        print(_line(name, result, first, rates[result.said["precision"]]))


def _line(name: str, result: Result, first: Result, product: Result) -> str:
    spread = f"{min(result.rates):,.1f} to {max(result.rates):,.1f}"
    share = f"{result.gflops / product.gflops:.0%} of {product.gflops:,.0f} GFLOP/s"
    times = f"{result.times(first):.2f}"
    return f"| {name} | {result.rate:,.1f} ({spread}) | {times} | {share} | {result.peak_mib:,.0f} |"


if __name__ == "__main__":
    main()
