"""What the data cost: decoding into the store, opening from it, and the start of a training.

python benchmarks/opening.py NAME|PATH
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from gander.data.images import Images, open_images
from gander.errors import GanderError

_STEP = ("train.images=1", "every.log=1", "every.samples=0", "every.save=0")


@dataclass(frozen=True)
class DataCost:
    """Seconds, images and MiB."""

    images: int
    decode_seconds: float
    open_seconds: float
    store_mib: float
    first_step_seconds: float
    first_step_again_seconds: float


def measure_data(source: str) -> DataCost:
    """Decode a data set into an empty store, open it again, and start a training on it twice.

    Both starts are from the start of the process to the end of the first step.

    Raises: DataError as `open_images`.
    """
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, GANDER_CACHE=folder):
        began = time.perf_counter()
        images = open_images(source)
        decoded = time.perf_counter()
        open_images(source)
        opened = time.perf_counter()
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        recipe = "mnist-dcgan" if images.channels == 1 else "cifar10-dcgan"
        starts = [_first_step(recipe, images, Path(folder) / f"run-{number}") for number in range(2)]
    return DataCost(len(images), decoded - began, opened - decoded, size / 2**20, *starts)


def _first_step(recipe: str, images: Images, run: Path) -> float:
    data = [f"data.source={images.name}", f"data.path={images.path}"]
    command = [sys.executable, "-m", "gander", "train", recipe, *data]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, *_STEP, "--run", str(run)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not (run / "log.jsonl").exists():
        time.sleep(0.005)
    seconds = time.perf_counter() - began
    said = process.communicate()[1]
    if process.returncode:
        raise GanderError(f"{' '.join(command)}: {said.strip()}")
    return seconds


if __name__ == "__main__":
    print(measure_data(sys.argv[1]))
