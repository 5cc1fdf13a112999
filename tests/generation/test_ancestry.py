"""No net that taught a generator, or chose among images, scores these; each says what it descends from."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gander
from gander.data.images import open_images
from gander.errors import DataError
from gander.files import file_digest
from gander.generation.ancestry import of_judge
from gander.training.loop import branch, resume, train
from tests.judged import dark_and_light, train_judge
from tests.tiny import BATCH, Notes, tiny


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path / "cache"))
    dark_and_light(tmp_path)
    return tmp_path


@pytest.fixture
def judge(folder):
    return train_judge(folder / "data.npz")


@pytest.fixture
def taught(folder, judge):
    """A run that the data's judge taught, as features might."""
    run = train(tiny(folder, "projection"), folder / "run")
    inherit(run, of_judge(judge) | {"kind": "features.classes"})
    return run


def inherit(run, *ancestry):
    """Have a run descend from its data and these."""
    run.env_file.write_text(json.dumps(run.env() | {"ancestry": [run.ancestry()[0], *ancestry]}))


def scored_by(evaluation):
    return evaluation.protocol.features.removeprefix("judge ")


def test_a_run_names_its_data_and_the_net_that_taught_it(folder):
    run = train(tiny(folder, "features"), folder / "run")
    images = open_images(str(folder / "data.npz"))
    data, features = run.ancestry()
    assert data == {"kind": "data", "source": "data.npz", "digest": images.digest, "images": 400}
    (kept,) = (folder / "cache" / "features").glob("*.safetensors")
    assert (features["kind"], features["digest"]) == ("features.classes", file_digest(kept))
    assert (features["data"], features["accuracy"]) == (images.digest, 1.0)
    assert resume(run).ancestry() == run.ancestry()


def test_a_branch_inherits_what_its_source_descends_from(folder):
    source = train(tiny(folder), folder / "source")
    other = folder / "other.npz"
    with np.load(folder / "data.npz") as held:
        np.savez(other, images=held["images"][:200], labels=held["labels"][:200], classes=held["classes"])
    made = branch(f"{source.path}@64", {"train.images": 104, "data.path": str(other)}, folder / "made")
    weights = file_digest(source.checkpoints / "images-000000000064" / "state.safetensors")
    itself = {"kind": "run", "source": "source", "digest": weights, "images": 64}
    assert [each["source"] for each in made.ancestry()] == ["other.npz", "source", "data.npz"]
    assert made.ancestry()[1:] == [itself, *source.ancestry()]


def test_a_judge_that_taught_a_run_is_refused_until_there_is_another(taught, judge, folder):
    with pytest.raises(DataError, match=f"judge {judge.digest[:12]} taught or chose these images") as refused:
        gander.evaluate(taught, n=100, device="cpu")
    assert len(refused.value.problems) == 1
    assert refused.value.hint == f"gander judge {folder / 'data.npz'} --size 8 --seed 1"
    other = train_judge(folder / "data.npz", seed=1)
    evaluation = gander.evaluate(taught, n=100, device="cpu")
    assert scored_by(evaluation) == other.digest[:12]
    assert f"judge {judge.digest[:12]} taught" in evaluation.caveats[-1]
    assert f"judge {other.digest[:12]} does" in evaluation.caveats[-1]
    assert scored_by(gander.evaluate(folder / "data.npz", folder / "data.npz", 100)) == judge.digest[:12]


def test_a_judge_that_was_trained_further_is_the_same_net(taught, judge, folder):
    again = gander.judge(folder / "data.npz", epochs=1, device="cpu")  # of seed 0, and another width
    assert again.digest != judge.digest
    assert scored_by(gander.evaluate(taught, n=100, device="cpu")) == again.digest[:12]
    inherit(taught, of_judge(again) | {"digest": "0" * 64})
    with pytest.raises(DataError, match="and these data have no other judge"):
        gander.evaluate(taught, n=100, device="cpu")


