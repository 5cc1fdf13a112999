"""The verb that makes data sets: generate."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from gander.cli.options import Classes, GeneratorNames, Json
from gander.cli.progress import duration, say, say_next
from gander.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from gander.actions.generate import DataSet


class GenerateCommand(TyperCommand):
    """Lists the formats below the options, and loads them only for that."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        from gander.data.formats.all import format_table

        with formatter.section("Formats"):
            formatter.write_dl(format_table())


def generate(
    runs: GeneratorNames,
    n: Annotated[int, typer.Option("-n", "--count", help="How many images.", show_default=False)],
    to: Annotated[
        Path,
        typer.Option("--to", help="A new folder, or a file whose name gives the format.", show_default=False),
    ],
    format: Annotated[
        str | None,
        typer.Option("--format", help="One of those below.", show_default="by the name, or parquet"),
    ] = None,
    classes: Classes = None,
    like: Annotated[
        str | None, typer.Option("--like", metavar="DATA", help="Copy the class counts of these data.")
    ] = None,
    label_with: Annotated[
        str | None, typer.Option("--label-with", help="judge: it names the class of each image.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**62, help="Of the latents.")] = 0,
    truncation: Annotated[
        float | None, typer.Option("--truncation", help="Latents within so many standard deviations.")
    ] = None,
    keep: Annotated[
        float, typer.Option("--keep", help="Share of each class that looks most like it, to the judge.")
    ] = 1.0,
    no_copies: Annotated[
        bool, typer.Option("--no-copies", help="Drop near-copies of training images.")
    ] = False,
    no_duplicates: Annotated[
        bool, typer.Option("--no-duplicates", help="Drop near-duplicates of each other.")
    ] = False,
    license: Annotated[str, typer.Option("--license", help="For the data card.", show_default="other")] = "",
    spread: Annotated[float, typer.Option("--spread", help="Widen the latents, or narrow them.")] = 1.0,
    share: Annotated[list[float] | None, typer.Option("--share", help="Of each RUN, in order.")] = None,
    purpose: Annotated[
        str | None, typer.Option("--for", help="use: choose spread, filter, checkpoint that teach most.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="With --for use: a third of the work.")] = False,
    no_scores: Annotated[bool, typer.Option("--no-scores", help="Score no images for the card.")] = False,
    as_json: Json = False,
) -> None:
    """Write a labelled data set of fresh images, with a card. Interrupted, the same command goes on."""
    from gander.actions.generate import generate as write
    from gander.data.progress import progress

    began, speaks = time.monotonic(), os.environ.get("RANK", "0") == "0"
    device = os.environ.get("GANDER_DEVICE", "auto")
    plan = format, classes or (), like, label_with, seed, truncation, keep, no_copies, no_duplicates, license
    drawn = spread, share or (), _chosen_use(purpose, quick), (lambda line: None) if as_json else say
    with progress("Generating", n, quiet=as_json or not speaks) as count:
        made = write(runs, n, to, *plan, _typed_command(), device, count, *drawn, not no_scores)
    if speaks:
        _show(made, time.monotonic() - began, as_json)


def _chosen_use(purpose: str | None, quick: bool) -> bool | Literal["quick"]:
    """Read `--for use --quick`; UsageError for another purpose, or none where --quick shortens it."""
    if purpose not in (None, "use"):
        raise UsageError(f'--for "{purpose}": a set can be chosen for use{did_you_mean(purpose, ["use"])}')
    if quick and purpose is None:
        raise UsageError("--quick: shortens --for use, which is not asked for", hint="--for use --quick")
    return "quick" if quick else purpose is not None


def _typed_command() -> str:
    """Give the command line for others, who are not told where things lie on this machine."""
    words = [re.sub(r"(^|=)/.*/(?!best\.safetensors)", r"\1", word) for word in sys.argv[1:]]
    return shlex.join(["gander", *words])


def _show(data_set: DataSet, seconds: float, as_json: bool) -> None:
    """Print where a data set lies and what became of it."""
    facts, n = data_set.facts, data_set.facts["images"]
    if as_json:
        where = {"to": str(data_set.path), "files": [str(file) for file in data_set.files]}
        say(json.dumps(where | {"seconds": round(seconds, 1)} | facts))
        return
    for reason, count in facts["dropped"].items():
        say(f"dropped {count:,} {reason}")
    say(
        f"data    {data_set.files[0]}"
        + (f" and {len(data_set.files) - 1} more" if len(data_set.files) > 1 else "")
    )
    say(f"card    {data_set.page}")
    say(f"        {n:,} images in {duration(seconds)}, {n / seconds:,.0f} a second")
    say_next("evaluate", data_set.path, "--against", "DATA", *["--use"] * bool(facts["counts"]))
