"""The verb that measures: bench."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gander.bench.rounds import Result, side, side_by_side
from gander.cli.progress import say
from gander.cli.tables import make_table, print_table
from gander.errors import UsageError, did_you_mean
from gander.recipe.shipped import recipe_names


def bench_verb(
    recipes: Sequence[str],
    against: Sequence[str],
    data: str | None,
    rounds: int,
    seconds: float,
    as_json: bool,
) -> None:
    """Measure recipes, each beside the matrix product and beside other programs; or what data cost."""
    known = recipe_names()
    for name in recipes:
        if name not in known and not name.endswith(".toml"):
            raise UsageError(f"{name}: no recipe{did_you_mean(name, known)}", hint="gander recipes")
    if against and len(recipes) != 1:
        raise UsageError(
            f"--against: compares with one recipe, and {len(recipes) or 'none'} given",
            hint="gander bench cifar10-dcgan --against COMMAND",
        )
    answer: dict[str, Any] = {}
    if recipes or data is None:
        answer["speed"] = _speed(recipes or known, against, rounds, seconds, as_json)
    if data is not None:
        answer["data"] = _data(data, as_json)
    if as_json:
        say(json.dumps(answer))
    else:
        say("next    gander train quickstart")


def _speed(
    recipes: Sequence[str], against: Sequence[str], rounds: int, seconds: float, as_json: bool
) -> list[dict[str, Any]]:
    from gander.bench.side import precisions

    products = [side("matrix-product", precision) for precision in precisions()]
    others = [shlex.split(command) for command in against]
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(recipes, 1):
        if not as_json:
            say(f"{number} / {len(recipes)}  {name} ...")
        results = side_by_side([*products, side("train", name), *others], rounds, seconds)
        sides = results[len(products) :]
        _same_nets(sides)
        rows += _rows(name, results[: len(products)], sides)
    if not as_json:
        _show(rows)
    return rows


def _same_nets(sides: list[Result]) -> None:
    """Refuse to compare with a side that says that its nets are of another size."""
    ours, *others = ((side.said.get("g_parameters"), side.said.get("d_parameters")) for side in sides)
    for other, counts in zip(sides[1:], others, strict=True):
        if None not in counts and counts != ours:
            raise UsageError(
                f"--against: {other.name} has {counts[0]:,} parameters in G and {counts[1]:,} in D, "
                f"and gander {ours[0]:,} and {ours[1]:,}; only equal nets can be compared"
            )


def _rows(recipe: str, products: list[Result], sides: list[Result]) -> list[dict[str, Any]]:
    """Describe gander's side, which comes first, and the others beside it."""
    first = sides[0]
    best = next(product for product in products if product.said["precision"] == first.said["precision"])
    return [
        {
            "recipe": recipe,
            "side": result.name,
            "machine": result.said.get("machine", f"{result.said.get('threads', '?')} threads"),
            "batch": result.said.get("batch", result.said["images_per_step"]),
            "images_per_second": round(result.rate, 1),
            "rounds": [round(rate, 1) for rate in result.rates],
            "gflop_per_image": round(result.said.get("gflop_per_image", 0.0), 4) or None,
            "of_matrix_product": round(result.gflops / best.gflops, 3) if result.gflops else None,
            "matrix_product_gflops": round(best.gflops, 1),
            "as_fast_as_gander": round(result.times(first), 3),
            "parameters": [result.said.get("g_parameters"), result.said.get("d_parameters")],
            "peak_mib": round(result.peak_mib),
        }
        for result in sides
    ]


def _show(rows: list[dict[str, Any]]) -> None:
    several = {row["side"] for row in rows} != {"gander"}
    table = make_table(
        "recipe", "side", "on", "batch", "images/s", "rounds", "GFLOP/image", "of matrix product", "MiB"
    )
    for row in rows:
        share = row["of_matrix_product"]
        table.add_row(
            row["recipe"],
            row["side"] + (f" ({row['as_fast_as_gander']:.2f}x)" if several else ""),
            row["machine"],
            str(row["batch"]),
            f"{row['images_per_second']:,.1f}",
            f"{min(row['rounds']):,.1f} to {max(row['rounds']):,.1f}",
            f"{row['gflop_per_image']:.3f}" if row["gflop_per_image"] else "",
            f"{share:.0%} of {row['matrix_product_gflops']:,.0f} GFLOP/s" if share else "",
            f"{row['peak_mib']:,}",
        )
    print_table(table)


def _data(source: str, as_json: bool) -> dict[str, Any]:
    from gander.bench.data import measure_data

    cost = measure_data(source)
    if not as_json:
        say(
            f"{source}: {cost.images:,} images\n"
            f"decoded into the store   {cost.decode_seconds:.2f} s, "
            f"{cost.images / cost.decode_seconds:,.0f} images/s, {cost.store_mib:,.0f} MiB\n"
            f"opened from the store    {cost.open_seconds * 1000:.1f} ms\n"
            f"start to first step      {cost.first_step_seconds:.2f} s, "
            f"{cost.first_step_again_seconds:.2f} s the second time"
        )
    return {"source": source, **asdict(cost)}
