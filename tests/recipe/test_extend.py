"""docs/extend.md: its module and its recipe, trained, interrupted, resumed and sampled from."""

import re
from pathlib import Path

import pytest
import torch

from gander import load, load_recipe, resume, train
from gander.recipe.read import nameable
from tests.tiny import contents, stopped_run, tiny

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extend.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def recipe(tmp_path, as_before):
    (tmp_path / "my_gan.py").write_text("\n\n".join(blocks("python")))
    (text,) = blocks("toml")
    (tmp_path / "mine.toml").write_text(text)
    own = load_recipe(str(tmp_path / "mine.toml")).diff(tiny(tmp_path))
    data = {
        path: value
        for path, value in own.items()
        if path.split(".")[0] in ("data", "train", "every", "samples")
    }
    return load_recipe(str(tmp_path / "mine.toml"), data)


def test_the_examples_of_the_page_train_and_resume_to_the_bit(recipe, tmp_path):
    whole = train(recipe, tmp_path / "whole")
    halves = resume(stopped_run(recipe, tmp_path / "halves", 3))
    assert contents(halves) == contents(whole)
    sampler = load(whole)
    images = sampler.images(sampler.draw(4))
    assert images.shape == (4, 3, 8, 8)
    assert images.dtype == torch.uint8


def test_what_the_page_names_is_there(recipe):
    slots = nameable("my_gan")
    assert "anchor" in slots["penalties"]
    assert "dense" in slots["generator"]
    for base in re.findall(r"`(gander\.[a-z.]+)\.([A-Z]\w+)`", PAGE):
        assert hasattr(__import__(base[0], fromlist=[base[1]]), base[1]), base
    rows = {
        name
        for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`([\w.]+)`", row)
    }
    assert rows == {*slots}