def test_scores_during_training_are_not_made_by_a_judge_that_teaches(taught, folder):
    heard = Notes()
    more = {"train.images": 128, "evaluate.every": 2 * BATCH, "evaluate.n": 100, "evaluate.share": 1.0}
    made = branch(taught, more, folder / "branch", heard)
    assert "no scores during training" in heard.notes[-1]
    assert "--seed 1" in heard.notes[-1]
    assert not made.metrics_file.exists()
    other = train_judge(folder / "data.npz", seed=1)
    made = branch(taught, more, folder / "again", heard)
    assert f"and judge {other.digest[:12]} does" in heard.notes[-1]
    assert made.scores().images


def test_of_a_run_that_recorded_nothing_the_ancestry_is_unknown(folder, judge):
    run = train(tiny(folder), folder / "run")
    assert gander.evaluate(run, n=100, device="cpu").facts()["protocol"]["ancestry"] == "known"
    run.env_file.write_text(json.dumps({k: v for k, v in run.env().items() if k != "ancestry"}))
    assert gander.evaluate(run, n=100, device="cpu").facts()["protocol"]["ancestry"] == "unknown"
    heir = branch(run, {"train.images": 104}, folder / "branch")
    assert heir.ancestry()[-1] == {"kind": "unknown", "source": "run"}
    assert gander.evaluate(heir, n=100, device="cpu").ancestry == "unknown"


@pytest.mark.parametrize("chosen", [{"keep": 0.5}, {"label_with": "judge"}])
def test_a_judge_that_chose_images_is_in_their_card_and_does_not_score_them(chosen, folder, judge):
    data = folder / "data.npz"
    run = train(tiny(folder, "plain" if "label_with" in chosen else "projection"), folder / "run")
    made = gander.generate(run, 120, folder / "made", device="cpu", **chosen)
    weights = {"kind": "run", "source": "run", "digest": file_digest(run.generator_file), "images": 96}
    assert made.facts["ancestry"] == [weights, *run.ancestry(), of_judge(judge)]
    assert made.facts["scores"] == []
    assert "gander judge data.npz --size 8 --seed 1" in made.facts["unscored"]
    assert f"judge of width 8 {judge.digest[:12]} |" in made.page.read_text()
    with pytest.raises(DataError, match="taught or chose these images and may not score them"):
        gander.evaluate(made.path, data, n=100, device="cpu")
    other = train_judge(data, seed=1)
    assert scored_by(gander.evaluate(made.path, data, n=100, device="cpu")) == other.digest[:12]
    again = gander.generate(run, 120, folder / "again.npz", device="cpu", **chosen)
    assert again.facts["scores"][0]["protocol"]["features"] == f"judge {other.digest[:12]}"
    assert scored_by(gander.evaluate(again.path, data, n=100, device="cpu")) == other.digest[:12]


def test_images_that_no_judge_chose_are_scored_by_it_and_teach_what_they_descend_from(folder, judge):
    run = train(tiny(folder, "projection"), folder / "run")
    made = gander.generate(run, 120, folder / "made", device="cpu")
    evaluation = gander.evaluate(made.path, folder / "data.npz", n=100, device="cpu")
    assert (scored_by(evaluation), evaluation.ancestry) == (judge.digest[:12], "known")
    heir = train(tiny(folder, patch={"data.path": str(made.path)}), folder / "heir")
    assert [each["source"] for each in heir.ancestry()] == ["made", "run", "data.npz"]
    card = made.path / "dataset.json"
    card.write_text(json.dumps({k: v for k, v in made.facts.items() if k != "ancestry"}))
    assert gander.evaluate(made.path, folder / "data.npz", n=100, device="cpu").ancestry == "unknown"


def test_scores_for_the_card_are_announced_and_can_be_left_away(folder, judge, tmp_path):
    run, said = train(tiny(folder, "projection"), folder / "run"), []
    scored = gander.generate(run, 120, tmp_path / "scored", device="cpu", report=said.append)
    plain = gander.generate(run, 120, tmp_path / "plain", device="cpu", report=said.append, scores=False)
    assert said == ["scoring 120 images for the card; --no-scores does not"]
    assert scored.facts["scores"]
    assert (plain.facts["scores"], "--no-scores" in plain.facts["unscored"]) == ([], True)
