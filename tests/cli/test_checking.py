"""What `gander check` and `gander explain CODE` print, and how they end."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gander.data.shapes import draw_shapes


@pytest.fixture
def recipe(tmp_path):
    """A sound recipe on three thousand images."""
    pixels, factors = draw_shapes(3_000, 0)
    np.savez(tmp_path / "data.npz", images=pixels.transpose(0, 2, 3, 1), labels=factors.label)
    (tmp_path / "mine.toml").write_text('extends = "shapes-acgan"\n')
    return tmp_path / "mine.toml", f"data.path={tmp_path / 'data.npz'}"


def test_a_sound_recipe_has_nothing_wrong_and_is_ready_to_train(gander, recipe):
    answer = gander("check", *recipe, "train.epochs=20")
    assert answer.code == 0
    assert "nothing is wrong" in answer.out
    assert answer.out.splitlines()[-1] == f"next    gander train {recipe[0]} {recipe[1]} train.epochs=20"


def test_a_warning_says_what_is_seen_what_to_type_and_why_and_is_an_exit_code(gander, recipe):
    answer = gander("check", *recipe, "train.g_lr=0.05", "train.epochs=20")
    assert answer.code == 1
    assert answer.out.startswith("warning g-rate-high: G's learning rate is at most 0.05\n")
    assert "  seen  train.g_lr = 0.05; healthy: 1e-4 to 1e-3\n" in answer.out
    mended = f"gander train {recipe[0]} {recipe[1]} train.epochs=20 train.g_lr=0.0002"
    typed = next(line for line in answer.out.splitlines() if line.startswith("  type"))
    assert sorted(typed.split()[1:]) == sorted(mended.split())
    assert "  why   G jumps from one answer" in answer.out
    assert "next    gander explain g-rate-high" in answer.out
    assert gander(*typed.replace(" train ", " check ", 1).split()[2:]).code == 0


def test_a_note_alone_is_no_warning(gander, recipe):
    answer = gander("check", *recipe, "average=latest", "train.epochs=20")
    assert answer.code == 0
    assert "note    average-missing" in answer.out
    assert "no warning" in answer.out


def test_findings_as_json(gander, recipe):
    answer = gander("check", *recipe, "train.g_lr=0.05", "--json")
    assert answer.code == 1
    found = json.loads(answer.out)["findings"]
    first = found[0]
    assert (first["code"], first["severity"], first["since"]) == ("g-rate-high", "warning", 0)
    assert first["remedy"] == [["train.g_lr=2e-4"]]
    assert first["evidence"] == [{"column": "train.g_lr", "value": 0.05, "healthy": "1e-4 to 1e-3"}]
    assert {"confidence", "causes", "prediction"} <= first.keys()


def test_nets_that_do_not_fit_the_data_are_refused_as_in_training(gander, recipe):
    answer = gander("check", *recipe, "generator.layers.0.size=3")
    assert answer.code == 2
    assert "24 x 24" in answer.err


def test_spoilt_data_are_seen(gander, recipe, tmp_path):
    pixels, _ = draw_shapes(3_000, 0)
    labels = np.random.default_rng(0).integers(0, 10, 3_000)
    np.savez(tmp_path / "spoilt.npz", images=pixels.transpose(0, 2, 3, 1), labels=labels)
    answer = gander("check", recipe[0], f"data.path={tmp_path / 'spoilt.npz'}")
    assert answer.code == 1
    assert "labels-shuffled (90% sure)" in answer.out


def test_explain_tells_a_code_and_names_the_nearest(gander):
    answer = gander("explain", "saturating-loss")
    assert answer.code == 0
    assert "Goodfellow et al. 2014" in answer.out
    assert "mode-collapse" in gander("explain").out
    wrong = gander("explain", "mode-colapse")
    assert wrong.code == 2
    assert 'did you mean "mode-collapse"' in wrong.err
