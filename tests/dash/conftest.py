"""A run as files alone: what the page reads needs no training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gander.run import Run

Make = Callable[..., Run]

FINDING = {
    "code": "mode-collapse",
    "severity": "error",
    "confidence": 0.9,
    "says": "The images are nearly all alike.",
    "since": 2_000,
    "evidence": [{"column": "probe/diversity", "value": 0.04, "healthy": "above 0.5"}],
    "causes": ["g-rate-high", "rates-high"],
    "remedy": [["train.g_lr=5e-5"]],
    "prediction": {"column": "probe/diversity", "direction": "above", "bound": 0.5, "within": 4_000},
    "unknown": [],
}


@pytest.fixture
def make_run(tmp_path: Path) -> Make:
    """Give what makes a run of so many rows under tmp_path/runs."""

    def made(
        name: str = "one", rows: int = 5, title: str = "Shapes", classes: tuple[str, ...] = ("a", "b")
    ) -> Run:
        folder = tmp_path / "runs" / name
        (folder / "samples").mkdir(parents=True)
        (folder / "checkpoints").mkdir()
        (folder / "recipe.toml").write_text(
            f"title = {json.dumps(title)}\n[train]\nbatch = 32\ng_lr = 2e-4\n"
        )
        data = {"source": "shapes", "classes": classes, "images": 100, "size": 32}
        env = {
            "images_total": 1_000 * rows,
            "started": "2026-01-01T00:00:00+00:00",
            "data": data,
            "torch": "2",
        }
        (folder / "env.json").write_text(json.dumps(env))
        run = Run(folder)
        log = [
            {"images": 1_000 * row, "loss/d": 1 / row, "loss/g": 2.0, "score/real": 1.0, "score/fake": -1.0}
            for row in range(1, rows + 1)
        ]
        run.log_file.write_text("".join(json.dumps(row) + "\n" for row in log))
        score = {"images": 1_000, "fd-judge": 3.0, "fd-judge/floor": 0.3, "protocol": {}}
        scores = [score, score | {"images": 1_000 * rows, "fd-judge": 2.0}]
        run.metrics_file.write_text("".join(json.dumps(row) + "\n" for row in scores))
        run.write_state("finished", {"images": 1_000 * rows})
        for images in (1_000, 1_000 * rows):
            Image.new("RGB", (64, 64), (images % 255, 60, 90)).save(run.sheet_file(images))
        Image.new("RGB", (64, 64), "white").save(run.reals_file)
        return run

    return made
