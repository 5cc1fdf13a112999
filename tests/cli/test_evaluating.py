"""`gander judge` and `gander evaluate`, from data to a table."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys

import numpy as np
import pytest

from gander.training.loop import train
from tests.judged import dark_and_light, train_judge
from tests.tiny import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Labelled data that a judge can learn in a second, and a run on them."""
    folder = tmp_path_factory.mktemp("scored")
    with np.load(dark_and_light(folder)) as arrays:
        np.savez(folder / "plain.npz", images=arrays["images"])
    train(tiny(folder, "projection"), folder / "run")
    return folder


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANDER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_data_without_a_judge_are_told_how_to_get_one(gander, folder):
    answer = gander("evaluate", folder / "run")
    assert answer.code == 3
    assert f"gander judge {folder / 'data.npz'}" in answer.err


def test_a_judge_is_trained_and_says_how_good_it_is(gander, folder):
    said = gander("judge", folder / "data.npz", "--epochs", 4).out
    assert "4 / 4" in said
    answer = json.loads(gander("judge", folder / "data.npz", "--epochs", 4, "--json").out)
    assert (answer["held_out"], answer["epochs"], answer["classes"]) == (40, 4, ["dark", "light"])
    assert answer["command"].startswith("gander judge ")
    assert answer["accuracy"] > 0.9


def test_a_run_is_scored_against_its_own_data(gander, folder):
    answer = json.loads(gander("evaluate", folder / "run", "-n", 200, "--json").out)
    scores = {score["name"]: score for score in answer["scores"]}
    assert {"fd-judge", "kd-judge", "precision", "recall", "label-fidelity", "memorised"} < {*scores}
    assert scores["fd-judge"]["value"] > scores["fd-judge"]["floor"]
    assert scores["fd-judge"]["protocol"]["n_fake"] == 200
    assert scores["fd-judge"]["protocol"]["weights"] == "averaged weights"


