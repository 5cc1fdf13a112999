"""Checkpoints are whole or not there, whatever happens to the process, the disk or the files."""

from __future__ import annotations

import builtins
import errno
import hashlib
import io
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import time
import tomllib

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from gander.errors import CheckpointError, GanderError, NumericsError, exit_code
from gander.run import Run, create_run
from gander.training.checkpoint import newest_checkpoint, save_checkpoint
from gander.training.loop import train
from tests.tiny import finish, start, tiny

FILES = ("state.safetensors", "progress.json", "manifest.json")


def save(run, images):
    tensors = {"weights": torch.full((40, 50), float(images)), "count": torch.tensor(images)}
    return save_checkpoint(run, images, tensors, {"images": images}, keep=2)


@pytest.fixture
def run(tmp_path):
    """A run with two checkpoints, of one and of two images."""
    run = create_run(tmp_path / "run", "tiny", "", {})
    save(run, 1)
    save(run, 2)
    return run


def good(run):
    """The images of every checkpoint whose files have the sha256 of their manifest, newest first."""
    found = []
    for folder in run.checkpoints.glob("images-*"):
        try:
            manifest = json.loads((folder / "manifest.json").read_text())
            names = [*manifest]
            hashes = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]
            if sorted(names) == sorted(FILES[:2]) and hashes == [manifest[name]["sha256"] for name in names]:
                found.append(int(folder.name.removeprefix("images-")))
        except (OSError, ValueError):
            pass
    return sorted(found, reverse=True)


def newest_images(run):
    checkpoint, _ = newest_checkpoint(run)
    images = checkpoint.progress["images"]
    assert torch.equal(checkpoint.tensors["weights"], torch.full((40, 50), float(images)))
    return images


def test_what_was_saved_is_read_back(tmp_path):
    run = create_run(tmp_path / "run", "tiny", "", {})
    tensors = {
        "a": torch.randn(2, 3),
        "bytes": torch.arange(9, dtype=torch.uint8),
        "scalar": torch.tensor(0.1, dtype=torch.float64),
        "none": torch.zeros(0, 4),
    }
    save_checkpoint(run, 7, tensors, {"steps": 3}, keep=2)
    read, skipped = newest_checkpoint(run)
    assert skipped == []
    assert read.progress == {"format": 2, "steps": 3}
    assert {name: (t.dtype, t.tolist()) for name, t in read.tensors.items()} == {
        name: (t.dtype, t.tolist()) for name, t in tensors.items()
    }


def test_a_run_that_never_saved_has_none(tmp_path):
    assert newest_checkpoint(create_run(tmp_path / "run", "tiny", "", {})) == (None, [])


