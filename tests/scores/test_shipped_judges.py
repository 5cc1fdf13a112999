"""The judges that are shipped are what their records say, and are found for their data."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from gander.data.images import open_images
from gander.data.names import NAMED
from gander.scores.judge import find_judge, held_out, load_judge

FOLDER = Path(str(resources.files("gander") / "judges"))
LEAST = {"cifar10": 0.90, "mnist": 0.99, "shapes": 0.99}


@pytest.mark.parametrize("name", LEAST)
def test_a_judge_is_small_good_and_says_how_it_was_made(name):
    path = FOLDER / f"{name}.safetensors"
    record = load_judge(path).record
    assert path.stat().st_size < 3 * 10**6
    assert record.accuracy >= LEAST[name]
    assert record.command.startswith(f"gander judge {name} ")
    assert record.source == name
    if name in NAMED:
        assert record.digest == NAMED[name].digests["train"]
        assert record.classes == NAMED[name].classes


def test_the_shapes_judge_is_found_without_any_work():
    assert find_judge(open_images("shapes")).record.source == "shapes"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_it_names_held_out_images_as_well_as_it_says(name, shared):
    images = open_images(name, str(shared / "data" / name))
    judge = find_judge(images)
    aside = held_out(images)
    named = judge.extract(images.pixels[aside]).probabilities.argmax(1).numpy()
    assert np.mean(named == images.labels[aside]) == pytest.approx(judge.record.accuracy, abs=0.002)
    assert judge.record.held_out == len(aside)
