"""The verb that makes data sets: generate."""

from __future__ import annotations

import json
import re
import shlex
import sys

from gander.actions.generate import DataSet
from gander.cli.progress import duration, say


def typed_command() -> str:
    """Give the command line for others, who are not told where things lie on this machine."""
    words = [re.sub(r"(^|=)/.*/(?!best\.safetensors)", r"\1", word) for word in sys.argv[1:]]
    return shlex.join(["gander", *words])


def show_data_set(made: DataSet, seconds: float, as_json: bool) -> None:
    """Print where a data set lies and what became of it."""
    facts, n = made.facts, made.facts["images"]
    if as_json:
        where = {"to": str(made.path), "files": [str(file) for file in made.files]}
        say(json.dumps(where | {"seconds": round(seconds, 1)} | facts))
        return
    for reason, count in facts["dropped"].items():
        say(f"dropped {count:,} {reason}")
    say(f"data    {made.files[0]}" + (f" and {len(made.files) - 1} more" if len(made.files) > 1 else ""))
    say(f"card    {made.page}")
    say(f"        {n:,} images in {duration(seconds)}, {n / seconds:,.0f} a second")
    use = " --use" if facts["counts"] else ""
    say(f"next    gander evaluate {made.path} --against DATA{use}")