def damages(run, name):
    """What is tried to spoil a file: shorter, longer, a bit turned, a stretch of zeros, another's."""
    newest, older = (sorted(run.checkpoints.glob("images-*"), reverse=True)[at] / name for at in (0, 1))
    whole = newest.read_bytes()
    size = len(whole)
    for length in {0, 1, 8, size // 3, size // 2, size - 2}:
        yield f"cut to {length}", whole[:length]
    for place in range(0, size, max(size // 40, 1)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        yield f"bit {place % 8} of byte {place} turned", bytes(flipped)
    yield "zeros", whole[: size // 2] + bytes(size - size // 2)
    yield "longer", whole + b"\0"
    yield "the older one's", older.read_bytes()
    yield "absent", None


@pytest.mark.parametrize("name", FILES)
def test_any_damage_to_any_file_is_seen_and_named_and_the_one_before_is_used(run, name):
    path = run.checkpoints / "images-000000000002" / name
    for damage, content in damages(run, name):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        checkpoint, skipped = newest_checkpoint(run)
        assert checkpoint.progress["images"] == 1, damage
        [line] = skipped
        assert str(path.parent) in line, damage
        assert "is damaged" in line, damage
        if name != "manifest.json" and damage != "the older one's":
            assert name in line, damage


def test_nothing_usable_is_an_error_that_names_each(run):
    for folder in run.checkpoints.iterdir():
        (folder / "state.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        newest_checkpoint(run)
    assert exit_code(caught.value) == 7
    assert [re.search(r"images-0+(\d)|no usable", line)[0][-1] for line in caught.value.problems] == [*"21e"]


def test_a_later_format_is_refused_in_one_line(run, monkeypatch):
    monkeypatch.setattr("gander.training.checkpoint._FORMAT", 3)
    save(run, 3)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 3; this version reads 2"):
        newest_checkpoint(run)


def test_the_newest_two_are_kept(run):
    save(run, 3)
    assert good(run) == [3, 2]


def test_a_damaged_one_does_not_count_as_kept(run):
    (run.checkpoints / "images-000000000002" / "state.safetensors").write_bytes(b"")
    save(run, 3)
    assert good(run) == [3, 1]
    save(run, 4)
    assert good(run) == [4, 3]
    assert len([*run.checkpoints.iterdir()]) == 2


def test_a_save_reads_no_weights_that_are_kept(run, monkeypatch):
    read, read_bytes = set(), pathlib.Path.read_bytes

    def reading(path):
        data = read_bytes(path)
        read.add(path.name)
        return data

    monkeypatch.setattr(pathlib.Path, "read_bytes", reading)
    save(run, 3)
    assert read <= {"manifest.json"}
    assert good(run) == [3, 2]


def test_a_damaged_one_is_replaced_when_its_moment_comes_again(run):
    (run.checkpoints / "images-000000000002" / "manifest.json").unlink()
    save(run, 2)
    assert good(run) == [2, 1]
    assert len([*run.checkpoints.iterdir()]) == 2


def test_what_is_there_already_is_not_written_again(run):
    before = {path: path.stat().st_mtime_ns for path in run.checkpoints.rglob("*")}
    save(run, 2)
    assert {path: path.stat().st_mtime_ns for path in run.checkpoints.rglob("*")} == before


def test_what_is_no_checkpoint_of_this_program_is_not_deleted(run):
    others = ["images-000000000001-keepme", ".images-mine", "images-000000000001/notes.txt"]
    for name in others:
        path = run.checkpoints / name
        path.write_text("mine") if path.suffix else path.mkdir()
    save(run, 3)
    save(run, 4)
    assert all((run.checkpoints / name).exists() for name in others)
    assert good(run) == [4, 3]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_never_saved(run, bad):
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        weights = torch.zeros(3, 3, dtype=dtype)
        weights[1, 2] = bad
        with pytest.raises(NumericsError, match=r"after 3 images: g\.w is not finite"):
            save_checkpoint(run, 3, {"fine": torch.ones(2), "g.w": weights}, {"images": 3}, keep=2)
    assert good(run) == [2, 1]
    assert len([*run.checkpoints.iterdir()]) == 2


# Faults in the middle of a save: the k-th change to the disk meets one, for every k.


class Faults:
    """Count changes to the disk; at the chosen one be killed, or be refused room once or from then on."""

    def __init__(self, patch, at, fault):
        self.seen, self.at, self.fault = 0, at, fault
        for name in ("rename", "mkdir", "unlink", "rmdir", "fsync"):
            patch.setattr(os, name, self.around(getattr(os, name)))
        patch.setattr(io, "open", self.around(io.open))
        patch.setattr(builtins, "open", io.open)

    def around(self, work):
        def change(*given, **named):
            if work.__name__ != "open" or "r" not in given[1]:
                self.seen += 1
                if self.seen == self.at and self.fault == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                if self.seen == self.at or (self.seen > self.at and self.fault == "full from now on"):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return work(*given, **named)

        return change


def save_with_fault(path, at, fault):
    """Save the third checkpoint; end with the exit code, or 99 where the fault was never met."""
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch, at, fault)
        code = save_code(path)
    return code if faults.seen >= at else 99


def save_code(path):
    try:
        save(Run(path), 3)
    except GanderError as error:
        return exit_code(error)
    return 0


def leave(work, *given):
    os._exit(work(*given))


@pytest.fixture(params=["new", "in place of a damaged one"])
def before_the_third(run, request):
    """A run that is about to save its third checkpoint; give the fewest good ones it may ever have."""
    if request.param != "new":
        (save(run, 3) / "state.safetensors").write_bytes(b"")
        save(run, 2)
        assert good(run) == [2]
        return run, 1
    return run, 2


def judge(run, fewest, saved):
    """Hold a run after a fault to what was promised, and let it go on."""
    assert len(good(run)) >= fewest
    assert 3 in good(run) or fewest == 1 or not (run.checkpoints / "images-000000000003").exists()
    assert newest_images(run) in ((3,) if saved else (2, 3))
    save(run, 3)
    save(run, 4)
    assert good(run) == [4, 3]
    assert len([*run.checkpoints.iterdir()]) == 2, "debris stays"


@pytest.mark.parametrize("fault", ["full once", "full from now on"])
def test_a_full_disk_at_any_change_costs_at_most_the_save_itself(before_the_third, tmp_path, fault):
    run, fewest = before_the_third
    codes = []
    while 99 not in codes:
        copy = Run(shutil.copytree(run.path, tmp_path / f"copy-{len(codes)}"))
        codes.append(save_with_fault(copy.path, len(codes) + 1, fault))
        judge(copy, fewest, saved=codes[-1] != 5)
    assert {*codes} <= {0, 5, 99}
    assert codes.count(5) >= 10


def test_a_kill_at_any_change_to_the_disk_costs_at_most_the_save_itself(before_the_third, tmp_path):
    run, fewest = before_the_third
    codes = []
    while 99 not in codes:
        copy = Run(shutil.copytree(run.path, tmp_path / f"copy-{len(codes)}"))
        codes.append(finish(start(leave, save_with_fault, copy.path, len(codes) + 1, "kill")))
        judge(copy, fewest, saved=codes[-1] != -signal.SIGKILL)
    assert {*codes} == {-signal.SIGKILL, 99}
    assert len(codes) >= 15


def save_within(path, bytes_a_file):
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, resource.RLIM_INFINITY))
    return save_code(path)


def test_a_file_that_may_not_grow_is_a_storage_error_and_the_last_good_one_stays(run):
    size = (run.checkpoints / "images-000000000002" / "state.safetensors").stat().st_size
    for limit in (0, 1, 100, size // 2, size - 1):
        assert finish(start(leave, save_within, run.path, limit)) == 5
        assert good(run) == [2, 1]
        assert len([*run.checkpoints.iterdir()]) == 2
    assert finish(start(leave, save_within, run.path, size)) == 0
    assert good(run) == [3, 2]


def save_when_told(path):
    """Wait until a tracer has hold of this process, then save."""
    (path / "ready").touch()
    while not (path / "go").exists():
        time.sleep(0.001)
    return save_code(path)


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("strace"), reason="strace, which injects faults into system calls, is absent"
)
@pytest.mark.parametrize("fault", ["signal=SIGKILL", "error=ENOSPC", "error=EIO"])
def test_a_fault_at_any_system_call_costs_at_most_the_save_itself(run, tmp_path, fault):
    met = 0
    for call in ("write", "fsync", "rename", "mkdir", "unlink", "unlinkat", "rmdir"):
        for at in range(1, 100):
            copy = Run(shutil.copytree(run.path, tmp_path / f"{call}-{at}"))
            process = start(leave, save_when_told, copy.path)
            while not (copy.path / "ready").exists():
                time.sleep(0.001)
            inject = ["-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={at}"]
            log = tmp_path / "strace.log"
            tracer = subprocess.Popen(
                ["strace", "-o", str(log), *inject, "-p", str(process.pid)], stderr=subprocess.PIPE
            )
            assert b"attached" in tracer.stderr.readline()
            (copy.path / "go").touch()
            code = finish(process)
            tracer.communicate()
            judge(copy, 2, saved=code == 0)
            if code == 0 and "INJECTED" not in log.read_text():
                break
            assert code in (0, 5, -signal.SIGKILL)
            met += 1
    assert met >= 12


FORMATS = {
    r"checkpoints/images-\d{12}/state\.safetensors|generator\.safetensors": load_file,
    r"checkpoints/images-\d{12}/(progress|manifest)\.json|env\.json": lambda path: json.loads(
        path.read_text()
    ),
    r"state\.json": lambda path: json.loads(path.read_text()),
    r"(log|findings)\.jsonl": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
    r"recipe\.toml": lambda path: tomllib.loads(path.read_text()),
    r"samples/images-\d{12}\.png|reals\.png": lambda path: Image.open(path).verify(),
    r"\.lock": lambda path: int(path.read_text()),
}


def test_a_run_holds_files_of_known_names_and_formats_only(tmp_path):
    run = train(tiny(tmp_path), tmp_path / "run")
    names = {str(path.relative_to(run.path)): path for path in run.path.rglob("*") if path.is_file()}
    for name, path in names.items():
        [read] = [read for pattern, read in FORMATS.items() if re.fullmatch(pattern, name)]
        read(path)
    assert all(any(re.fullmatch(pattern, name) for name in names) for pattern in FORMATS)
