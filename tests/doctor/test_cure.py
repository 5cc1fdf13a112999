"""A cure: what cures is said to, what does not is not, and nothing is trained twice."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from gander.actions import diagnose as diagnosing
from gander.actions.cure import cure
from gander.cli.main import app
from gander.doctor.finding import Finding
from gander.errors import Interrupted, UsageError
from gander.recipe.read import read_recipe
from gander.run import Run
from gander.training import trainer
from gander.training.loop import train
from gander.training.loss import d_loss
from tests.doctor.bright import BATCH, bright, finding
from tests.tiny import Stop, contents, tiny


class Counting(Stop):
    """Counts the steps of all trainings."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.steps = 0

    def stepped(self, images):
        self.steps += 1


@pytest.fixture(scope="module")
def weak(tmp_path_factory) -> Run:
    """A run whose D learns a hundred times too slowly."""
    folder = tmp_path_factory.mktemp("weak")
    return train(bright(folder, {"train.d_lr": 2e-5}), folder / "run")


@pytest.mark.parametrize(
    ("fault", "remedy", "predicts"),
    [
        ({"train.d_lr": 2e-5}, "train.d_lr=0.002", "probe/auc above 0.6"),
        ({"train.g_lr": 0.06}, "train.g_lr=0.002", "probe/update_g below -1.3"),
    ],
)
def test_the_remedy_of_a_rate_holds_what_was_predicted_and_is_better(fault, remedy, predicts, tmp_path):
    run = train(bright(tmp_path, fault | {"train.images": BATCH}), tmp_path / "run")
    made = cure(run, [finding(remedy, predicts=predicts)])
    ((arm, control),) = made.tried
    assert (arm.held, control.held) == (True, False)
    assert made.verdict(arm, control) == "held, and not without the remedy"
    assert arm.beside(control) == "better"
    assert read_recipe(arm.run).train != read_recipe(control.run).train
    assert arm.run.history().images[-1] == control.run.history().images[-1] == 960


def test_a_wrong_remedy_is_said_not_to_hold_and_of_all_each_is_tried_alone(weak, tmp_path):
    wrong = finding("train.g_lr=0.001", "train.beta1=0.4 train.g_lr=0.003", within=320)
    made = cure(weak, [wrong], every=True, folder=tmp_path, watcher=(counting := Counting()))
    assert [made.verdict(*pair) for pair in made.tried] == ["did not hold"] * 2
    first, second = (read_recipe(arm.run).train for arm, _ in made.tried)
    assert (first.beta1, first.g_lr, second.beta1, second.g_lr) == (0.5, 0.001, 0.4, 0.003)
    assert counting.steps == 3 * 10  # one training without a remedy serves both
    assert made.tried[0][1] is made.tried[1][1]
    assert len({arm.run.path for arm, _ in made.tried}) == 2


def test_it_branches_at_the_newest_checkpoint_before_the_finding(weak, tmp_path):
    late = finding("train.d_lr=0.002", since=12 * BATCH, within=10 * BATCH)
    ((arm, control),) = cure(weak, [late], folder=tmp_path).tried
    assert (arm.start, arm.anew) == (10 * BATCH, "")
    assert arm.run.name == "run-cure-train.d_lr-0.002-320-to-640"
    ends = [load_file(run.generator_file) for run in (control.run, weak)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[1])  # as the run itself went on


def test_where_checkpoints_have_scores_the_best_of_before_is_taken(weak, tmp_path):
    run = train(bright(tmp_path), tmp_path / "run")
    rows = [(5, 3.0), (10, 4.0), (15, 1.0)]
    run.metrics_file.write_text(
        "".join(json.dumps({"images": n * BATCH, "fd-judge": fd, "protocol": {}}) + "\n" for n, fd in rows)
    )
    early = finding("train.d_lr=0.001", since=12 * BATCH, within=2 * BATCH)
    assert cure(run, [early]).tried[0][0].start == 5 * BATCH
    (run.checkpoints / f"images-{5 * BATCH:012d}" / "state.safetensors").write_bytes(b"damaged")
    assert cure(run, [early]).tried[0][0].start == 10 * BATCH


