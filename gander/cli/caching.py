"""The verb that looks after the cache."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from gander.cli.options import Json
from gander.cli.progress import say
from gander.errors import UsageError, did_you_mean
from gander.files import disk_refusals

PARTS = {
    "images": "decoded data sets, made again where they are wanted",
    "downloads": "data sets known by name, fetched again",
    "features": "of real images, for scores, made again",
    "judges": "classifiers of your data: gander judge takes minutes to make one",
}


def cache(
    clear: Annotated[
        list[str] | None, typer.Option("--clear", metavar="PART", help=f"One of {', '.join(PARTS)}.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say where the cache is and how large each part of it, or clear parts; may be repeated."""
    from gander.data.store import cache_folder

    for name in clear or ():
        if name not in PARTS:
            raise UsageError(f"--clear {name}: allowed are {', '.join(PARTS)}{did_you_mean(name, PARTS)}")
    root = cache_folder()
    for name in clear or ():
        with disk_refusals(root / name):
            shutil.rmtree(root / name, ignore_errors=not (root / name).is_dir())
    files = {name: filter(Path.is_file, (root / name).rglob("*")) for name in PARTS}
    sizes = {name: sum(file.stat().st_size for file in files[name]) for name in PARTS}
    if as_json:
        say(json.dumps({"folder": str(root), "bytes": sizes}))
    else:
        lines = (f"{name:<10} {size / 2**20:>9,.1f} MiB  {PARTS[name]}" for name, size in sizes.items())
        say("\n".join([f"cache   {root}", *lines]))
