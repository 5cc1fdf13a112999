"""A study through crashes, kills, signals and extensions, on a launcher that trains nothing."""

from __future__ import annotations

import json

import pytest

from gander.errors import GanderError, Interrupted, RecipeError, RunInUseError, UsageError
from gander.files import locked
from gander.study.conduct import Listener, conduct
from gander.study.ledger import Ledger
from gander.study.results import read_results
from tests.launched import PROTOCOL, Fake, Killed
from tests.tiny import tiny_file


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Write a study of three arms, and run what it lacks."""
    monkeypatch.setattr("gander.study.scheduler._POLL", 0)
    monkeypatch.setattr("gander.study.costs._POLL", 0)
    recipe = tiny_file(tmp_path)

    def run(launcher=None, seeds=3, more="", to="out", arms=("plain", "one", "two"), listener=None):
        edits = {
            "plain": "[]",
            "one": '["train.d_lr=1e-3"]',
            "two": '["train.g_lr=1e-3"]',
            "three": '["train.beta1=0.1"]',
        }
        text = f'recipe = "{recipe}"\nseeds = {seeds}\nimages = 640\n{more}\n[arms]\n'
        file = tmp_path / "study.toml"
        file.write_text(text + "\n".join(f"{arm} = {edits.get(arm, arm)}" for arm in arms))
        launcher = launcher or Fake()
        given = listener or Listener()
        return conduct(file, tmp_path / to, launcher, 2, given, "gander study ..."), launcher

    return run


def table(results):
    return [{name: row[name] for name in row if name != "hours_to_settle"} for row in results.verdicts]


def states(folder):
    return {row["trial"]: row["state"] for row in Ledger(folder).of("trial")}


def test_all_arms_of_a_seed_come_before_the_next_seed_and_the_baseline_first(study):
    _, launcher = study()
    assert [name[-1] for name in launcher.started] == list("000111222")
    assert launcher.started[::3] == ["plain/0", "plain/1", "plain/2"]
    assert {*launcher.started} == {f"{arm}/{seed}" for arm in ("plain", "one", "two") for seed in range(3)}


def test_no_arm_always_comes_first_after_the_baseline(study):
    _, launcher = study(seeds=8)
    assert {name.partition("/")[0] for name in launcher.started[1::3]} == {"one", "two"}


def test_trials_differ_in_their_arm_and_seed_alone_and_engine_and_scores_are_pinned(study, tmp_path):
    import tomllib

    study(more="scores = 4")
    read = lambda name: tomllib.loads((tmp_path / "out/runs" / name / "recipe.toml").read_text())  # noqa: E731
    plain, arm, seed = read("plain/0"), read("one/0"), read("plain/2")
    assert arm.pop("train") == plain.pop("train") | {"d_lr": 1e-3}
    assert (arm, seed.pop("seed")) == (plain, 2)
    assert plain["evaluate"] == {"every": 160, "n": 2000, "share": 1.0}
    assert "auto" not in plain["engine"].values()
    assert plain["engine"]["threads"] == 1


def test_a_planted_difference_is_found_and_files_say_so(study, tmp_path):
    results, _ = study(Fake(effects={"one": -1.0}), seeds=5)
    found = {row["arm"]: row["verdict"] for row in json.loads((tmp_path / "out/verdicts.json").read_text())}
    assert found["one"] == "better"
    assert found["two"] != "better"
    assert (tmp_path / "out/study.toml").read_text() == (tmp_path / "study.toml").read_text()
    assert results.verdicts[0]["n"] == 5


def test_a_study_killed_anywhere_and_extended_before_its_end_has_the_table_of_one_that_was_not(
    study, tmp_path
):
    whole, _ = study(seeds=4, to="whole")
    script = {
        "one/0": ["killed"],
        "two/1": ["finished, then killed", "never"],
        "plain/2": ["killed", "killed"],
    }
    for seeds in (3, 3, 3, 4):
        with pytest.raises(Killed):
            study(launcher := Fake(script), seeds=seeds)
        script = launcher.script
    with (tmp_path / "out/ledger.jsonl").open("a") as file:
        file.write('{"at": "2026')
    results, launcher = study(Fake(script), seeds=4)
    assert table(results) == table(whole)
    assert "two/1" not in launcher.started
    assert {*states(tmp_path / "out").values()} == {"done"}


def test_a_study_killed_while_its_costs_are_measured_begins_again(study, monkeypatch, tmp_path):
    with monkeypatch.context() as patched:
        patched.setattr(Fake, "finish", lambda *_, **__: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            study()
    assert (tmp_path / "out").is_dir()
    assert len(study()[1].started) == 9


def test_more_seeds_and_arms_later_run_what_is_new_alone(study):
    study(seeds=2, arms=("plain", "one"))
    results, launcher = study(seeds=3, arms=("plain", "one", "three"))
    assert sorted(launcher.started) == ["one/2", "plain/2", "three/0", "three/1", "three/2"]
    assert any("seeds=" in line for line in results.deviations)


def test_a_finished_study_runs_nothing_again(study):
    first, _ = study()
    again, launcher = study()
    assert launcher.started == []
    assert again.verdicts == first.verdicts
    assert again.deviations == []


def test_an_arm_that_changed_is_refused(study):
    study()
    with pytest.raises(UsageError, match="plain/0, plain/1, plain/2: ran with another recipe"):
        study(more='patch = ["train.beta1=0.3"]', arms=("plain",))


def test_a_lost_worker_is_tried_again_twice(study, tmp_path):
    results, launcher = study(Fake({"one/0": ["dies"] * 2, "two/1": ["dies"] * 3}))
    assert launcher.started.count("one/0") == 3
    assert launcher.started.count("two/1") == 3
    assert states(tmp_path / "out")["one/0"] == "done"
    assert results.missing["two"] == {1: "lost"}
    assert results.verdicts[1]["missing"] == 1
    again, launcher = study()
    assert launcher.started == ["two/1"]
    assert not again.missing["two"]


def test_a_diverged_run_is_an_outcome_and_not_tried_again(study, tmp_path):
    _, launcher = study(Fake({"one/1": ["diverged: loss/d is not finite"]}))
    assert launcher.started.count("one/1") == 1
    row = json.loads((tmp_path / "out/verdicts.json").read_text())[0]
    assert (row["arm"], row["failed"], row["n"]) == ("one", 1, 2)
    assert study()[1].started == []


def test_a_run_whose_score_is_none_has_collapsed(study, tmp_path):
    results, _ = study(Fake(effects={"one": -2.0}))
    assert states(tmp_path / "out")["one/0"] == "collapsed"
    assert results.failed["one"] == [0]


def test_the_doctors_alarms_at_the_end_are_counted_and_a_sure_collapse_is_a_failure(study):
    def row(code, confidence, gone=False, severity="warning"):
        return {
            "code": code,
            "confidence": confidence,
            "gone": gone,
            "severity": severity,
            "says": "one image",
        }

    launcher = Fake()
    launcher.findings = {
        "one": [
            row("mode-collapse", 0.95),
            row("d-wins", 0.7),
            row("noise", 0.9),
            row("noise", 0.9, gone=True),
        ],
        "two": [row("mode-collapse", 0.6), row("unprobed", 1.0, severity="note")],
    }
    results, _ = study(launcher)
    assert (results.failed["one"], results.failed["two"]) == ([0, 1, 2], [])
    assert results.findings["one"] == {"mode-collapse": 3, "d-wins": 3}
    assert results.findings["two"] == {"mode-collapse": 3}
    assert results.verdicts[0]["verdict"] == "no verdict"


def test_a_crash_keeps_its_traceback_and_the_others_go_on(study, tmp_path):
    results, launcher = study(Fake({"one/0": ["crashed: KeyError: 'x' (a.py, line 3)"]}))
    assert len(launcher.started) == 9
    row = Ledger(tmp_path / "out").trial("one/0")
    assert row["traceback"].startswith("Traceback")
    assert results.missing["one"] == {0: "crashed"}


def test_the_same_crash_in_two_arms_stops_the_study(study):
    crash = "crashed: KeyError: 'x' (a.py, line 3) after {} s"
    launcher = Fake({f"{arm}/0": [crash.format(n)] for n, arm in enumerate(("plain", "one", "two"))})
    with pytest.raises(GanderError, match=r"two arms crash alike.*KeyError"):
        study(launcher)
    assert launcher.stopped
    assert len(launcher.started) <= 3
    assert len(study()[1].started) == 9


def test_the_first_signal_saves_stops_and_says_how_to_go_on(study, tmp_path):
    with pytest.raises(Interrupted, match="8 of 9 trials are left\n  Try: gander study"):
        study(launcher := Fake({"one/0": ["Ctrl-C"], "two/0": ["Ctrl-C"]}))
    assert launcher.stopped
    assert not (tmp_path / "out/verdicts.json").exists()
    results, _ = study()
    assert {row["n"] for row in results.verdicts} == {3}


def test_two_studies_do_not_share_a_folder(study, tmp_path):
    study()
    with locked(tmp_path / "out", "testing"), pytest.raises(RunInUseError):
        study()


def test_a_folder_that_holds_something_else_is_refused(study, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/letter.txt").touch()
    with pytest.raises(UsageError, match="holds no study"):
        study()


def test_an_arm_that_cannot_be_is_named_before_any_work(study, tmp_path):
    with pytest.raises(RecipeError, match=r'arm "bad": .*did you mean "d_lr"') as error:
        study(arms=("plain", 'bad = ["train.d_lrr=1"] #'))
    assert not (tmp_path / "out").exists(), error


def test_planned_looks_are_read_when_they_are_reached_at_their_own_level(study):
    read = []
    study(seeds=4, more="looks = [2, 4]", listener=Listener(read=read.append))
    assert [max(one.scores["plain"]) + 1 for one in read] == [2, 4]
    assert not any(read[0].missing.values())
    assert read[0].level == read[1].level < 0.04
    assert read[1].deviations == []


def test_a_look_that_was_not_planned_costs_and_is_said(study):
    assert study(seeds=3)[0].level == 0.05
    results, _ = study(seeds=4)
    assert results.level < 0.04
    assert any("verdicts were read at 3, 4 seeds" in line for line in results.deviations)


def test_who_may_stop_when_he_likes_pays_with_wider_intervals(study):
    fixed, _ = study(seeds=4, to="fixed")
    free, _ = study(seeds=4, more='looks = "any"', to="free")
    width = lambda results: results.verdicts[0]["high"] - results.verdicts[0]["low"]  # noqa: E731
    assert width(free) > 1.5 * width(fixed)
    assert free.level == 0.05


def test_a_length_in_seconds_gives_each_arm_as_many_images_as_it_manages(study, tmp_path, monkeypatch):
    import tomllib

    file = tmp_path / "study.toml"
    study()
    file.write_text(file.read_text().replace("images = 640", "seconds = 7"))
    conduct(file, tmp_path / "timed", Fake(), 2)
    recipe = tomllib.loads((tmp_path / "timed/runs/one/1/recipe.toml").read_text())
    assert recipe["train"]["images"] == 700


def test_the_forecast_is_by_what_was_measured(study):
    asked = []
    study(seeds=3, listener=Listener(planned=lambda _, forecast: asked.append(forecast)))
    # a probe of 60 s, of 256 images at 100 a second; trials of 640 and four more scores, nine on two workers
    each = 60 - 2.56 + 6.4 + 4 * 1
    assert asked[0].seconds == pytest.approx(5 * each)
    assert (asked[0].left, asked[0].measured, asked[0].noise) == (9, False, 0.05)
    study(seeds=4, listener=Listener(planned=lambda _, forecast: asked.append(forecast)))
    assert asked[1].seconds == pytest.approx(2 * 60)
    assert asked[1].measured
    assert 0 < asked[1].noise < 0.05


def test_scores_of_another_judge_are_not_compared(study, monkeypatch, tmp_path):
    study(seeds=2)
    monkeypatch.setitem(PROTOCOL, "version", 3)
    with pytest.raises(UsageError, match=r"scored in different ways.*version"):
        study(seeds=3)


def test_results_are_read_without_a_launcher(study, tmp_path):
    results, _ = study()
    assert table(read_results(tmp_path / "out")) == table(results)
