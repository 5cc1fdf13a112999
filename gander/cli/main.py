"""The command line: its verbs, and how each of them ends.

Modules of verbs import within a function what loads torch, so that `--help` is quick.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from gander.cli.benching import bench
from gander.cli.exporting import export
from gander.cli.judging import judge
from gander.cli.options import Classes, GeneratorNames, Json
from gander.cli.showing import data, explain, recipes, runs, sample
from gander.cli.training import resume, train
from gander.errors import GanderError, exit_code
from gander.files import check_system

app = typer.Typer(
    name="gander",
    help="Train GANs on small images, look hard at what happens, and say what it means.",
    epilog="Start with: gander train quickstart",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _verb in (train, resume, sample, runs, recipes, data, explain, judge):
    app.command()(_verb)


@app.command()
def evaluate(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="RUN|IMAGES",
            help="A run (RUN/best.safetensors: its best generator), or a data set by name or path.",
            show_default=False,
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="DATA", help="Real images.", show_default="the run's own"),
    ] = None,
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="How many images.", show_default="10000, if there are")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of latents and samples.")] = 0,
    use: Annotated[
        bool, typer.Option("--use", help="Train a classifier on these images, test it on real ones.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="With --use: a fifth of the training.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="With --use: new images in each epoch.")] = False,
    mix: Annotated[bool, typer.Option("--mix", help="With --use: what they add to real images.")] = False,
    inception: Annotated[
        Path | None,
        typer.Option(
            "--inception", metavar="FILE", help="FID, KID: Inception's weights; 'download' fetches them."
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="The new folder.", show_default="RUN/evaluation-N")
    ] = None,
    json: Json = False,
) -> None:
    """Score images beside real ones: a table, and numbers, pictures and a page in a new folder."""
    from gander.cli.evaluating import Options, evaluate_verb

    evaluate_verb(subject, Options(against, n, seed, use, quick, fresh, mix, inception, to), json)


class _GenerateCommand(TyperCommand):
    """Lists the formats below the options, and loads them only for that."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        from gander.data.formats.all import format_table

        with formatter.section("Formats"):
            formatter.write_dl(format_table())


@app.command(cls=_GenerateCommand)
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
    json: Json = False,
) -> None:
    """Write a labelled data set of fresh images, with a card. Interrupted, the same command goes on."""
    import time

    from gander.actions.generate import generate as write_data_set
    from gander.cli.generating import chosen_use, show_data_set, typed_command
    from gander.cli.progress import say
    from gander.data.progress import progress

    began, speaks = time.monotonic(), os.environ.get("RANK", "0") == "0"
    device = os.environ.get("GANDER_DEVICE", "auto")
    plan = format, classes or (), like, label_with, seed, truncation, keep, no_copies, no_duplicates, license
    drawn = spread, share or (), chosen_use(purpose, quick), (lambda line: None) if json else say
    with progress("Generating", n, quiet=json or not speaks) as count:
        made = write_data_set(runs, n, to, *plan, typed_command(), device, count, *drawn)
    if speaks:
        show_data_set(made, time.monotonic() - began, json)


app.command()(export)
app.command()(bench)


def main() -> None:
    """Run one verb and end the process with its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    logging.getLogger("gander").addHandler(_Notes())
    logging.getLogger("gander").setLevel(logging.INFO)
    try:
        check_system()
        code = app(standalone_mode=False)  # a verb gives None, typer 130 for Ctrl-C
        if code == 130:
            _tell("stopped")
        sys.exit(code)
    except GanderError as error:
        _tell(str(error))
        sys.exit(exit_code(error))
    except (KeyboardInterrupt, typer.Abort):
        _tell("stopped")
        sys.exit(130)
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if hasattr(error, "show"):  # the command line's own, which knows its usage
            error.show()
            sys.exit(2)
        traceback.print_exc()
        _tell("this is a bug in gander, not a mistake of yours; please report it with the lines above")
        sys.exit(70)


class _Notes(logging.Handler):
    """Says what changes while a verb works."""

    def emit(self, record: logging.LogRecord) -> None:
        # sys.stderr of this moment: a live line on a terminal takes it over, to print above itself
        print(record.getMessage(), file=sys.stderr, flush=True)


def _terminate(number: int, _: Any) -> None:
    sys.exit(128 + number)


def _tell(text: str) -> None:
    process = os.environ.get("RANK")
    start = "gander: " if process is None else f"gander (process {process}): "
    print(start + text, file=sys.stderr, flush=True)
