"""Runs that exist, compared."""

from __future__ import annotations

import json

import pytest

from gander.errors import UsageError
from gander.run import Run
from gander.study.existing import compare_runs


@pytest.fixture
def run(tmp_path):
    """Write what a comparison reads of a run."""

    def write(name, seed, score=2.0, d_lr=1e-4, images=(100, 200), version=2, error=""):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "recipe.toml").write_text(f"title = '{name}'\nseed = {seed}\n[train]\nd_lr = {d_lr}\n")
        rows = [
            {"images": at, "fd-judge": score + 200 - at, "protocol": {"version": version}} for at in images
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        if error:
            (folder / "state.json").write_text(json.dumps({"state": "failed", "error": error}))
        return Run(folder)

    return write


def test_runs_that_differ_in_their_seed_alone_are_one_arm_named_by_its_edits(run, tmp_path):
    runs = [run(f"a{seed}", seed, 2 + seed / 10) for seed in range(4)]
    runs += [run(f"b{seed}", seed, 1 + seed / 20 + seed**2 / 1000, d_lr=2e-4) for seed in range(4)]
    compared = compare_runs(runs, "fd-judge", 0.03)
    assert [*compared.arms] == [str(tmp_path / "a0"), "train.d_lr=0.0002"]
    (one,) = compared.verdicts
    assert (one.arm, one.verdict, one.n, one.wins) == ("train.d_lr=0.0002", "better", 4, 4)
    assert one.effect == pytest.approx(-0.5, abs=0.01)


def test_scores_are_those_of_the_newest_moment_that_all_have(run):
    runs = [run(f"{arm}{seed}", seed, d_lr=rate) for arm, rate in (("a", 1), ("b", 2)) for seed in (0, 1)]
    stopped = run("stopped", 2, images=(100,))
    assert compare_runs(runs, "fd-judge", 0.03).images == 200
    assert compare_runs([*runs, stopped], "fd-judge", 0.03).images == 100
    with pytest.raises(UsageError, match="no moment at which all"):
        compare_runs([*runs, run("other", 3, images=(150,))], "fd-judge", 0.03)


def test_scores_of_different_protocols_are_refused(run):
    with pytest.raises(UsageError, match=r"scored in different ways, .*version 2 and 1"):
        compare_runs([run("a", 0), run("b", 0, d_lr=2, version=1)], "fd-judge", 0.03)


def test_a_run_that_diverged_is_a_failure_and_no_score(run):
    broken = run("c", 0, d_lr=3, images=(), error="NumericsError: loss/d is not finite")
    compared = compare_runs([run("a", 0), run("b", 1), broken], "fd-judge", 0.03)
    assert [(one.verdict, one.failed) for one in compared.verdicts] == [("no verdict", 1)]
    assert [*compared.arms["train.d_lr=3"].values()] == [None]


def test_one_arm_one_trial_twice_and_unknown_scores_are_refused(run):
    a, b = run("a", 0), run("b", 1)
    with pytest.raises(UsageError, match="2 runs of one recipe"):
        compare_runs([a, b], "fd-judge", 0.03)
    with pytest.raises(UsageError, match="of one recipe and one seed"):
        compare_runs([a, a, b], "fd-judge", 0.03)
    with pytest.raises(UsageError, match='did you mean "fd-judge"'):
        compare_runs([a, b], "fd-juge", 0.03)
