"""Every way a command can end has its exit code, and says in a line what to do about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from gander import __version__, errors
from gander.run import Run, writing
from gander.training import trainer
from gander.training.loss import d_loss
from tests.tiny import stopped_run, tiny, tiny_file


def test_help_is_an_answer_and_no_words_are_a_question(gander):
    assert gander("--help").code == 0
    asked = gander()
    assert asked.code == 2
    for verb in ("train", "resume", "sample", "runs", "recipes", "data", "explain"):
        assert f" {verb} " in asked.out + asked.err
        told = gander(verb, "-h")
        assert (told.code, told.err) == (0, "")
        assert f"gander {verb}" in told.out


def test_the_version_is_said(gander):
    assert gander("--version").out == f"gander {__version__}\n"


def test_the_cache_says_how_large_it_is_and_is_cleared_in_parts(gander, tmp_path, monkeypatch):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path / "cache"))
    for part in ("images", "judges", "foreign"):
        (tmp_path / "cache" / part).mkdir(parents=True)
        (tmp_path / "cache" / part / "file").write_bytes(b"12345")
    told = json.loads(gander("cache", "--clear", "images", "--json").out)
    assert told["bytes"] == {"images": 0, "downloads": 0, "features": 0, "judges": 5}
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"judges", "foreign"}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["tarin"], 2, "tarin"),
        (["runs", "--jsno"], 2, "--jsno"),
        (["sample"], 2, "RUN"),
        (["sample", "tiny-1", "-n", "many"], 2, "-n"),
        (["train", "cifar10-dcgn"], 2, 'did you mean "cifar10-dcgan"?'),
        (["train", "quickstart", "train.bacth=3"], 2, "train.batch"),
        (["train", "quickstart", "batch"], 2, "write path=value"),
        (["train", "absent.toml"], 2, "No such file"),
        (["train", "quickstart", "data=cifar11"], 3, 'did you mean "cifar10"?'),
        (["train", "quickstart", "data.path=/absent"], 3, "/absent"),
        (["data", "shape"], 3, 'did you mean "shapes"?'),
        (["resume", "tiny-1"], 2, 'no run is called "tiny-1"'),
        (["sample", "@last"], 2, "there is no run"),
        (["recipes", "quickstrat"], 2, 'did you mean "quickstart"?'),
        (["explain", "emma"], 2, 'did you mean "ema"?'),
        (["train", "--epochs", "5"], 2, "gander train RECIPE train.epochs=..."),
        (["cache", "--clear", "imagse"], 2, 'did you mean "images"?'),
        (["generate", "cifar10-pretrained", "-n", "9", "--to", "x.hdf5"], 2, "no format is called hdf5"),
        (["generate", "cifar10-pretrained", "-n", "1000000000000", "--to", "x"], 5, "MB are free"),
    ],
)
def test_a_mistake_is_told_with_its_exit_code_and_nothing_is_written(words, code, told, gander, runs):
    answer = gander(*words)
    assert answer.code == code
    assert told in answer.err
    assert answer.out == ""
    assert "Traceback" not in answer.err
    assert not runs.exists()


def test_each_kind_of_failure_ends_with_its_own_code(gander, monkeypatch):
    kinds = [*errors.GanderError.__subclasses__(), *errors.UsageError.__subclasses__()]
    codes = {}
    for kind in kinds:
        error = kind(15, "line") if kind is errors.Interrupted else kind("line", hint="this")

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr("gander.cli.showing.list_runs", fail)
        answer = gander("runs")
        codes[kind.__name__] = answer.code
        assert answer.err.startswith("gander: line\n")
        assert ("  Try: this\n" in answer.err) == (kind is not errors.Interrupted)
    assert codes == {
        "UsageError": 2,
        "RecipeError": 2,
        "DataError": 3,
        "NumericsError": 4,
        "StorageError": 5,
        "RunInUseError": 6,
        "CheckpointError": 7,
        "Interrupted": 143,
    }


def test_a_bug_of_ours_is_exit_70_and_the_only_one_with_a_traceback(gander, monkeypatch):
    def bug(*_):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("gander.cli.showing.list_runs", bug)
    answer = gander("runs")
    assert answer.code == 70
    assert "ZeroDivisionError: oops" in answer.err
    assert answer.err.splitlines()[-1].startswith("gander: this is a bug in gander")


def test_ctrl_c_outside_a_training_is_exit_130(gander, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gander.cli.showing.list_runs", interrupted)
    assert gander("runs") == (130, "", "gander: stopped\n")


def test_a_run_in_use_is_exit_6_and_names_the_holder(gander, tmp_path):
    run = stopped_run(tiny(tmp_path), tmp_path / "run", 2)
    with writing(run):
        answer = gander("resume", run.path)
    assert answer.code == 6
    assert f"process {os.getpid()} is training it now" in answer.err


def test_a_run_without_a_whole_checkpoint_is_exit_7_and_names_them(gander, tmp_path):
    run = stopped_run(tiny(tmp_path), tmp_path / "run", 6)
    folders = [*run.checkpoints.iterdir()]
    for folder in folders:
        (folder / "progress.json").write_bytes(b"{}")
    answer = gander("resume", run.path)
    assert answer.code == 7
    assert len(folders) == 2
    assert all(f"{folder}: is damaged (progress.json" in answer.err for folder in folders)


def test_a_damaged_newest_checkpoint_is_told_and_the_one_before_it_used(gander, tmp_path):
    run = stopped_run(tiny(tmp_path), tmp_path / "run", 6)
    newest = max(run.checkpoints.iterdir())
    (newest / "state.safetensors").write_bytes(b"")
    answer = gander("resume", run.path)
    assert answer.code == 0
    assert f"{newest}: is damaged (state.safetensors has 0 bytes of" in answer.out
    assert "going on after 32" in answer.out


def test_numbers_that_are_not_finite_are_exit_4(gander, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "d_loss", lambda *given: d_loss(*given) * torch.nan)
    answer = gander("train", tiny_file(tmp_path), "--run", tmp_path / "run")
    assert answer.code == 4
    assert "step 1, after 0 images: loss/d is not finite" in answer.err


def test_a_place_that_cannot_be_written_is_exit_5(gander, tmp_path):
    (tmp_path / "file").touch()
    answer = gander("train", tiny_file(tmp_path), "--run", tmp_path / "file" / "run")
    assert answer.code == 5
    assert "file/run: cannot be written: Not a directory" in answer.err


@pytest.mark.slow
def test_a_real_process_answers_like_this_one(gander, tmp_path):
    recipe = tiny_file(tmp_path)
    for words, code in (
        (["train", recipe, "--run", str(tmp_path / "real")], 0),
        (["train", recipe, "--run", str(tmp_path / "real")], 2),
        (["runs", "--json"], 0),
    ):
        real = subprocess.run([sys.executable, "-m", "gander", *words], capture_output=True, text=True)
        assert real.returncode == code, real.stderr
        if code:
            assert real.stderr == gander(*words).err


@pytest.mark.slow
def test_output_cut_short_by_its_reader_harms_nothing(tmp_path):
    words = ["train", tiny_file(tmp_path, patch={"train.images": 400}), "--run", str(tmp_path / "run")]
    process = subprocess.Popen([sys.executable, "-m", "gander", *words], stdout=-1, stderr=-1, text=True)
    assert process.stdout.readline().startswith("engine  cpu")
    assert f"run {tmp_path / 'run'}: 400 images\n" in iter(process.stdout.readline, "")
    process.stdout.close()
    assert process.wait(60) == 0
    assert "Error" not in process.stderr.read()
    process.stderr.close()
    run = Run(tmp_path / "run")
    assert run.history().images[-1] == 400
    assert run.curves_file.exists()
