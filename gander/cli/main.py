"""The command line: one short function a verb, imports inside the function."""

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

from gander.errors import GanderError, UsageError, exit_code

app = typer.Typer(
    name="gander",
    help="Train GANs on small images, look hard at what happens, and say what it means.",
    epilog="Start with: gander train quickstart",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_RUN = typer.Argument(metavar="RUN", help="A run's path or name; @last is the newest.", show_default=False)
_GENERATOR = typer.Argument(
    metavar="RUN",
    help="A run's path or name; @last is the newest. RUN/best.safetensors is its best generator.",
    show_default=False,
)
_JSON = typer.Option("--json", help="Print the answer as JSON.")


@app.command()
def train(
    recipe: Annotated[
        str, typer.Argument(metavar="[RECIPE]", help="A shipped name or a .toml file.")
    ] = "quickstart",
    edits: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH=VALUE]...", help="Edits of the recipe: train.batch=32"),
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="The new run's directory.", show_default="runs/RECIPE-N")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="RUN[@IMAGES]", help="Branch a run at a checkpoint, in place of a RECIPE."
        ),
    ] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Train a recipe from the start, or branch a run.

    Examples: gander train; gander train cifar10-dcgan train.epochs=5; gander train --from @last@50000 seed=1
    """
    from gander.cli.training import branch_verb, train_verb

    is_edit = "=" in recipe or recipe.partition(".")[2][:1] in ("+", "-")
    name, patch = ("quickstart", [recipe, *(edits or [])]) if is_edit else (recipe, edits or [])
    if source is None:
        train_verb(name, patch, run, json)
    elif name == "quickstart":
        branch_verb(source, patch, run, json)
    else:
        raise UsageError(
            f'"{name}": with --from, the recipe is that of the run; give edits only',
            hint=f"gander train --from {source} train.images=200000",
        )


@app.command()
def resume(run: Annotated[str, _RUN], json: Annotated[bool, _JSON] = False) -> None:
    """Go on with a run exactly where it stopped."""
    from gander.cli.training import resume_verb

    resume_verb(run, json)


@app.command()
def sample(
    run: Annotated[str, _GENERATOR],
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="How many.", show_default="100 images, or 8 walks")
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Only this class; may be repeated.")
    ] = None,
    walk: Annotated[bool, typer.Option("--walk", help="Walk between latents, one walk a row.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the latents.")] = 0,
    to: Annotated[
        Path | None, typer.Option("--to", help="The picture.", show_default="RUN/samples/...")
    ] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Draw fresh images, or latent walks, as one picture."""
    from gander.cli.looking import sample_verb

    sample_verb(run, n, tuple(classes or ()), walk, seed, to, json)


@app.command()
def runs(json: Annotated[bool, _JSON] = False) -> None:
    """List the runs, newest first."""
    from gander.cli.looking import runs_verb

    runs_verb(json)


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Show this one, as it can be copied.")] = None,
    other: Annotated[str | None, typer.Argument(help="Show the edits that make this of NAME.")] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """List the shipped recipes, show one, or show how two differ; both may be .toml files."""
    from gander.cli.looking import recipes_verb

    recipes_verb(name, other, json)


@app.command()
def data(
    source: Annotated[
        str | None, typer.Argument(metavar="[NAME|PATH]", help="A name, or a folder or file.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", min=8, max=128, help="Make images square, pixels a side.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="train or test.")] = "train",
    json: Annotated[bool, _JSON] = False,
) -> None:
    """List the data sets known by name, or check one: every broken image and label, counts, channel means."""
    from gander.cli.looking import data_verb

    data_verb(source, size, split, json)


@app.command()
def explain(name: Annotated[str | None, typer.Argument(help="A technique, as in a recipe.")] = None) -> None:
    """Say what a technique does, its settings and its source; without a name, list them all."""
    from gander.cli.looking import explain_verb

    explain_verb(name)


@app.command()
def judge(
    source: Annotated[str, typer.Argument(metavar="DATA", help="A name, or a folder or file, with labels.")],
    size: Annotated[
        int | None, typer.Option("--size", help="Pixels a side, as data.size.", show_default="as they are")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, max=10_000, show_default="a million looks")
    ] = None,
    mirror: Annotated[
        bool | None,
        typer.Option(
            "--mirror/--no-mirror", help="Mirrored images keep their class.", show_default="if known"
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31)] = 0,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Train the judge of a data set: the small classifier that scores are made with."""
    from gander.cli.judging import judge_verb

    judge_verb(source, size, epochs, mirror, seed, json)


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
    inception: Annotated[
        Path | None,
        typer.Option(
            "--inception", metavar="FILE", help="FID, KID: Inception's weights; 'download' fetches them."
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="The new folder.", show_default="RUN/evaluation-N")
    ] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Score images beside real ones: a table, and numbers, pictures and a page in a new folder."""
    from gander.cli.evaluating import Options, evaluate_verb

    evaluate_verb(subject, Options(against, n, seed, use, quick, inception, to), json)


class _GenerateCommand(TyperCommand):
    """Lists the formats below the options, and loads them only for that."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        from gander.data.formats.all import format_table

        with formatter.section("Formats"):
            formatter.write_dl(format_table())


@app.command(cls=_GenerateCommand)
def generate(
    run: Annotated[str, _GENERATOR],
    n: Annotated[int, typer.Option("-n", help="How many images.", show_default=False)],
    to: Annotated[
        Path,
        typer.Option("--to", help="A new folder, or a file whose name gives the format.", show_default=False),
    ],
    format: Annotated[
        str | None,
        typer.Option("--format", help="One of those below.", show_default="by the name, or parquet"),
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Only this class; may be repeated.")
    ] = None,
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
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Write a labelled data set of fresh images, with a card. Interrupted, the same command goes on."""
    import time

    from gander.actions.generate import generate as write_data_set
    from gander.cli.generating import show_data_set, typed_command
    from gander.cli.progress import counting

    began, speaks = time.monotonic(), os.environ.get("RANK", "0") == "0"
    device = os.environ.get("GANDER_DEVICE", "auto")
    plan = format, classes or (), like, label_with, seed, truncation, keep, no_copies, no_duplicates, license
    with counting(n, json or not speaks) as progress:
        made = write_data_set(run, n, to, *plan, typed_command(), device, progress)
    if speaks:
        show_data_set(made, time.monotonic() - began, json)


@app.command()
def export(
    run: Annotated[str, _GENERATOR],
    to: Annotated[
        Path, typer.Option("--to", help="A new .onnx, or .safetensors with a .json.", show_default=False)
    ],
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Write a run's generator for other programs, and check it beside torch."""
    from gander.cli.exporting import export_verb

    export_verb(run, to, json)


@app.command()
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
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Measure how fast recipes train here, as a share of what the machine can do."""
    from gander.cli.benching import bench_verb

    bench_verb(recipes or [], data, rounds, seconds, json)


def main() -> None:
    """Run one verb and end the process with its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    logging.getLogger("gander").addHandler(_Notes())
    logging.getLogger("gander").setLevel(logging.INFO)
    try:
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