def test_what_does_not_fit_the_weights_is_trained_anew_with_the_reason(weak, tmp_path):
    wider = finding("discriminator.layers.0.width=8", since=12 * BATCH, within=2 * BATCH)
    ((arm, control),) = cure(weak, [wider], folder=tmp_path).tried
    assert (arm.start, control.start) == (0, 0)
    assert arm.anew == "the remedy's nets have other shapes"
    assert (arm.held, arm.run.history().images[-1]) == (arm.held, 2 * BATCH)


def test_an_interrupted_cure_goes_on_and_a_finished_one_trains_nothing(weak, tmp_path):
    case = [finding("train.d_lr=0.002", since=12 * BATCH, within=8 * BATCH)]
    whole = cure(weak, case, folder=tmp_path / "whole")
    for steps in (3, 9):
        with pytest.raises(Interrupted, match="the same command once more"):
            cure(weak, case, folder=tmp_path / "parts", watcher=Stop(steps))
    parts = cure(weak, case, folder=tmp_path / "parts")
    for one, other in zip(whole.tried[0], parts.tried[0], strict=True):
        assert contents(one.run) == contents(other.run)
        assert (one.quality, one.held) == (other.quality, other.held)
    again = cure(weak, case, folder=tmp_path / "parts", watcher=(counting := Counting()))
    assert (again.as_dict(), counting.steps) == (parts.as_dict(), 0)


def test_another_run_of_the_same_name_is_not_taken_for_the_answer(weak, tmp_path):
    train(bright(tmp_path, {"train.images": BATCH}), tmp_path / "run-cure-train.d_lr-0.002-0-to-64")
    with pytest.raises(UsageError, match="is there, and is not this cure"):
        cure(weak, [finding("train.d_lr=0.002", within=2 * BATCH)], folder=tmp_path)


def test_a_training_that_breaks_down_is_an_answer(weak, tmp_path, monkeypatch):
    case = [finding("objective=least_squares", within=2 * BATCH)]

    def breaks(objective, scene):
        return d_loss(objective, scene) * (math.nan if objective.kind == "least_squares" else 1)

    monkeypatch.setattr(trainer, "d_loss", breaks)
    made = cure(weak, case, folder=tmp_path)
    assert "is not finite" in made.verdict(*made.tried[0])
    assert made.tried[0][0].beside(made.tried[0][1]) == "worse"
    assert cure(weak, case, folder=tmp_path, watcher=(counting := Counting())).as_dict() == made.as_dict()
    assert counting.steps == 0


def test_of_two_alarms_that_with_a_prediction_is_cured_and_a_note_last(weak, tmp_path):
    fact = Finding("latent-small", "warning", 1.0, "few numbers", remedy=(("latents.dim=64",),))
    note = replace(finding("train.beta1=0.4", within=2 * BATCH), severity="note")
    foretold = finding("train.d_lr=0.002", within=2 * BATCH)
    assert cure(weak, [fact, note, foretold], folder=tmp_path).finding == foretold


def test_what_cannot_be_cured_is_said_in_one_line(weak, tmp_path):
    with pytest.raises(UsageError, match="nothing is wrong"):
        cure(weak, [])
    with pytest.raises(UsageError, match="no patch is known for what was found: noise") as refused:
        cure(weak, [Finding("noise", "error", 0.9, "noise")])
    assert refused.value.hint == "gander explain noise"
    each = train(tiny(tmp_path, "per class"), tmp_path / "each")
    with pytest.raises(UsageError, match="one GAN a class") as refused:
        cure(each, [finding("train.d_lr=0.001")])
    assert refused.value.hint == f"gander train {each.recipe_file} train.d_lr=0.001"


def test_the_verb_shows_a_table_and_gives_the_same_as_json(weak, tmp_path, monkeypatch, capsys):
    case = finding("train.d_lr=0.002", since=12 * BATCH, within=2 * BATCH)
    monkeypatch.setattr(diagnosing, "diagnose", lambda run: [case])
    app(["cure", str(weak.path), "--to", str(tmp_path)], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "train.d_lr=0.002: 64 images, from 320 on" in shown
    assert "probe/auc above 0.6 within 64 images" in shown
    app(["cure", str(weak.path), "--to", str(tmp_path), "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    (row,) = told["remedies"]
    assert (told["finding"]["code"], row["with"]["start"], row["held"]) == (
        "d-uninformed",
        320,
        row["with"]["held"],
    )
    assert row["with"]["run"] != row["without"]["run"]
