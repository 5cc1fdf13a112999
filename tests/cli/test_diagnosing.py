"""What `gander diagnose` prints, and how it ends."""

from __future__ import annotations

import json

from gander.history import read_rows
from gander.recipe.read import load_recipe
from gander.recipe.write import recipe_toml
from gander.run import Run, create_run
from tests.doctor.planted import Case, planted, wobble
from tests.tiny import stopped_run, tiny

HUGE = {"probe/distance": lambda t: 25 + wobble(t), "probe/update_g": lambda t: -0.4}


def written(path, case: Case, state: str = "finished", **more: str) -> Run:
    """Write a case down as a run."""
    env = {"images_total": case.total, "data": {}, "started": "2026-01-01T00:00:00+00:00"}
    run = create_run(path, "planted", recipe_toml(load_recipe("shapes-dcgan")), env)
    names = ["images", *case.history.names]
    rows = zip(*(case.history[name] for name in names), strict=True)
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
    run.log_file.write_text("".join(f"{line}\n" for line in lines))
    run.write_state(state, more)
    return run


def test_a_healthy_run_ends_with_0(tmp_path, gander):
    run = written(tmp_path / "run", planted())
    code, out, _ = gander("diagnose", str(run.path))
    assert code == 0
    assert "nothing is wrong" in out


def test_a_broken_one_ends_with_1_and_says_what_to_type(tmp_path, gander):
    run = written(tmp_path / "run", planted(HUGE))
    (run.checkpoints / "images-000000000100").mkdir()
    code, out, _ = gander("diagnose", str(run.path))
    assert code == 1
    assert f"gander train --from {run.path}@100 train.g_lr=5e-06" in out
    for part in ("updates-large", "% sure", "since", "healthy: below", "likely  g-rate-high", "wrong   if"):
        assert part in out


def test_json_has_every_field_of_a_finding(tmp_path, gander):
    run = written(tmp_path / "run", planted(HUGE))
    code, out, _ = gander("diagnose", str(run.path), "--json")
    finding = json.loads(out)["findings"][0]
    assert code == 1
    needed = {"code", "severity", "confidence", "since", "evidence", "causes", "remedy", "prediction"}
    assert needed <= finding.keys()


def test_a_run_that_failed_is_diagnosed_from_what_it_left(tmp_path, gander):
    run = written(tmp_path / "run", planted(rows=3), "failed", error="NumericsError: loss/g is not finite")
    run.log_file.write_bytes(run.log_file.read_bytes()[:-20])  # torn
    code, out, _ = gander("diagnose", str(run.path))
    assert code == 1
    assert "loss/g is not finite" in out


def test_an_empty_run_has_nothing_to_say(tmp_path, gander):
    run = written(tmp_path / "run", planted(rows=0), "stopped")
    assert read_rows(run.log_file) == []
    assert gander("diagnose", str(run.path))[0] == 0


def test_a_pretrained_generator_is_refused(gander):
    code, _, err = gander("diagnose", "shapes-pretrained")
    assert code == 2
    assert "a generator alone" in err


def test_experiments_are_made_where_they_are_asked_for(tmp_path, gander):
    run = stopped_run(tiny(tmp_path), tmp_path / "run", 9)
    plain = json.loads(gander("diagnose", run.path, "--json").out)
    asked = json.loads(gander("diagnose", run.path, "--examine", "--json").out)
    assert "experiments" not in plain
    assert {"sign-g", "sign-d"} <= {each["name"] for each in asked["experiments"]}
    assert "examined a plain step of G " in gander("diagnose", run.path, "--examine").out
