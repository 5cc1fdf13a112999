"""A recipe beside the matrix product and beside other programs, in turns.

python benchmarks/compare.py cifar10-dcgan --against "python benchmarks/plain.py cifar10-dcgan"

Any program that speaks the few lines of side_by_side/side.py can be a side.
"""

from __future__ import annotations

import argparse
import shlex

from side_by_side.rounds import Result, side, side_by_side

from gander.errors import UsageError
from gander.training.speed import precisions


def main() -> None:
    """Time all sides and print one table."""
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS)
    parser.add_argument("recipe")
    parser.add_argument("edits", nargs="*", metavar="PATH=VALUE")
    parser.add_argument("--against", action="append", default=[], metavar="COMMAND")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    products = [side("matrix-product", precision) for precision in precisions()]
    commands = [side("train", options.recipe, *options.edits), *map(shlex.split, options.against)]
    results = side_by_side([*products, *commands], options.rounds, options.seconds)
    rates = {result.said["precision"]: result for result in results[: len(products)]}
    sides = results[len(products) :]
    check_equal_nets(sides)
    print("| side | images/s (lowest to highest) | gander is as fast | of its matrix product | peak MiB |")
    print("|---|---|---|---|---|")
    for each in sides:
        print(line(each, sides[0], rates))


def check_equal_nets(sides: list[Result]) -> None:
    """Refuse to compare with a side that says that its nets are of another size; UsageError."""
    ours, *others = ((each.said.get("g_parameters"), each.said.get("d_parameters")) for each in sides)
    for other, counts in zip(sides[1:], others, strict=True):
        if None not in counts and counts != ours:
            raise UsageError(
                f"--against: {other.name} has {counts[0]:,} parameters in G and {counts[1]:,} in D, "
                f"and gander {ours[0]:,} and {ours[1]:,}; only equal nets can be compared"
            )


def line(result: Result, first: Result, products: dict[str, Result]) -> str:
    """Write a side as a row of the table."""
    spread = f"{result.rate:,.1f} ({min(result.rates):,.1f} to {max(result.rates):,.1f})"
    product = products.get(result.said.get("precision", ""))
    share = f"{result.gflops / product.gflops:.0%} of {product.gflops:,.0f} GFLOP/s" if product else ""
    return (
        f"| {result.name} | {spread} | {first.times(result):.2f} times | {share} | {result.peak_mib:,.0f} |"
    )


if __name__ == "__main__":
    main()
