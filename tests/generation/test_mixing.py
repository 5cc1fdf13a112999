"""Several runs in one data set: exactly the planned shares, and each image as its own run makes it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gander.actions.generate import generate
from gander.data.images import open_images
from gander.errors import UsageError
from gander.generation import draft as drafts
from gander.generation.draft import Draft
from gander.generation.load import BLOCK, load
from gander.generation.stream import Stream, cells_of, drawn_from, interleaved
from gander.run import Run
from gander.training.loop import train
from tests.judged import dark_and_light, train_judge
from tests.tiny import tiny


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs with classes on data that have a judge, and two without classes."""
    folder = tmp_path_factory.mktemp("mixed")
    train_judge(dark_and_light(folder))
    made = {}
    for name, flavour in (("a", "projection"), ("b", "projection"), ("plain", "plain"), ("plainer", "plain")):
        patch = {"seed": len(made), "train.images": 32}
        made[name] = train(tiny(folder, flavour, patch), folder / name)
    return made


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(drafts, "PART", BLOCK)


def mixed(runs, to, n=600, names=("a", "b"), **options):
    return generate([runs[name] for name in names], n, to, device="cpu", **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_shares_are_exact_in_all_and_as_near_as_can_be_in_each_class():
    assert cells_of([10, 10], [1, 1]) == [5, 5, 5, 5]
    assert cells_of([1, 1, 1], [1, 1]) == [1, 0, 1, 0, 1, 0]
    each = np.array(cells_of([101, 53, 7], [3, 1])).reshape(2, 3)
    assert each.sum(1).tolist() == [121, 40]
    assert each.sum(0).tolist() == [101, 53, 7]
    assert np.abs(each[1] - np.array([101, 53, 7]) / 4).max() < 2
    assert cells_of([6], [1, 1, 1]) == [2, 2, 2]


@pytest.mark.parametrize(("shares", "counts"), [((), [300, 300]), ((3, 1), [450, 150])])
def test_each_image_is_the_next_of_its_own_run(shares, counts, runs, tmp_path):
    made = mixed(runs, tmp_path / "out", shares=shares)
    assert [one["images"] for one in made.facts["runs"]] == counts
    assert [one["run"] for one in made.facts["runs"]] == ["a", "b"]
    assert made.facts["counts"] == {"dark": 300, "light": 300}
    read = open_images(str(tmp_path / "out"))
    cells = interleaved(cells_of([300, 300], shares or (1, 1)))
    assert np.array_equal(read.labels, cells % 2)
    first = cells < 2
    ((_, alone), *more) = Stream([load(runs["a"])], 0, read.labels[first]).at(np.arange(counts[0]))
    assert np.array_equal(read.pixels[first], np.concatenate([alone, *(pixels for _, pixels in more)]))
    card = (tmp_path / "out" / "README.md").read_text()
    for one in made.facts["runs"]:
        assert one["generator"] in card
        assert f"{one['images']:,} images, {one['share']:.1%}".replace("%", " %") in card


def test_filters_keep_the_shares(runs, tmp_path):
    made = mixed(runs, tmp_path / "out", 120, shares=(2, 1), keep=0.5)
    assert [one["images"] for one in made.facts["runs"]] == [80, 40]
    assert made.facts["counts"] == {"dark": 60, "light": 60}
    assert made.facts["candidates"] == 240


def test_runs_without_classes_are_mixed_and_can_be_labelled(runs, tmp_path):
    made = mixed(runs, tmp_path / "out", 100, names=("plain", "plainer"), label_with="judge")
    assert [one["images"] for one in made.facts["runs"]] == [50, 50]
    assert open_images(str(tmp_path / "out")).classes == ("dark", "light")


def test_an_interrupted_mixture_goes_on_to_the_same_bytes(runs, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    (tmp_path / "whole").mkdir()
    mixed(runs, tmp_path / "whole" / "out")
    with monkeypatch.context() as patch:
        patch.setattr(Draft, "join", interrupt)
        with pytest.raises(KeyboardInterrupt):
            mixed(runs, tmp_path / "out")
    next((tmp_path / "out.unfinished" / "parts").glob("part-*1*")).unlink()
    with pytest.raises(UsageError, match="ordered otherwise"):
        mixed(runs, tmp_path / "out", shares=(3, 1))
    mixed(runs, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole" / "out")


def test_two_generators_never_start_from_the_same_latents(runs):
    sampler = load(runs["a"])
    drawn = Stream([sampler, sampler], 0, np.zeros(20, int), np.arange(20) % 2)
    ((_, pixels),) = drawn.at(np.arange(20))
    assert len(np.unique(pixels, axis=0)) == 20


def test_latents_can_be_drawn_wider(runs, tmp_path):
    stream = Stream([load(runs["a"])], 0, np.zeros(1, int))
    latents = stream.samplers[0].draw(5)
    made = generate(runs["a"], 50, tmp_path / "out", device="cpu", spread=1.5)
    assert made.facts["spread"] == 1.5
    assert "latents 1.5 times as wide as in training" in made.page.read_text()
    wide = drawn_from(stream.samplers[0], None, 1.5)
    assert np.allclose(wide.draw(5), 1.5 * latents)


@pytest.mark.parametrize(
    ("names", "options", "told"),
    [
        (("a", "plain"), {}, "plain makes 8 x 8 pixels, 3 channels, classes none; a makes 8 x 8 pixels"),
        (("a", "a"), {}, "a run is named twice"),
        (("a", "b"), {"shares": (1,)}, "--share 1: a positive number is wanted for each of 2 runs"),
        (("a", "b"), {"shares": (1, -1)}, "--share 1 --share -1"),
        (("a",), {"spread": 0.0}, "--spread 0: 0.1 to 10"),
    ],
)
def test_mistakes_are_told_before_any_work(names, options, told, runs, tmp_path):
    with pytest.raises(UsageError) as refused:
        mixed(runs, tmp_path / "out", names=names, **options)
    assert told in str(refused.value)
    assert [*tmp_path.iterdir()] == []


def test_a_run_of_other_classes_is_refused_in_one_line(runs, tmp_path):
    (tmp_path / "other").mkdir()
    other = train(tiny(tmp_path / "other", "projection", {"train.images": 8}), tmp_path / "other" / "run")
    with pytest.raises(UsageError, match=r"classes circle, square; a makes .*classes dark, light"):
        generate([runs["a"], other], 20, tmp_path / "out", device="cpu")


def test_best_and_newest_of_a_run_can_be_mixed(runs, tmp_path):
    best = Run(runs["b"].path, "best.safetensors")
    best.weights_file.write_bytes(runs["a"].weights_file.read_bytes())
    made = generate([runs["b"], best], 40, tmp_path / "out", device="cpu")
    assert [one["run"] for one in made.facts["runs"]] == ["b", "b/best.safetensors"]
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["title"].endswith(
        "b + b/best.safetensors"
    )
    best.weights_file.unlink()
