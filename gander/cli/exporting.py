"""The verb that hands a generator to other programs: export."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from gander.cli.options import GeneratorName, Json
from gander.cli.progress import say
from gander.run import find_run


def export(
    run: GeneratorName,
    to: Annotated[
        Path, typer.Option("--to", help="A new .onnx, or .safetensors with a .json.", show_default=False)
    ],
    as_json: Json = False,
) -> None:
    """Write a run's generator for other programs, and check it beside torch."""
    from gander.actions.export import export as write

    exported = write(find_run(run), to, os.environ.get("GANDER_DEVICE", "cpu"))
    if as_json:
        checked = {"images": exported.images, "largest": exported.largest, "differing": exported.differing}
        say(json.dumps({"files": [str(file) for file in exported.files], "checked": checked}))
        return
    for file in exported.files:
        say(f"file    {file}")
    if exported.images:
        say(
            f"        beside torch, over {exported.images:,} images: at most {exported.largest} of 255 "
            f"apart, in {exported.differing:.2g} of all values"
        )
        say(f'next    onnxruntime.InferenceSession("{to}")')
    else:
        say(f"next    python -c \"import gander; print(gander.load('{to}'))\"")
