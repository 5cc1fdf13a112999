"""The verb that hands a generator to other programs: export."""

from __future__ import annotations

import json
from pathlib import Path

from gander.cli.progress import say
from gander.run import find_run


def export_verb(name: str, to: Path, as_json: bool) -> None:
    """Write a run's generator as ONNX or safetensors."""
    from gander.generate.export import export_generator

    made = export_generator(find_run(name), to)
    if as_json:
        checked = {"images": made.images, "largest": made.largest, "differing": made.differing}
        say(json.dumps({"files": [str(file) for file in made.files], "checked": checked}))
        return
    for file in made.files:
        say(f"file    {file}")
    if made.images:
        say(
            f"        beside torch, over {made.images:,} images: at most {made.largest} of 255 apart, "
            f"in {made.differing:.2g} of all values"
        )
        say(f'next    onnxruntime.InferenceSession("{to}")')
    else:
        say(f"next    python -c \"import gander; print(gander.load('{to}'))\"")
