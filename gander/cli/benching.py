"""The verb that measures: bench."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gander.cli.options import Json
from gander.cli.progress import say
from gander.cli.tables import add_row, make_table, print_table
from gander.errors import UsageError, did_you_mean
from gander.recipe.shipped import recipe_names


def bench(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECIPE]...", help="Without one, all that are shipped."),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="NAME|PATH", help="Measure what this data set costs.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=1000, help="Turns of each side.")] = 5,
    seconds: Annotated[float, typer.Option("--seconds", min=0.01, max=600, help="Of one turn.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Measure how fast recipes train here, in images and beside a product of large matrices."""
    known = recipe_names()
    for name in recipes or ():
        if name not in known and not name.endswith(".toml"):
            raise UsageError(f"{name}: no recipe{did_you_mean(name, known)}", hint="gander recipes")
    answer: dict[str, Any] = {}
    if recipes or data is None:
        answer["speed"] = _speed(recipes or known, rounds, seconds, as_json)
    if data is not None:
        answer["data"] = _data(data, as_json)
    say(json.dumps(answer) if as_json else "next    gander train quickstart")


def _speed(recipes: Sequence[str], rounds: int, seconds: float, as_json: bool) -> list[dict[str, Any]]:
    from gander.recipe.read import load_recipe
    from gander.training.speed import measure_speed

    table = make_table(
        "recipe", "on", "batch", "images/s", "rounds", "GFLOP/image", "of matrix product", "memory"
    )
    rows = []
    for number, name in enumerate(recipes, 1):
        if not as_json:
            say(f"{number} / {len(recipes)}  {name} ...")
        speed = measure_speed(load_recipe(name), rounds, seconds)
        row = {
            "recipe": name,
            "machine": str(speed.machine),
            "batch": speed.batch,
            "images_per_second": round(speed.images_per_second, 1),
            "rounds": [round(rate, 1) for rate in speed.rounds],
            "gflop_per_image": round(speed.gflop_per_image, 4),
            "of_matrix_product": round(speed.share, 3),
            "memory_mib": round(speed.memory / 2**20, 1),
            "matrix_product_gflops": {kind: round(rate, 1) for kind, rate in speed.products.items()},
        }
        rows.append(row)
        add_row(
            table,
            *(str(row[column]) for column in ("recipe", "machine", "batch", "images_per_second")),
            f"{min(speed.rounds):,.1f} to {max(speed.rounds):,.1f}",
            f"{speed.gflop_per_image:.3f}",
            f"{speed.share:.0%} of {speed.products[speed.machine.precision]:,.0f} GFLOP/s",
            f"{speed.memory / 2**30:.2f} GiB",
        )
    if not as_json:
        print_table(table)
        best = ", ".join(f"{rate:,.0f} GFLOP/s in {kind}" for kind, rate in speed.products.items())
        say(f"best matrix product here: {best}")
    return rows


def _data(source: str, as_json: bool) -> dict[str, Any]:
    """Decode a data set into an empty store, and open it again."""
    from unittest.mock import patch  # which loads asyncio

    from gander.data.images import open_images

    named = ("", source) if Path(source).exists() else (source, "")
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, GANDER_CACHE=folder):
        began = time.perf_counter()
        images = open_images(*named)
        decoded = time.perf_counter()
        open_images(*named)
        opened = time.perf_counter()
        mib = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 2**20
    count, decode, again = len(images), decoded - began, opened - decoded
    if not as_json:
        say(
            f"{source}: {count:,} images\n"
            f"decoded into the store   {decode:.2f} s, {count / decode:,.0f} images/s, {mib:,.0f} MiB\n"
            f"opened from the store    {again * 1000:.1f} ms"
        )
    figures = {"images": count, "decode_seconds": decode, "open_seconds": again, "store_mib": mib}
    return {"source": source} | figures
