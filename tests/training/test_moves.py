"""The trainer's public moves, streams by step, several heads, frozen weights, how runs end and branch."""

from __future__ import annotations

import gc
import weakref
from typing import Literal

import pytest
import torch
from torch import nn

from gander.engine.machine import Machine
from gander.engine.streams import Streams
from gander.errors import CheckpointError, Interrupted, NumericsError, UsageError
from gander.run import Run
from gander.techniques.slots import Logits, Penalty
from gander.training import trainer as training
from gander.training.learner import Learner
from gander.training.loop import branch, resume, train
from gander.training.loss import d_loss
from gander.training.watcher import Watcher
from tests.tiny import BATCH, STEPS, Stop, contents, stopped_run, tiny
from tests.training.test_step import CPU, moved, trainer, weights


def test_a_step_is_its_moves():
    whole, halves = trainer(train__d_steps=2), trainer(train__d_steps=2)
    for _ in range(3):
        whole.step()
        halves.step_d()
        halves.step_d()
        halves.step_g()
        halves.after()
    for one, other in zip(whole.nets.parameters(), halves.nets.parameters(), strict=True):
        assert torch.equal(one, other)
    assert (whole.clock.images, whole.clock.steps) == (halves.clock.images, halves.clock.steps) == (24, 3)


def test_each_net_can_be_moved_alone():
    made = trainer(generator__labels="concatenated", discriminator__labels="projected")
    before = weights(made.generator), weights(made.d.net)
    made.step_g()
    assert moved(before[0], made.generator)
    assert not moved(before[1], made.d.net)
    made.after()
    assert made.clock.images == 0  # G saw no real images, and D none at all
    before = weights(made.generator)
    made.step_d()
    assert not moved(before, made.generator)


def test_an_edit_takes_hold_in_a_training_and_memories_stay():
    made = trainer(penalties=[{"kind": "lecam"}], train__g_lr=0.1)
    made.step()
    remembered = made.parts.modules()["penalties.lecam"].averages.clone()
    made.apply(["train.g_lr=0", "penalties.lecam.weight=0.5", "penalties.+r1.weight=2"])
    assert torch.equal(made.parts.modules()["penalties.lecam"].averages, remembered)
    before = weights(made.generator)
    made.stats.means()
    made.step()
    assert not moved(before, made.generator)
    assert "r1/d" in made.stats.means()
    with pytest.raises(UsageError, match="latents: cannot be changed while a net is in training"):
        made.apply({"latents.dim": 8})


def test_streams_follow_from_seed_stage_step_and_name_alone():
    def draw(seed=0, stage=0, step=0, name="a", disturbed=False):
        streams = Streams(seed, stage, CPU)
        streams.begin(step)
        if disturbed:
            streams.open("b")
            torch.rand(100)
        streams.open(name)
        return torch.rand(3).tolist(), torch.rand(2, generator=streams.latents("z")).tolist()

    assert draw() == draw(disturbed=True)
    others = [draw(seed=1), draw(stage=1), draw(step=1), draw(name="b")]
    assert all(other[0] != draw()[0] for other in others)
    streams = Streams(0, 0, CPU)
    twice = [torch.rand(2, generator=streams.latents("z")).tolist() for _ in range(2)]
    assert twice[0] != twice[1]  # a second move of a step is another draw


def test_a_technique_that_draws_more_shifts_nobody_elses_draws():
    """A noise of no strength draws nothing, one of next to none draws for every pixel."""
    plain, noisy = (
        trainer(
            discriminator__layers=[
                {"kind": "dropout", "rate": 0.5},
                {"kind": "conv", "width": 1, "kernel": 1},
            ],
            views=[{"kind": "instance_noise", "sigma": sigma}],
        )
        for sigma in (0.0, 1e-30)
    )
    for made in (plain, noisy):
        made.step()
    assert plain.stats.means() == noisy.stats.means()


def test_a_training_leaves_torchs_own_random_state_alone(tmp_path):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    train(tiny(tmp_path), tmp_path / "run")
    assert torch.equal(before, torch.get_rng_state())


def test_a_trainer_is_freed_when_it_is_dropped():
    gc.disable()
    try:
        made = trainer(penalties=[{"kind": "gradient_penalty"}, {"kind": "lecam"}])
        made.step()
        held = weakref.ref(made), weakref.ref(made.batches), weakref.ref(made.generator)
        del made
        assert [ref() for ref in held] == [None, None, None]
    finally:
        gc.enable()


class Again(Penalty):
    kind: Literal["again"] = "again"

    def __call__(self, scene):
        looks = [(seen.logits, scene.repeat(kind, seen.images.detach())) for kind, seen in scene.seen()]
        return sum((first.total() - second.total()).square() for first, second in looks)


def test_what_is_looked_at_again_is_seen_through_the_same_views_and_masks():
    made = trainer(
        discriminator__layers__0={"kind": "dropout", "rate": 0.5},
        views=[{"kind": "diffaugment"}, {"kind": "instance_noise"}],
        penalties=["again"],
    )
    for _ in range(2):
        made.step()
    row = made.stats.means()
    assert row["again/d"] == 0