def test_a_folder_holds_numbers_pictures_and_a_page_that_needs_nothing_else(gander, folder, tmp_path):
    said = gander("evaluate", folder / "run", "-n", 200, "--to", tmp_path / "out").out
    assert f"page    {tmp_path / 'out' / 'page.html'}" in said
    pictures = {"classes.png", "best.png", "worst.png", "nearest.png"}
    assert {*os.listdir(tmp_path / "out")} == {"scores.json", "page.html"} | pictures
    told = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert sum(map(sum, told["confusion"])) == 200
    assert told["protocol"]["n_real"] == 200
    page = (tmp_path / "out" / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    for score in told["scores"]:
        assert f"<td>{score['name']}</td>" in page


def test_an_ancestry_that_nobody_recorded_is_said_in_the_line_of_the_protocol(gander, folder, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(folder / "run", old)
    env = json.loads((old / "env.json").read_text())
    (old / "env.json").write_text(json.dumps({name: env[name] for name in env if name != "ancestry"}))
    for run, unknown in ((folder / "run", False), (old, True)):
        said = gander("evaluate", run, "-n", 100).out
        assert ("of held-out images; ancestry unknown; scores of version 2;" in said) is unknown


def test_evaluations_of_a_run_stand_beside_each_other(gander, folder):
    before = len([*folder.glob("run/evaluation-*")])
    for count in (1, 2):
        gander("evaluate", folder / "run", "-n", 100)
        assert len([*folder.glob("run/evaluation-*")]) == before + count


def test_use_is_measured_in_both_directions(gander, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("gander.scores.use._QUICK_IMAGES", 2000)
    words = ("evaluate", folder / "run", "-n", 100, "--use", "--quick", "--to", tmp_path / "out")
    said = gander(*words).out
    assert "learning from generated images: 6 of 6" in said
    assert "learning from real images: 6 of 6" in said
    use = json.loads((tmp_path / "out" / "scores.json").read_text())["use"]
    assert use["from_real"] > 0.9
    assert 0 <= use["from_these"] <= 1
    assert [row["name"] for row in use["classes"]] == ["dark", "light"]
    assert "learned from real, tested on these" in (tmp_path / "out" / "page.html").read_text()


def test_a_curve_shows_what_they_add_to_real_images_and_the_worst_class_is_named(
    gander, folder, tmp_path, monkeypatch
):
    for name, value in (("_QUICK_IMAGES", 720), ("_MIXED", (50,)), ("_MIX_SEEDS", 2)):
        monkeypatch.setattr(f"gander.scores.use.{name}", value)
    train_judge(folder / "data.npz")
    words = ("evaluate", folder / "run", "-n", 100, "--use", "--quick", "--fresh", "--mix")
    said = gander(*words, "--to", tmp_path / "out").out
    use = json.loads((tmp_path / "out" / "scores.json").read_text())["use"]
    (point,) = use["mix"]
    assert (point["n_real"], use["protocol"]["fresh"]) == (50, True)
    assert f"mix     50 real images: {point['real_only']:.1%} alone" in said
    assert f"worst {use['worst']} (" in said
    assert re.search(r"dark +\d+\.\d% +\d+\.\d% +\d+\.\d%", said)
    assert (tmp_path / "out" / "mix.png").stat().st_size > 5_000
    assert "Added to real images" in (tmp_path / "out" / "page.html").read_text()


def test_data_are_scored_against_named_data_in_a_table_with_a_floor(gander, folder):
    said = gander("evaluate", folder / "data.npz", "--against", folder / "data.npz", "-n", 200).out
    assert "floor" in said
    assert "nearer to training images than held-out ones" in said
    assert "200 images of" in said


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["evaluate", "{data}"], 2, "is no run, and images are scored against data that must be named"),
        (["evaluate", "no-such-run"], 2, "no-such-run"),
        (["evaluate", "{run}", "-n", "50"], 3, "n = 50: scores need at least 100 images"),
        (["evaluate", "{data}", "--against", "{data}", "-n", "401"], 2, "data.npz has 400 images"),
        (["evaluate", "{run}", "--against", "shapes"], 3, "its images are (3, 8, 8)"),
        (["evaluate", "{plain}", "--against", "{data}", "--use"], 2, "comes without labels of the classes"),
        (["evaluate", "{run}", "--quick"], 2, "--quick: shortens --use, which is not asked for"),
        (["evaluate", "{run}", "--fresh"], 2, "--fresh: changes --use, which is not asked for"),
        (["evaluate", "{run}", "--mix"], 2, "--mix: adds to --use, which is not asked for"),
        (["evaluate", "{data}", "--against", "{data}", "--use", "--fresh"], 2, "same images in each epoch"),
        (["generate", "{run}", "--count", "9", "--to", "x", "--for", "usee"], 2, 'did you mean "use"'),
        (["generate", "{run}", "-n", "9", "--to", "x", "--quick"], 2, "--quick: shortens --for use"),
        (["evaluate", "{run}", "--to", "{data}"], 2, "is already there, and nothing is overwritten"),
        (["evaluate", "{run}", "--inception", "none.pth"], 2, "torch-fidelity cannot be used"),
        (["judge", "no-such-data"], 3, "no-such-data"),
    ],
)
def test_mistakes_are_told(gander, folder, words, code, told, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    places = {"data": folder / "data.npz", "run": folder / "run", "plain": folder / "plain.npz"}
    answer = gander(*(word.format(**places) for word in words))
    assert answer.code == code
    assert told in answer.err


def test_a_large_set_is_scored_by_its_name(gander, folder, tmp_path):
    gander("judge", folder / "data.npz", "--epochs", 2)
    with np.load(folder / "data.npz") as arrays:
        for number, half in enumerate((slice(0, 200), slice(200, 400))):
            kept = {name: arrays[name][half] for name in ("images", "labels")}
            np.savez(tmp_path / f"made-{number:05d}-of-00002.npz", classes=arrays["classes"], **kept)
    words = ["evaluate", tmp_path / "made.npz", "--against", folder / "data.npz", "-n", 200, "--json"]
    answer = json.loads(gander(*words, "--to", tmp_path / "out").out)
    assert answer["protocol"]["n_fake"] == 200
    assert any("to the pixel" in caveat for caveat in answer["caveats"])
