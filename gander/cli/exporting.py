"""The verb that hands a generator to other programs: export."""

from __future__ import annotations

import json
import os
from pathlib import Path

from gander.cli.progress import say


def export_verb(name: str, to: Path, as_json: bool) -> None:
    """Write a run's generator as ONNX or safetensors."""
    from gander.actions.export import export
    from gander.run import find_run

    exported = export(find_run(name), to, os.environ.get("GANDER_DEVICE", "cpu"))
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
