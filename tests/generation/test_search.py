"""The search for a setting that teaches: it takes what is better beyond noise, and asks nothing twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gander.data.images import Images
from gander.data.store import cache_folder
from gander.generation.search import SEEDS, Search, Setting, held_out_for, most_trials
from gander.scores.classifier import split_data

PLAIN = Setting(("newest",), (1.0,))
COORDINATES = [
    ("weights", lambda best: [replace(best, weights=("best",))]),
    ("spread", lambda best: [replace(best, spread=spread) for spread in (1.2, 1.4)]),
    ("keep", lambda best: [replace(best, keep=0.5)]),
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path))


def searched(accuracy, protocol="protocol"):
    search = Search(accuracy, {"is": protocol}, 1_000)
    return search.run(PLAIN, COORDINATES), search


def worth(setting):
    """What a setting is worth: the best weights, 1.2, and no filter."""
    return (
        0.5 + 0.1 * (setting.weights == ("best",)) + 0.2 * (setting.spread == 1.2) - 0.1 * (setting.keep < 1)
    )


def test_the_best_of_each_coordinate_is_taken_and_its_worth_said():
    rng = np.random.default_rng(0)
    chosen, search = searched(lambda setting, seed: worth(setting) + rng.normal(0, 0.005))
    assert chosen == Setting(("best",), (1.0,), 1.2, 1.0)
    assert [step["taken"] for step in search.steps] == [True, True, False]
    assert search.steps[0]["gain"] == pytest.approx(0.1, abs=0.01)
    assert "points, at least" in search.steps[1]["sentence"]
    assert "nothing that was tried is ahead of best" in search.steps[2]["sentence"]


def test_noise_is_not_taken():
    """Of ten searches among equal settings, few take anything, however well the screening went."""
    rng, taken = np.random.default_rng(1), 0
    for number in range(10):
        chosen, _ = searched(lambda setting, seed: 0.5 + rng.normal(0, 0.02), str(number))
        taken += chosen != PLAIN
    assert taken <= 2


def test_equal_settings_leave_the_plain_one():
    assert searched(lambda setting, seed: 0.5)[0] == PLAIN


def test_an_interrupted_search_repeats_no_finished_trial():
    asked = []

    def accuracy(setting, seed):
        if len(asked) == 5:
            raise KeyboardInterrupt
        asked.append((setting, seed))
        return worth(setting)

    with pytest.raises(KeyboardInterrupt):
        searched(accuracy)
    before, asked[:] = [*asked], []
    again: list = []
    chosen, search = searched(lambda setting, seed: again.append((setting, seed)) or worth(setting))
    assert not {*before} & {*again}
    assert chosen == Setting(("best",), (1.0,), 1.2, 1.0)
    assert len(search.trials) == len(before) + len(again)
    searched(lambda setting, seed: again.append(1) or worth(setting), "another")
    assert len(again) > len(search.trials), "another protocol is another search"


def test_half_a_trial_in_the_cache_is_made_again():
    searched(lambda setting, seed: worth(setting))
    for file in (cache_folder() / "trials").iterdir():
        file.write_text("{")
    assert searched(lambda setting, seed: worth(setting))[0].spread == 1.2


def test_there_are_never_more_trials_than_were_announced():
    _, search = searched(lambda setting, seed: worth(setting) + 0.2 * (setting.keep < 1))
    assert len(search.trials) == most_trials([1, 2, 1]) == 17


def test_held_out_images_are_of_no_other_seed_and_never_those_that_use_is_tested_on():
    pixels = np.random.default_rng(0).integers(0, 256, (400, 1, 8, 8), np.uint8)
    images = Images(pixels, np.arange(400) % 2, ("a", "b"), "f", "random", "d")
    parts = [{*map(bytes, held_out_for(images, seed).pixels)} for seed in range(SEEDS)]
    real, tested = split_data(images)
    assert set.union(*parts) == {*map(bytes, real.pixels)}
    assert sum(map(len, parts)) == len(real.labels)
    assert not set.union(*parts) & {*map(bytes, tested.pixels)}
