"""Arguments and options that several verbs take."""

from __future__ import annotations

from typing import Annotated

import typer

RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's path or name; @last is the newest.", show_default=False)
]
GeneratorName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's path or name; @last is the newest. RUN/best.safetensors is its best generator.",
        show_default=False,
    ),
]
Classes = Annotated[list[str] | None, typer.Option("--class", help="Only this class; may be repeated.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
