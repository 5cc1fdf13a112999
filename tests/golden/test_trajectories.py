"""Thirty steps of four recipes, beside what they were: a refactoring that moves numbers is seen here.

After a change that is meant to move them, `python -m tests.golden.test_trajectories --record` writes them
anew, and the reason goes under "Numbers" in CHANGELOG.md.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

RECORDED = Path(__file__).with_name("trajectories.json")
RECIPES = {
    "shapes-dcgan": "",
    "shapes-sngan": "",
    "shapes-r3": "",
    # Features that are learned first would make a rounding large before the first step.
    "quickstart": "penalties.-classifier_guidance features=random",
}
BATCH, STEPS = 8, 30
COLUMNS = ("loss/d", "loss/g", "score/real", "score/fake", "grad/d", "grad/g")
# Thirty steps of a GAN make a hundredth out of a rounding: all machines are held to the same instructions.
INSTRUCTIONS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


def trajectory(name: str) -> dict[str, list[float]]:
    from gander import load_recipe, train

    edits = (
        f"train.batch={BATCH} evaluate.every=0 samples.columns=2 every.samples=0 every.save=0"
        " engine.device=cpu engine.precision=float32 engine.threads=1 engine.memory=channels_last"
        " engine.compiled=off train.images={}"
    )
    own = RECIPES[name].split()
    shown = load_recipe(name, edits.format(STEPS).split()).shown_per_step
    recipe = load_recipe(name, [*own, *edits.format(STEPS * shown).split(), f"every.log={shown}"])
    with tempfile.TemporaryDirectory() as folder:
        history = train(recipe, Path(folder) / "run").history()
    return {column: history.column(column) for column in COLUMNS}


def pinned(name: str) -> dict[str, list[float]]:
    """Give a trajectory by a process of its own, for instructions are chosen when torch is imported."""
    command = [sys.executable, "-m", "tests.golden.test_trajectories", name]
    done = subprocess.run(
        command,
        env={**os.environ, **INSTRUCTIONS},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="recorded with AVX2 instructions")
@pytest.mark.parametrize("name", RECIPES)
def test_thirty_steps_are_what_they_were(name: str) -> None:
    now, before = pinned(name), json.loads(RECORDED.read_text())[name]
    for column in COLUMNS:
        assert now[column] == pytest.approx(before[column], rel=1e-5, abs=1e-5), column


if __name__ == "__main__":
    if sys.argv[1:] == ["--record"]:
        RECORDED.write_text(json.dumps({name: pinned(name) for name in RECIPES}, indent=1) + "\n")
    else:
        print(json.dumps(trajectory(sys.argv[1])))
