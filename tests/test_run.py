"""The run directory: taken once, whole from the start, one writer at a time, found by name."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import time
from contextlib import suppress

import pytest

from gander.errors import GanderError, RunInUseError, StorageError, UsageError, exit_code
from gander.files import append_row, cut_rows, write_whole
from gander.run import Run, create_run, find_run, in_use, list_runs, writing
from tests.tiny import finish, start


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("GANDER_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def made(path=None, name="tiny"):
    return create_run(path, name, 'title = "tiny"\n', {"threads": 1})


def tree(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_a_run_without_a_place_takes_the_next_free_number(root):
    assert [made(name=name).path for name in ("tiny", "tiny", "folder/other.toml")] == [
        root / "tiny-1",
        root / "tiny-2",
        root / "other-1",
    ]
    run = Run(root / "tiny-1")
    assert run.recipe_file.read_text() == 'title = "tiny"\n'
    assert run.env()["threads"] == 1
    assert run.history().images == []
    assert {path.name for path in run.path.iterdir()} == {"recipe.toml", "env.json", "samples", "checkpoints"}


@pytest.mark.parametrize("name", ["..", ".hidden", "../../x y", "-", ""])
def test_no_name_leads_out_of_the_runs_folder_or_hides(root, name):
    path = made(name=name).path
    assert path.parent == root
    assert path.name[0] not in ".-"


def test_a_used_directory_is_refused_and_untouched(tmp_path):
    used = tmp_path / "used"
    used.mkdir()
    (used / "thesis.txt").write_text("years of work")
    file = tmp_path / "file"
    file.write_text("also")
    run = made(tmp_path / "run")
    before = tree(tmp_path)
    for path in (used, file, run.path):
        with pytest.raises(UsageError, match="is already there, and nothing is overwritten"):
            made(path)
    assert tree(tmp_path) == before


def test_an_empty_directory_may_be_filled(tmp_path):
    (tmp_path / "empty").mkdir()
    assert made(tmp_path / "empty").recipe_file.exists()


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match=r"file/run: cannot be written: Not a directory"):
        made(tmp_path / "file" / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place_is_a_storage_error(tmp_path):
    (tmp_path / "shelf").mkdir(mode=0o500)
    with pytest.raises(StorageError, match="Permission denied"):
        made(tmp_path / "shelf" / "run")


@pytest.mark.parametrize("step", ["mkdir", "fsync", "rename"])
def test_where_the_disk_refuses_nothing_is_left(tmp_path, monkeypatch, step):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(StorageError, match=r"No space left on device; [\d,]+ MiB are free"):
        made(tmp_path / "run")
    monkeypatch.undo()
    assert [*tmp_path.iterdir()] == []


def make_and_die(path):
    os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    made(path)


def test_a_run_is_not_there_until_it_is_whole(root):
    assert finish(start(make_and_die, root / "run", GANDER_RUNS=str(root))) == -signal.SIGKILL
    assert not (root / "run").exists()
    assert list_runs() == []
    with pytest.raises(UsageError, match="there is no run"):
        find_run("@last")
    assert find_run(str(made(root / "run").path)).recipe_file.exists()


def make_many(count):
    for _ in range(count):
        made()


def test_processes_that_start_at_once_get_runs_of_their_own(root):
    processes = [start(make_many, 10, GANDER_RUNS=str(root)) for _ in range(3)]
    assert [finish(process) for process in processes] == [0, 0, 0]
    assert {run.name for run in list_runs()} == {f"tiny-{number}" for number in range(1, 31)}


def test_a_run_is_found_by_path_by_name_and_as_the_newest(root, tmp_path):
    old, new, elsewhere = made(name="old"), made(name="new"), made(tmp_path / "elsewhere")
    os.utime(old.recipe_file, (1, 1))
    assert [find_run(name) for name in (str(old.path), "old-1", "@last", str(elsewhere.path))] == [
        old,
        old,
        new,
        elsewhere,
    ]
    assert list_runs() == [new, old]


def test_an_unknown_run_is_told_with_the_nearest_name(root):
    made(name="cifar10-dcgan")
    made(name="mnist")
    with pytest.raises(
        UsageError, match=r'no run is called "cifar-dcgan-1".*did you mean "cifar10-dcgan-1"\?'
    ):
        find_run("cifar-dcgan-1")


def test_a_second_writer_is_refused_and_told_who_the_first_is():
    run = made()
    assert not in_use(run)
    with writing(run):
        assert in_use(run)
        with pytest.raises(RunInUseError, match=f"process {os.getpid()} is training it now"), writing(run):
            pass
    assert not in_use(run)


def hold(path, told):
    with writing(Run(path)):
        told.touch()
        time.sleep(60)


def test_a_run_is_free_again_after_its_writer_was_killed(tmp_path):
    run = made()
    holder = start(hold, run.path, tmp_path / "held")
    while not (tmp_path / "held").exists():
        time.sleep(0.001)
    with pytest.raises(RunInUseError, match=f"process {holder.pid} ") as caught, writing(run):
        pass
    assert exit_code(caught.value) == 6
    holder.kill()
    finish(holder)
    with writing(run):
        pass


def race(path, lost):
    try:
        with writing(Run(path)):
            while lost.stat().st_size < 5:
                time.sleep(0.001)
    except GanderError as error:
        with lost.open("a") as file:
            file.write("x")
        os._exit(exit_code(error))


def test_of_many_that_start_at_once_one_writes(tmp_path):
    run, lost = made(), tmp_path / "lost"
    lost.touch()
    processes = [start(race, run.path, lost) for _ in range(6)]
    assert sorted(finish(process) for process in processes) == [0, 6, 6, 6, 6, 6]


def test_what_a_killed_writer_left_half_written_is_cleared_away_and_nothing_else():
    run = made()
    drafts = [run.path / ".log.jsonl-17.draft", run.path / "samples" / ".images-000000000008.png-17.draft"]
    others = [run.path / "notes.draft", run.path / "samples" / ".mine"]
    for path in drafts + others:
        path.write_text("half")
    with writing(run):
        pass
    assert [path.exists() for path in drafts + others] == [False, False, True, True]


def test_a_log_is_cut_to_the_rows_that_count(tmp_path):
    log = tmp_path / "log.jsonl"
    cut_rows(log, 3)
    assert not log.exists()
    for images in range(5):
        append_row(log, {"images": images})
    with log.open("a") as file:
        file.write('{"torn": ')
    cut_rows(log, 3)
    assert [json.loads(line) for line in log.read_text().splitlines()] == [{"images": n} for n in range(3)]


def test_a_row_that_is_not_finite_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_row(tmp_path / "log.jsonl", {"loss": float("nan")})
    assert not (tmp_path / "log.jsonl").exists()


def append_within(path, bytes_a_file):
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, resource.RLIM_INFINITY))
    try:
        append_row(path, {"images": 2, "long": "x" * 100})
    except OSError as error:
        os._exit(error.errno)


def test_a_row_for_which_there_is_half_the_room_is_an_error(tmp_path):
    log = tmp_path / "log.jsonl"
    append_row(log, {"images": 1})
    assert finish(start(append_within, log, 50)) == errno.EFBIG


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch, step):
    path = tmp_path / "generator"
    write_whole(path, b"old")

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="Input/output"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("content", [None, b"", b'{"threads": ', b"\xff"])
def test_a_damaged_env_file_is_one_line(content):
    run = made()
    run.env_file.unlink()
    if content is not None:
        run.env_file.write_bytes(content)
    with pytest.raises(StorageError, match=r"env\.json: cannot be read"):
        run.env()


@pytest.mark.parametrize("name", [".lock", "checkpoints", "samples", "log.jsonl", "samples/images-1.png"])
def test_nothing_is_read_or_written_through_a_link_in_a_run(name, tmp_path):
    run, goal = made(tmp_path / "run"), tmp_path / "goal"
    (tmp_path / "elsewhere").mkdir()
    goal.write_text("kept")
    with suppress(OSError):
        (run.path / name).rmdir()
    (run.path / name).symlink_to(tmp_path / "elsewhere" if "." not in name else goal)
    for use in (lambda: find_run(str(run.path)), lambda: writing(run).__enter__()):
        with pytest.raises(StorageError, match="is a link, a pipe or a device"):
            use()
    assert not in_use(run)
    assert goal.read_text() == "kept"


def test_a_lock_that_is_a_pipe_is_not_waited_for(tmp_path):
    run = made(tmp_path / "run")
    os.mkfifo(run.path / ".lock")
    assert not in_use(run)


def test_what_others_have_put_into_a_run_stays(tmp_path):
    run = made(tmp_path / "run")
    others = [".notes.draft", ".notes-1.draft", "samples/.images-old.draft"]
    own = [".state.json-1.draft", "samples/.images-000000000012.png-7.draft", ".best.safetensors-3.draft"]
    for name in (*others, *own):
        (run.path / name).write_text("")
    with writing(run):
        assert all((run.path / name).exists() for name in others)
        assert not any((run.path / name).exists() for name in own)
