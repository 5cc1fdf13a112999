"""Arguments and options that several verbs take."""

from __future__ import annotations

from typing import Annotated

import typer

RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's path or name; @last is the newest.", show_default=False)
]
_GENERATOR = "A run's path or name; @last is the newest. RUN/best.safetensors is its best generator."
GeneratorName = Annotated[str, typer.Argument(metavar="RUN", help=_GENERATOR, show_default=False)]
GeneratorNames = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help=f"{_GENERATOR} Several are mixed.", show_default=False),
]
Classes = Annotated[list[str] | None, typer.Option("--class", help="Only this class; may be repeated.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
