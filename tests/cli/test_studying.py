from __future__ import annotations

import json

import pytest

from gander.study.ledger import Ledger
from tests.judged import dark_and_light, train_judge
from tests.launched import Fake
from tests.tiny import tiny_file


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A study file, whose trials a launcher ends that trains nothing."""
    monkeypatch.setattr("gander.study.scheduler._POLL", 0)
    monkeypatch.setattr("gander.study.costs._POLL", 0)
    monkeypatch.setattr("gander.launch.local.Local", Fake(effects={"fast": -1.0}))
    path = tmp_path / "mine.toml"
    arms = '[arms]\nplain = []\nfast = ["train.d_lr=1e-3"]\nalso = ["train.g_lr=1e-3"]\n'
    path.write_text(f'title = "Rates"\nrecipe = "{tiny_file(tmp_path)}"\nseeds = 4\nimages = 640\n{arms}')
    return path


def test_a_study_says_what_it_takes_and_can_show_before_it_runs_and_then_its_verdicts(gander, file, tmp_path):
    code, out, err = gander("study", file, "--to", tmp_path / "out", "--workers", 2)
    assert (code, err) == (0, "")
    plan, _, rest = out.partition("plain/0")
    assert "Rates: 3 arms, 4 seeds, 12 trials of 640 images" in plan
    assert "for the 12 that are left, 2 at once, each with 1 thread" in plan
    assert "cannot be told, if a trial's fd-judge varies by 5.0%, which is assumed" in plan
    assert "seeds would do for 3%" in plan
    (fast,) = [line for line in rest.splitlines() if line.startswith(" fast ")]
    assert fast.split()[1] == "better"
    assert (tmp_path / "out/report.html").is_file()
    assert f"next    more seeds or arms in {file}, then: gander study {file} --to" in out


def test_the_answer_for_programs_holds_forecast_and_verdicts(gander, file, tmp_path):
    code, out, _ = gander("study", file, "--to", tmp_path / "out", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["verdicts"] == json.loads((tmp_path / "out/verdicts.json").read_text())
    assert {"arm", "verdict", "effect", "low", "high", "n", "failed", "seeds_to_settle"} <= {
        *answer["verdicts"][0]
    }
    assert answer["forecast"]["left"] == 12


def test_a_report_of_a_study_is_its_page(gander, file, tmp_path):
    gander("study", file, "--to", tmp_path / "out")
    (tmp_path / "out/report.html").unlink()
    code, _, _ = gander("report", tmp_path / "out")
    assert code == 0
    assert "Rates" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--on", "lokal"), 'did you mean "local"'),
        (("--to", "."), "holds no study"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(gander, file, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    code, out, err = gander("study", file, "--to", "out", *words)
    assert (code, out) == (2, "")
    assert says in err
    assert not (tmp_path / "ledger.jsonl").exists()


def test_runs_are_compared(gander, file, tmp_path):
    gander("study", file, "--to", tmp_path / "out")
    runs = [tmp_path / "out/runs" / arm / str(seed) for arm in ("plain", "fast") for seed in range(4)]
    for run in runs:
        row = json.loads((run / "metrics.jsonl").read_text())
        (run / "metrics.jsonl").write_text(json.dumps(row | {"images": 640}) + "\n")
    code, out, _ = gander("compare", *runs)
    assert code == 0
    assert "better" in out
    assert "after 640 images" in out


@pytest.mark.slow
def test_a_study_trains_on_this_machine_as_a_person_would_one_run_after_another(gander, tmp_path):
    from gander.run import Run

    data = dark_and_light(tmp_path)
    train_judge(data)
    recipe = tiny_file(tmp_path, patch={"data": {"path": str(data)}, "evaluate": {"every": 96, "n": 100}})
    file = tmp_path / "mine.toml"
    file.write_text(
        f'recipe = "{recipe}"\nseeds = 2\nimages = 400\nscores = 2\n[arms]\na = []\nb = ["train.d_lr=1e-4"]'
    )
    code, out, err = gander("study", file, "--to", tmp_path / "out", "--workers", 2)
    assert code == 0, out + err
    assert {row["state"] for row in Ledger(tmp_path / "out").of("trial")} == {"running", "done"}
    same = [Run(tmp_path / "out/runs" / arm / "1") for arm in "ab"]
    assert same[0].reals_file.read_bytes() == same[1].reals_file.read_bytes()
    assert [run.scores().images for run in same] == [[200, 400]] * 2
    assert gander("train", same[0].recipe_file, "--run", tmp_path / "by-hand")[0] == 0
    by_hand = Run(tmp_path / "by-hand").generator_file.read_bytes()
    assert by_hand == same[0].generator_file.read_bytes()
