"""The command line: its verbs, and how each of them ends.

Modules of verbs import within a function what loads torch or numpy, so that `--help` is quick.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from typing import Annotated, Any

import typer

from gander import __version__
from gander.cli.benching import bench
from gander.cli.caching import cache
from gander.cli.checking import check
from gander.cli.curing import cure
from gander.cli.dashing import dash, report
from gander.cli.diagnosing import diagnose
from gander.cli.evaluating import evaluate
from gander.cli.exporting import export
from gander.cli.generating import GenerateCommand, generate
from gander.cli.judging import judge
from gander.cli.showing import data, explain, recipes, runs, sample
from gander.cli.studying import compare, study
from gander.cli.training import resume, train
from gander.errors import GanderError, exit_code, printable
from gander.files import check_system

app = typer.Typer(
    name="gander",
    help="Train GANs on small images, look hard at what happens, and say what it means.",
    epilog="Start with: gander train quickstart",
    no_args_is_help=True,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _whole(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Say which gander this is.")
    ] = False,
) -> None:
    if version:
        print(f"gander {__version__}")
        raise typer.Exit


for _verb in (train, resume, sample, runs, recipes, data, explain, judge, evaluate):
    app.command()(_verb)
app.command(cls=GenerateCommand)(generate)
app.command()(check)
app.command()(diagnose)
app.command()(cure)
app.command()(study)
app.command()(compare)
app.command()(export)
app.command()(report)
app.command()(dash)
app.command()(bench)
app.command()(cache)


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
            _say_setting(str(getattr(error, "option_name", "")))
            sys.exit(2)
        traceback.print_exc()
        _tell("this is a bug in gander, not a mistake of yours; please report it with the lines above")
        sys.exit(70)


class _Notes(logging.Handler):
    """Says what changes while a verb works."""

    def emit(self, record: logging.LogRecord) -> None:
        # sys.stderr of this moment: a live line on a terminal takes it over, to print above itself
        print(printable(record.getMessage()), file=sys.stderr, flush=True)


def _say_setting(option: str) -> None:
    """Answer --epochs with train.epochs=..., which a recipe's settings are typed as."""
    if sys.argv[1:2] == ["train"] and option:
        from gander.recipe.problems import meant_settings
        from gander.recipe.schema import Recipe

        for path in meant_settings(option.strip("-").replace("-", "_"), Recipe)[:1]:
            _tell(f"settings are typed without dashes: gander train RECIPE {path}=...")


def _terminate(number: int, _: Any) -> None:
    sys.exit(128 + number)


def _tell(text: str) -> None:
    process = os.environ.get("RANK")
    start = "gander: " if process is None else f"gander (process {process}): "
    print(start + text, file=sys.stderr, flush=True)
