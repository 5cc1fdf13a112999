"""The verb that makes data sets: generate."""

from __future__ import annotations

import json
import re
import shlex
import sys
from typing import Literal

from gander.actions.generate import DataSet
from gander.cli.progress import duration, say
from gander.errors import UsageError, did_you_mean


def chosen_use(purpose: str | None, quick: bool) -> bool | Literal["quick"]:
    """Read `--for use --quick`; UsageError for another purpose, or none where --quick shortens it."""
    if purpose not in (None, "use"):
        raise UsageError(f'--for "{purpose}": a set can be chosen for use{did_you_mean(purpose, ["use"])}')
    if quick and purpose is None:
        raise UsageError("--quick: shortens --for use, which is not asked for", hint="--for use --quick")
    return "quick" if quick else purpose is not None


def typed_command() -> str:
    """Give the command line for others, who are not told where things lie on this machine."""
    words = [re.sub(r"(^|=)/.*/(?!best\.safetensors)", r"\1", word) for word in sys.argv[1:]]
    return shlex.join(["gander", *words])


def show_data_set(data_set: DataSet, seconds: float, as_json: bool) -> None:
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
    use = " --use" if facts["counts"] else ""
    say(f"next    gander evaluate {data_set.path} --against DATA{use}")
