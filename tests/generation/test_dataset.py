"""Generated data sets: every format is read back to the bit, whatever happened on the way."""

from __future__ import annotations

import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tarfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
import torch

from gander.actions import generate as generating
from gander.actions.generate import generate
from gander.data.formats.all import written_formats
from gander.data.formats.format import Layout
from gander.data.images import open_images
from gander.errors import DataError, RunInUseError, StorageError, UsageError
from gander.files import locked
from gander.generation import draft as drafts
from gander.generation import sieve
from gander.generation.card import write_card
from gander.generation.draft import Draft, Plan
from gander.generation.load import BLOCK, load
from gander.generation.sieve import Sieve
from gander.generation.stream import Stream, drawn_from, interleaved, shares
from gander.generation.target import find_target
from gander.recipe.read import load_recipe
from gander.scores.judge import find_judge
from gander.training.loop import train
from tests.judged import dark_and_light, train_judge
from tests.tiny import command, finish, start, tiny

N = 5 * BLOCK // 2  # two parts and a bit, of a block each
FORMATS = [*written_formats()]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run with classes, and one without."""
    made = {}
    for kind, flavour in (("classes", "projection"), ("plain", "plain"), ("per class", "per class")):
        folder = tmp_path_factory.mktemp("runs")
        made[kind] = train(tiny(folder, flavour), folder / "run")
    return made


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(drafts, "PART", BLOCK)


def produced(run, to, n=N, **options):
    return generate(run, n, to, device="cpu", **options)


def stopped(run, to, **options):
    """Begin a data set, and be interrupted when its parts are there."""

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Draft, "join", interrupt)
        with pytest.raises(KeyboardInterrupt):
            produced(run, to, **options)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expected(run, n=N, seed=0):
    sampler = load(run)
    labels = np.arange(n) % 2 if sampler.conditional else None
    stream = Stream([sampler], seed, labels)
    return np.concatenate([pixels for _, pixels in stream.at(np.arange(n))]), labels


@pytest.mark.parametrize("kind", ["classes", "plain"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_back_to_the_bit(name, kind, runs, tmp_path):
    run = runs[kind]
    made = produced(run, tmp_path / "out", format=name)
    pixels, labels = expected(run)
    read = open_images(str(tmp_path / "out"))
    if name == "folder" and labels is not None:  # class by class
        order = np.argsort(labels, kind="stable")
        pixels, labels = pixels[order], labels[order]
    assert np.array_equal(read.pixels, pixels)
    if labels is None:
        assert read.labels is None
    else:
        assert np.array_equal(read.labels, labels)
        assert read.classes == ("circle", "square")
    assert all(file.exists() for file in made.files)
    assert len(made.files) == 1
    assert not (tmp_path / "out.unfinished").exists()


@pytest.mark.parametrize("name", ["csv.gz", "npz", "zip", "parquet"])
def test_a_file_is_what_its_name_says_with_its_card_beside_it(name, runs, tmp_path):
    produced(runs["classes"], tmp_path / f"mine.{name}", n=100)
    names = {f"mine.{name}", "mine.README.md", "mine.dataset.json", "mine.recipe.toml", "mine.sheet.png"}
    assert {*os.listdir(tmp_path)} == names
    read = open_images(str(tmp_path / f"mine.{name}"))
    assert np.array_equal(read.pixels, expected(runs["classes"], 100)[0])
    assert read.classes == ("circle", "square")


def test_grey_images_keep_one_channel(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8), np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(64) % 2)
    run = train(tiny(tmp_path), tmp_path / "run")
    for name in FORMATS:
        produced(run, tmp_path / f"out-{name}", format=name, n=20)
        assert open_images(str(tmp_path / f"out-{name}")).pixels.shape == (20, 1, 8, 8)


def test_large_sets_are_cut_into_files_that_are_read_as_one(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(drafts, "LARGEST", BLOCK * 210)
    for name in FORMATS:
        made = produced(runs["classes"], tmp_path / f"out-{name}", format=name)
        assert (len(made.files) > 1) == (name not in ("zip", "folder")), "which are read whole by all"
        if name == "folder":
            continue
        read = open_images(str(tmp_path / f"out-{name}"))
        assert np.array_equal(read.pixels, expected(runs["classes"])[0])


def test_an_image_depends_on_its_number_alone(runs):
    few, many = (expected(runs["classes"], n)[0] for n in (100, 1000))
    assert np.array_equal(few, many[:100])
    stream = Stream([load(runs["classes"])], 0, np.arange(1000) % 2)
    places = np.array([3, 255, 256, 700, 999])
    picked = np.concatenate([pixels for _, pixels in stream.at(places)])
    assert np.array_equal(picked, many[places])
    assert not np.array_equal(few, expected(runs["classes"], 100, seed=1)[0])


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_matter(threads, runs):
    before = torch.get_num_threads()
    wanted = expected(runs["classes"], 600)[0]
    torch.set_num_threads(threads)
    try:
        assert np.array_equal(expected(runs["classes"], 600)[0], wanted)
    finally:
        torch.set_num_threads(before)


def test_the_latents_are_those_of_the_recipe(runs, monkeypatch):
    sampler = load(runs["classes"])
    drawn = []
    kept = type(sampler.latents).__call__
    monkeypatch.setattr(
        type(sampler.latents), "__call__", lambda self, n, rng: drawn.append(kept(self, n, rng)) or drawn[-1]
    )
    [*Stream([sampler], 0, np.zeros(1, int)).at(np.arange(1))]
    [*Stream([drawn_from(sampler, 0.5)], 0, np.zeros(1, int)).at(np.arange(1))]
    assert drawn[0].shape == (BLOCK, 4)
    assert drawn[0].abs().max() > 1
    assert len(drawn) == 1  # cut-off latents are another kind


def test_classes_are_balanced_and_spread_over_the_whole():
    assert shares([1, 1, 1], 10) == [4, 3, 3]
    assert shares([5, 0, 2], 7) == [5, 0, 2]
    assert interleaved([2, 2, 2]).tolist() == [0, 1, 2, 0, 1, 2]
    labels = interleaved([900, 100])
    assert np.bincount(labels).tolist() == [900, 100]
    assert np.abs(np.cumsum(labels) / np.arange(1, 1001) - 0.1)[100:].max() < 0.02


def test_some_classes_can_be_asked_for(runs, tmp_path):
    made = produced(runs["classes"], tmp_path / "out", classes=("square",), n=30)
    assert set(open_images(str(tmp_path / "out")).labels) == {1}
    assert made.facts["counts"] == {"square": 30}
    assert "| 0 | circle | 0 |\n| 1 | square | 30 |" in made.page.read_text(), (
        "the card says what numbers mean"
    )


def test_class_counts_can_be_copied(runs, tmp_path):
    labels = np.array([0] * 30 + [1] * 10)
    images = np.zeros((40, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "like.npz", images=images, labels=labels, classes=["circle", "square"])
    made = produced(runs["classes"], tmp_path / "out", like=str(tmp_path / "like.npz"), n=100)
    assert made.facts["counts"] == {"circle": 75, "square": 25}


def test_one_gan_a_class_behaves_as_one(runs, tmp_path):
    made = produced(runs["per class"], tmp_path / "out", n=40)
    assert made.facts["counts"] == {"circle": 20, "square": 20}


def test_the_card_says_how_it_was_made_and_how_to_load_it(runs, tmp_path):
    produced(runs["classes"], tmp_path / "out", license="cc0-1.0", truncation=1.5, n=20)
    card = (tmp_path / "out" / "README.md").read_text()
    told = json.loads((tmp_path / "out" / "dataset.json").read_text())
    facts = [
        "license: cc0-1.0",
        told["runs"][0]["generator"],
        "1.5 standard deviations",
        "| circle | 10 |",
        "no judge yet",
    ]
    assert [fact for fact in facts if fact not in card] == []
    mine, recipe = tmp_path / "out" / "recipe.toml", runs["classes"].recipe_file
    ours, theirs = load_recipe(str(mine)), load_recipe(str(recipe))
    assert theirs.data.path.startswith("/")
    assert not re.search(r"[\s=\"'](/[a-z]+){2}", card + mine.read_text()), "no folder of this machine"
    assert ours.model_copy(update={"data": theirs.data}) == theirs
    assert (tmp_path / "out" / "sheet.png").stat().st_size > 100


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", ["parquet", "csv", "npz", "folder", "zip", "tar"])
def test_the_card_names_the_files_that_are_there(name, several, runs, tmp_path, monkeypatch):
    if several:
        monkeypatch.setattr(drafts, "LARGEST", BLOCK * 210)
    made = produced(runs["classes"], tmp_path / "out", format=name)
    text = (tmp_path / "out" / "README.md").read_text().split("```")[1].removeprefix("python\n")
    compile(text, "card", "exec")
    monkeypatch.chdir(tmp_path)
    places = [place for place in re.findall(r'"(out[^"]*)"', text) if "{" not in place]
    assert places
    for place in places:
        assert glob.glob(place), place
    if name == "tar" and several:
        assert f"{{00000..{len(made.files) - 1:05d}}}" in text
    if name in ("npz", "zip"):
        told: dict = {}
        from_torch, from_gander = text.split("# gander")
        exec(from_torch, told)
        pixels, labels = expected(runs["classes"])
        tensors = told["tensors"] if name == "npz" else told["images"].permute(0, 3, 1, 2)
        assert np.array_equal(tensors.numpy(), pixels)
        if name == "zip":
            assert [told["labels"][file] for file in told["names"]] == labels.tolist()
        exec(f"# gander{from_gander}", told)
        assert np.array_equal(told["images"].pixels, pixels)


def test_a_large_file_is_read_by_its_name_and_keeps_its_classes(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(drafts, "LARGEST", BLOCK * 210)
    (tmp_path / "dataset.json").write_text("[1, 2]")  # of another program
    produced(runs["classes"], tmp_path / "v1.0.csv")
    assert not (tmp_path / "v1.0.csv").exists()
    read = open_images(str(tmp_path / "v1.0.csv"))
    assert np.array_equal(read.pixels, expected(runs["classes"])[0])
    assert read.classes == ("circle", "square")
    next(tmp_path.glob("v1.0-00001-of-*.csv")).unlink()
    with pytest.raises(DataError, match="are not a whole set"):
        open_images(str(tmp_path / "v1.0.csv"))


def test_what_lies_within_a_set_is_read_by_itself(runs, tmp_path):
    (file,) = produced(runs["classes"], tmp_path / "out", format="csv", n=20).files
    for place in (file, file.parent):
        assert open_images(str(place)).classes == ("circle", "square")
    for told in ('{"classes": 10}', '{"classes": "cat"}'):
        (tmp_path / "out" / "dataset.json").write_text(told)
        assert open_images(str(file)).classes == ("0", "1")


def test_zstd_is_one_frame_for_readers_that_stop_at_the_first(runs, tmp_path):
    (file,) = produced(runs["classes"], tmp_path / "out", format="csv.zst").files
    assert file.read_bytes().count(b"\x28\xb5\x2f\xfd") == 1


def test_one_class_of_a_folder_keeps_its_number(runs, tmp_path):
    produced(runs["classes"], tmp_path / "out", format="folder", classes=("square",), n=10)
    assert [path.name for path in (tmp_path / "out" / "train").iterdir()] == ["square"]
    read = open_images(str(tmp_path / "out"))
    assert (read.classes, {*read.labels}) == (("circle", "square"), {1})


def test_names_with_slashes_have_folders_and_come_back(tmp_path):
    labels = np.arange(64) % 2
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8), np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=labels, classes=["T-shirt/top", "Bag"])
    run = train(tiny(tmp_path, "projection"), tmp_path / "run")
    produced(run, tmp_path / "out", format="folder", n=20)
    read = open_images(str(tmp_path / "out"))
    assert read.classes == ("T-shirt/top", "Bag")
    assert read.labels.tolist() == [0] * 10 + [1] * 10


@pytest.mark.parametrize(
    "name", ["mine-00001-of-00003.csv", "mine.dataset.json", "mine.sheet.png", "mine.csv"]
)
def test_nothing_that_lies_where_a_file_would_go_is_touched(name, runs, tmp_path, monkeypatch):
    if "-of-" in name:
        monkeypatch.setattr(drafts, "LARGEST", BLOCK * 210)
    (tmp_path / name).write_text("somebody's")
    with pytest.raises(UsageError, match=f"{name}.*nothing is overwritten"):
        produced(runs["classes"], tmp_path / "mine.csv")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "somebody's")]


def test_a_folder_that_is_no_draft_is_left_alone(runs, tmp_path):
    (tmp_path / "out.unfinished").mkdir()
    (tmp_path / "out.unfinished" / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="is already there, and is no unfinished data set"):
        produced(runs["classes"], tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="nothing is overwritten"):
        produced(runs["classes"], tmp_path / "out")
    assert (tmp_path / "out.unfinished" / "thesis.tex").read_text() == "mine"


def test_parts_are_kept_when_something_takes_their_place(runs, tmp_path):
    stopped(runs["classes"], tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="nothing is overwritten"):
        produced(runs["classes"], tmp_path / "out")
    assert len([*(tmp_path / "out.unfinished" / "parts").glob("part-*")]) == 3


def test_a_finished_set_is_kept_when_something_takes_its_place(runs, tmp_path, monkeypatch):
    def blocked(folder, *rest):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").touch()
        return write_card(folder, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(generating, "write_card", blocked)
        with pytest.raises(UsageError, match="nothing is overwritten"):
            produced(runs["classes"], tmp_path / "out", n=20)
    with pytest.raises(UsageError, match="nothing is overwritten"):
        produced(runs["classes"], tmp_path / "out", n=20)
    shutil.rmtree(tmp_path / "out")
    produced(runs["classes"], tmp_path / "out", n=20)
    assert len(open_images(str(tmp_path / "out"))) == 20


def test_a_kill_before_the_plan_was_written_is_a_fresh_start(runs, tmp_path):
    (tmp_path / "out.unfinished" / "parts").mkdir(parents=True)
    for name in (".lock", ".plan.json-77.draft"):
        (tmp_path / "out.unfinished" / name).touch()
    produced(runs["classes"], tmp_path / "out", n=20)
    assert not (tmp_path / "out.unfinished").exists()


def test_two_at_once_do_not_make_the_same_set(runs, tmp_path):
    (tmp_path / "out.unfinished").mkdir()
    with (
        locked(tmp_path / "out.unfinished", "making"),
        pytest.raises(RunInUseError, match="is making it now"),
    ):
        produced(runs["classes"], tmp_path / "out", n=20)
    produced(runs["classes"], tmp_path / "out", n=20)


@pytest.mark.parametrize("size", [32, 128])
def test_parts_of_large_images_hold_fewer(size, tmp_path, monkeypatch):
    monkeypatch.setattr(drafts, "PART", 40 * BLOCK)
    for name in FORMATS:
        layout = Layout(("a",), (3, size, size), False)
        plan = Plan(10**6, layout, None, None, None, {}, {})
        draft = Draft(find_target(tmp_path / "out", name), plan)
        assert draft.rows * draft.format.bytes_each(layout) < 2**26
        assert draft.rows % BLOCK == 0


def words_for(run, to, name):
    return ("generate", str(run.path), "-n", str(N), "--to", str(to), "--format", name)


def small(*words):
    """The command line, with parts of a block each."""
    drafts.PART = BLOCK
    command(*words)


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_kills_at_random_moments_leave_no_trace(kills, runs, tmp_path):
    rng, landed, rounds = random.Random(kills), 0, 0
    while landed < kills:
        name = FORMATS[rounds % len(FORMATS)]
        to = tmp_path / "out"
        whole = tmp_path / f"whole-{name}" / "out"
        if not whole.exists():
            whole.parent.mkdir()
            assert finish(start(small, *words_for(runs["classes"], to, name))) == 0
            to.rename(whole)
        for _ in range(4):
            process = start(small, *words_for(runs["classes"], to, name))
            time.sleep(rng.uniform(0, 0.6))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            landed += finish(process) == -signal.SIGKILL
        code = finish(start(small, *words_for(runs["classes"], to, name)))
        assert code == 0 or (code == 2 and to.exists())  # a kill may come after the last step
        assert contents(to) == contents(whole)
        assert {path.name for path in tmp_path.glob("out*")} == {"out"}
        shutil.rmtree(to)
        rounds += 1


@pytest.mark.parametrize("moved", range(7))
def test_a_kill_while_files_are_moved_to_their_places_is_made_good(moved, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(drafts, "LARGEST", BLOCK * 210)
    (tmp_path / "whole").mkdir()
    produced(runs["classes"], tmp_path / "whole" / "out.npz")
    place, left = Path.rename, [moved]

    def rename(own, goal):
        if own.parent.name == "finished":
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        return place(own, goal)

    (tmp_path / "killed").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        with pytest.raises(KeyboardInterrupt):
            produced(runs["classes"], tmp_path / "killed" / "out.npz")
    assert len([*(tmp_path / "killed").glob("out*.*")]) == moved + 1
    produced(runs["classes"], tmp_path / "killed" / "out.npz")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["parquet", "npz"])
def test_two_processes_make_the_bytes_of_one(name, runs, tmp_path):
    to = tmp_path / "out"
    words = words_for(runs["classes"], to, name)
    assert finish(start(small, *words)) == 0
    alone = contents(to)
    shutil.rmtree(to)
    world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    world |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    both = [start(small, *words, RANK=str(rank), LOCAL_RANK=str(rank), **world) for rank in range(2)]
    assert [finish(process) for process in both] == [0, 0]
    assert contents(to) == alone


def free_port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


def test_another_order_does_not_go_on_with_an_unfinished_set(runs, tmp_path):
    stopped(runs["classes"], tmp_path / "out")
    with pytest.raises(UsageError, match="unfinished data set that was ordered otherwise"):
        produced(runs["classes"], tmp_path / "out", seed=1)


@pytest.mark.parametrize("what", ["device", "torch", "pillow"])
def test_a_draft_that_moved_to_another_machine_is_refused(what, runs, tmp_path):
    stopped(runs["classes"], tmp_path / "out")
    file = tmp_path / "out.unfinished" / "plan.json"
    plan = json.loads(file.read_text())
    here = plan["machine"][what]
    plan["machine"][what] = "of another kind"
    file.write_text(json.dumps(plan))
    with pytest.raises(UsageError, match=rf"another machine \(of another kind, here {re.escape(here)}\)"):
        produced(runs["classes"], tmp_path / "out")
    assert len([*(tmp_path / "out.unfinished" / "parts").glob("part-*")]) == 3
    shutil.rmtree(tmp_path / "out.unfinished")
    produced(runs["classes"], tmp_path / "out")


def test_progress_comes_to_its_total(runs, tmp_path):
    heard = []
    produced(runs["classes"], tmp_path / "out", progress=lambda more, total: heard.append((more, total)))
    assert sum(more for more, _ in heard) == N
    assert {total for _, total in heard} == {N}


def test_a_disk_that_is_too_small_is_refused_before_the_first_byte(runs, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(StorageError, match="are needed there, and 0 MB are free"):
        produced(runs["classes"], tmp_path / "out")
    assert not [*tmp_path.glob("out*")]


@pytest.fixture
def tiny_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_keeps_whole_parts_only_and_goes_on_with_more_room(
    runs, tiny_disk, tmp_path, monkeypatch
):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageError, match="2 of 3 parts are there, whole") as told:
        produced(runs["classes"], tiny_disk / "out", format="csv")
    assert "the same command again, which goes on" in str(told.value)
    parts = [path.name for path in (tiny_disk / "out.unfinished" / "parts").glob("part-*")]
    assert sorted(parts) == ["part-000000", "part-000001"]
    subprocess.run(["mount", "-o", "remount,size=20m", str(tiny_disk)], check=True)
    produced(runs["classes"], tiny_disk / "out", format="csv")
    produced(runs["classes"], tmp_path / "out", format="csv")
    assert contents(tiny_disk / "out") == contents(tmp_path / "out")


def test_a_place_that_cannot_be_written_is_told(runs, tiny_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(StorageError, match="Read-only file system"):
        produced(runs["classes"], tiny_disk / "out")
    assert [*tiny_disk.iterdir()] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "-n 0: at least 1 image"),
        ({"classes": ("sqare",)}, 'class "sqare".*did you mean'),
        ({"format": "parqet"}, '--format "parqet".*did you mean'),
        ({"to": "taken"}, "is already there, and nothing is overwritten"),
        ({"to": "mine.csv", "format": "npz"}, "is named like csv, and --format says npz"),
        ({"label_with": "me"}, "only the judge can"),
        ({"to": "mine.bz"}, "no format is called bz"),
        ({"keep": 1e-6}, "--keep 1e-06: a share from 0.01"),
        ({"truncation": -1.0}, "--truncation -1"),
        ({"kind": "plain", "classes": ("square",)}, "knows no classes"),
        ({"kind": "plain", "like": "shapes"}, "knows no classes"),
        ({"like": "shapes"}, "has a class triangle, and this generator"),
    ],
)
def test_mistakes_are_told_before_any_work(options, message, runs, tmp_path):
    (tmp_path / "taken").mkdir()
    run = runs[options.pop("kind", "classes")]
    to = tmp_path / options.pop("to", "out")
    with pytest.raises(UsageError, match=f"(?s){message}"):
        produced(run, to, **options)
    assert {*os.listdir(tmp_path)} == {"taken"}


def test_another_seed_makes_other_images(runs, tmp_path):
    for seed in (0, 1):
        produced(runs["classes"], tmp_path / f"out-{seed}", seed=seed, n=20, format="npz")
    one, other = (open_images(str(tmp_path / f"out-{seed}")) for seed in (0, 1))
    assert one.digest != other.digest


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Dark and light images with two judges, and two runs on them: one with classes, one without.

    The first judge chooses images, and the second scores those.
    """
    folder = tmp_path_factory.mktemp("judged")
    for seed in (0, 1):
        train_judge(dark_and_light(folder), seed)
    return [train(tiny(folder, flavour), folder / flavour) for flavour in ("projection", "plain")]


