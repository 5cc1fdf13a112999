"""`generate --for use`: what teaches most is found, from checkpoints to the manifest."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gander.actions import choosing
from gander.actions.choosing import Trials, choose_setting
from gander.actions.generate import generate
from gander.actions.kept import Kept, kept_generators
from gander.data.images import Images
from gander.engine.machine import Machine
from gander.errors import DataError, UsageError
from gander.generation.load import Sampler, load
from gander.nets.blocks import Generator
from gander.scores import use
from gander.techniques.latents import Normal
from gander.training.loop import train
from tests.judged import dark_and_light, train_judge
from tests.tiny import tiny

CPU = Machine(torch.device("cpu"), threads=1)
SIZE, LATENTS = 8, 64


def stripes(labels, dark, rng):
    """Lying or standing stripes in noise, on a dark or a light ground."""
    wave = np.arange(SIZE) // 2 % 2 * 80
    kinds = np.stack([wave[:, None] + np.zeros((SIZE, SIZE)), wave[None] + np.zeros((SIZE, SIZE))])
    ground = np.where(dark, 20, 140)[:, None, None]
    return (kinds[labels] + ground + rng.integers(0, 30, (len(labels), SIZE, SIZE)))[:, None].astype(np.uint8)


def real_images(count=1200):
    rng, labels = np.random.default_rng(0), np.arange(count) % 2
    return Images(
        stripes(labels, rng.random(count) < 0.5, rng), labels, ("lying", "standing"), "f", "stripes", "d"
    )


class Oracle(Generator):
    """As varied as real images from latents of 1.5; of one ground a class from narrower ones; else noise."""

    def __init__(self):
        super().__init__(LATENTS, 2)
        self.low, self.high = 0.0, 255.0
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, latents, labels=None):
        rng = np.random.default_rng(int(latents.sum().abs() * 1e6) % 2**31)
        width, given = float(latents.std()), labels.numpy()
        dark = rng.random(len(given)) < 0.5 if width > 1.4 else given == 0
        made = stripes(given, dark, rng)
        return torch.from_numpy(rng.permutation(made.ravel()).reshape(made.shape) if width > 1.6 else made)


@pytest.fixture(autouse=True)
def short(monkeypatch, tmp_path):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(use, "_WIDTH", 8)
    monkeypatch.setattr(choosing, "_QUICK_TRIAL", (200, 640))


def test_the_spread_that_shows_all_is_found_by_what_a_classifier_learns():
    sampler = Sampler(Oracle(), Normal(dim=LATENTS), ("lying", "standing"))
    trials = Trials([[Kept("oracle", sampler, "digest", 0)]], (1,), real_images(), None, 500, CPU, quick=True)
    said: list[str] = []
    chosen, found = choose_setting(trials, said.append)
    assert (chosen.spread, chosen.keep) == (1.5, 1.0)
    assert "up to 12 trials" in said[0]
    assert "no judge" in said[1]
    (step,) = found["steps"]
    assert step["taken"]
    assert step["at_least"] > 0.1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chosen")
    dark_and_light(folder)
    patch = {"every.keep": 2, "train.images": 96}
    for flavour in ("projection", "plain", "per class"):
        train(tiny(folder, flavour, patch), folder / flavour)
    return folder


def test_all_that_a_run_keeps_is_tried_once(folder):
    from gander.run import Run

    kept = kept_generators(Run(folder / "projection"))
    assert [one.name for one in kept] == [
        "projection",
        "projection@96 latest weights",
        "projection@64 averaged weights",
        "projection@64 latest weights",
    ]
    newest = load(folder / "projection")
    latents, labels = newest.draw(4), torch.zeros(4, dtype=torch.long)
    made = [one.sampler.images(latents, labels) for one in kept]
    assert torch.equal(made[0], newest.images(latents, labels))
    assert len({image.numpy().tobytes() for image in made}) == len(made)
    assert [one.images for one in kept] == [96, 96, 64, 64]
    (folder / "projection" / "checkpoints" / "images-000000000064" / "progress.json").write_text("{")
    assert len(kept_generators(Run(folder / "projection"))) == 2, "a damaged checkpoint is none"
    assert [one.name for one in kept_generators(Run(folder / "per class"))] == ["per class"]


def chosen(folder, to, run="projection", **options):
    train_judge(folder / "data.npz")
    return generate(folder / run, 100, to, device="cpu", use="quick", **options)


def test_the_choice_and_every_trial_are_in_the_manifest_and_the_card(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(choosing, "_QUICK_TRIAL", (50, 100))
    told: list[str] = []
    made = chosen(folder, tmp_path / "out", report=told.append)
    search = json.loads((tmp_path / "out" / "dataset.json").read_text())["search"]
    assert {step["step"] for step in search["steps"]} == {"weights", "spread", "keep"}
    assert (made.facts["spread"], made.facts["filters"]["keep"]) == tuple(
        search["chosen"][name] for name in ("spread", "keep")
    )
    assert {(trial["seed"], trial["spread"]) for trial in search["trials"]} >= {(0, 1.0), (0, 1.5)}
    card = made.page.read_text()
    assert "## Chosen for use" in card
    assert card.count(", keep ") >= len(search["trials"])
    again: list[str] = []
    monkeypatch.setattr(Trials, "accuracy", lambda *_: pytest.fail("a finished trial is made again"))
    other = chosen(folder, tmp_path / "other", report=again.append)
    assert again[1:] == told[1:]
    assert other.facts["search"] == made.facts["search"]


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"run": "plain"}, UsageError, "a classifier learns from labels, and plain makes images without"),
        ({"keep": 0.5}, UsageError, "--for use: chooses --spread and --keep itself"),
        ({"spread": 1.5}, UsageError, "--for use: chooses --spread and --keep itself"),
        ({"truncation": 1.5}, UsageError, "without --truncation"),
    ],
)
def test_what_cannot_be_chosen_is_told_before_any_work(options, kind, told, folder, tmp_path):
    with pytest.raises(kind, match=told):
        chosen(folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_data_that_moved_away_are_missed(folder, tmp_path):
    away = (folder / "data.npz").rename(folder / "away.npz")
    try:
        with pytest.raises(DataError, match="--for use: its real images could not be opened"):
            generate(folder / "projection", 100, tmp_path / "out", device="cpu", use="quick")
    finally:
        away.rename(folder / "data.npz")