class TwoHeads(nn.Module):
    """A score of the image's mean, and a frozen net's scores of its places at a fifth of the weight."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.features = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Dropout(0.5)).requires_grad_(False)

    def forward(self, images, labels=None):
        return Logits(images.mean((1, 2, 3)) * self.scale, None, ((0.2, self.features(images).flatten(1)),))


def test_a_discriminator_gives_several_scores_and_what_is_frozen_stays_frozen():
    made = trainer(objective="wasserstein", train__d_lr=0.1)
    net = TwoHeads()
    before = [weight.clone() for weight in net.features.parameters()]
    made.d = Learner("d", net, (), Machine(CPU, "float32", 1))
    made.nets["d"] = made._compiled_d = net
    real, _ = made.batches.take(0, 4)
    made.step()
    assert not net.features.training
    assert net.training
    assert all(torch.equal(old, new) for old, new in zip(before, net.features.parameters(), strict=True))
    assert [weight.requires_grad for weight in net.parameters()] == [True, False, False]
    fake = made.stats.means()
    logits = net.features(real).flatten(1)
    assert net.scale.item() != 1
    assert fake["score/real"] == pytest.approx(real.mean().item(), rel=1e-5)
    of_heads = Logits(torch.zeros(4), None, ((0.2, logits),)).total()
    torch.testing.assert_close(of_heads, 0.2 * logits.mean(1))


def test_two_averages_are_kept_saved_and_resumed(tmp_path):
    both = {"average": [{"kind": "ema", "half_life": 50.0, "ramp": 1.0}, {"kind": "ema", "half_life": 5.0}]}
    whole = train(tiny(tmp_path, patch=both), tmp_path / "whole")
    run = stopped_run(tiny(tmp_path, patch=both), tmp_path / "run", 7)
    resume(run)
    assert contents(run) == contents(whole)
    second = [path / "average-2.safetensors" for path in (run.path, whole.path)]
    assert second[0].read_bytes() == second[1].read_bytes() != whole.generator_file.read_bytes()


def test_several_may_watch_and_a_function_may_stop_the_run(tmp_path):
    rows, more = [], []
    with pytest.raises(Interrupted, match="stopped by a watcher after 40 images"):
        train(
            tiny(tmp_path), tmp_path / "run", [rows.append, lambda row: more.append(row) or row["step"] == 5]
        )
    assert rows == more
    assert Run(tmp_path / "run").state()["state"] == "stopped"
    assert contents(resume(tmp_path / "run")) == contents(train(tiny(tmp_path), tmp_path / "whole"))


# How a run ended.


class Ends(Watcher):
    def ended(self, state):
        self.state = state


def test_watchers_hear_the_end(tmp_path, monkeypatch):
    heard = Ends()
    train(tiny(tmp_path), tmp_path / "run", heard)
    assert heard.state == "finished"
    monkeypatch.setattr(training, "d_loss", lambda *given: d_loss(*given) * torch.nan)
    with pytest.raises(NumericsError):
        train(tiny(tmp_path), tmp_path / "failed", heard)
    assert heard.state == "failed"


def test_a_run_says_how_it_ended(tmp_path, monkeypatch):
    seen = []
    run = train(
        tiny(tmp_path), tmp_path / "run", lambda row: seen.append(Run(tmp_path / "run").state()["state"])
    )
    assert {*seen} == {"running"}
    assert run.state()["state"] == "finished"
    assert (run.state()["images"], run.state()["images_total"]) == (STEPS * BATCH, STEPS * BATCH)
    stopped = stopped_run(tiny(tmp_path), tmp_path / "stopped", 3)
    assert (stopped.state()["state"], stopped.state()["signal"]) == ("stopped", 15)
    monkeypatch.setattr(training, "d_loss", lambda *given: d_loss(*given) * torch.nan)
    with pytest.raises(NumericsError):
        train(tiny(tmp_path), tmp_path / "failed")
    failed = Run(tmp_path / "failed").state()
    assert failed["state"] == "failed"
    assert "is not finite" in failed["error"]


def test_a_run_that_says_it_runs_and_is_held_by_nobody_is_lost(tmp_path):
    run = train(tiny(tmp_path), tmp_path / "run")
    run.write_state("running", {"images": 3})
    assert run.state()["state"] == "lost"
    run.state_file.unlink()
    assert run.state()["state"] == "unknown"


# Branches.


def test_a_branch_without_edits_goes_on_in_the_bytes_of_its_source(tmp_path):
    source = train(tiny(tmp_path, "lecam"), tmp_path / "source")
    made = branch(f"{source.path}@64", run=tmp_path / "branch")
    assert made.generator_file.read_bytes() == source.generator_file.read_bytes()
    record = made.env()["branched"]
    assert (record["images"], record["not_taken"]) == (64, [])
    rows = [row for row in contents(source)["log"] if row["images"] > 64]
    assert contents(made)["log"] == rows


def test_a_branch_takes_what_fits_by_name_and_says_what_does_not(tmp_path):
    source = train(tiny(tmp_path), tmp_path / "source")
    wider = {"discriminator.layers.1.width": 6, "train.images": 2 * STEPS * BATCH}
    notes = []
    made = branch(str(source.path), wider, tmp_path / "branch", Notes(notes))
    left = made.env()["branched"]["not_taken"]
    assert any(line.startswith("d.layers") for line in left)
    assert not any(line.startswith(("g.", "average.")) for line in left)
    assert any("not taken: d." in note for note in notes)
    assert made.history().images[0] > STEPS * BATCH
    assert contents(resume(made))  # a branch is a run like any other


def test_a_branch_that_cannot_be_is_refused_before_anything_is_written(tmp_path):
    source = train(tiny(tmp_path), tmp_path / "source")
    with pytest.raises(UsageError, match="the branch ends at 96"):
        branch(str(source.path), run=tmp_path / "branch")
    with pytest.raises(CheckpointError, match="no checkpoint at 7 images; there are: 64, 96"):
        branch(f"{source.path}@7", run=tmp_path / "branch")
    assert not (tmp_path / "branch").exists()


class Notes(Stop):
    def __init__(self, notes):
        super().__init__(-1)
        self.told = notes

    def started(self, run, images, total, notes):
        self.told += notes