@pytest.mark.parametrize("name", ["parquet", "csv", "npz", "tar"])
def test_the_judge_can_name_the_classes_and_its_confidence_is_kept(name, judged, tmp_path):
    made = produced(judged[1], tmp_path / "out", label_with="judge", format=name, n=300)
    read = open_images(str(tmp_path / "out"))
    seen = find_judge(open_images(str(judged[1].path.parent / "data.npz"))).extract(read.pixels)
    assert np.array_equal(read.labels, seen.probabilities.argmax(1).numpy())
    assert [*made.facts["counts"].values()] == [count for count in read.counts() if count]
    assert read.classes == ("dark", "light")
    confidence = confidences(name, made.files)
    np.testing.assert_allclose(confidence, seen.probabilities.amax(1).numpy(), rtol=1e-4)


def confidences(name, files):
    if name == "parquet":
        return pq.read_table(files[0].parent)["confidence"].to_numpy()
    if name == "csv":
        return csv.read_csv(files[0])["confidence"].to_numpy()
    if name == "npz":
        return np.load(files[0])["confidence"]
    found = []
    for file in files:
        with tarfile.open(file) as archive:
            members = [member for member in archive if member.name.endswith(".json")]
            found += [json.load(archive.extractfile(member))["confidence"] for member in members]
    return np.array(found)


def test_filters_and_scores_are_told_in_the_card(judged, tmp_path):
    made = produced(judged[0], tmp_path / "out", n=150, keep=0.75)
    assert made.facts["candidates"] == 200
    assert made.facts["dropped"] == {"least like their class, to the judge": 50}
    assert made.facts["counts"] == {"dark": 75, "light": 75}
    assert made.facts["scores"][0]["protocol"]["n_fake"] == 150
    card = (tmp_path / "out" / "README.md").read_text()
    assert "200 images were made, and 150 kept" in card
    assert "| fd-judge |" in card
    assert "no image was asked for" not in card
    produced(judged[0], tmp_path / "one", n=150, classes=("dark",))
    assert "- no image was asked for of light" in (tmp_path / "one" / "README.md").read_text()
    plain = produced(judged[0], tmp_path / "plain", n=200)
    assert "None: every image that was made is here" in (tmp_path / "plain" / "README.md").read_text()
    fidelity = {score["name"]: score["value"] for score in made.facts["scores"]}["label-fidelity"]
    assert fidelity >= {score["name"]: score["value"] for score in plain.facts["scores"]}["label-fidelity"]


def test_labels_of_a_run_with_classes_are_its_own(judged, tmp_path):
    with pytest.raises(UsageError, match="this run's images have the classes"):
        produced(judged[0], tmp_path / "out", label_with="judge")


def test_more_candidates_are_made_where_filters_leave_too_few(judged, tmp_path, monkeypatch):
    tried = []
    choose = Sieve.choose

    def fussy(own, seen, *rest):
        tried.append(len(seen.confidence))
        if len(tried) == 1:
            raise UsageError("too few")
        return choose(own, seen, *rest)

    monkeypatch.setattr(Sieve, "choose", fussy)
    monkeypatch.setattr(sieve, "_INNOCENT", 0.0)
    made = produced(judged[0], tmp_path / "out", n=100, no_copies=True)
    assert tried == [110, 200]
    assert made.facts["candidates"] == 200
    assert made.facts["dropped"]["not needed"] > 0
