"""The store: shared, keyed by content, never seen half."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from gander.data.images import find_stored, open_images
from gander.errors import DataError, StorageError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def archive(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "set.npz"
    np.savez(path, images=rng.integers(0, 256, (2000, 16, 16, 3), np.uint8), labels=np.arange(2000) % 7)
    return path


def test_pixels_are_mapped_read_only(cache, archive):
    images = open_images(str(archive))
    assert isinstance(images.pixels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images.pixels[0] = 0


def test_the_same_content_elsewhere_is_not_decoded_again(cache, archive, tmp_path):
    first = find_stored(str(archive), "", None, "train")
    (tmp_path / "copy").mkdir()
    copy = tmp_path / "copy" / "set.npz"
    copy.write_bytes(archive.read_bytes())
    assert find_stored(str(copy), "", None, "train").folder == first.folder


def test_changed_content_is_decoded_again_under_the_same_path(cache, archive):
    first = open_images(str(archive))
    np.savez(archive, images=np.zeros((3, 16, 16), np.uint8))
    second = open_images(str(archive))
    assert len(second) == 3
    assert first.fingerprint != second.fingerprint
    assert len(first) == 2000, "what is open stays as it was"


def test_a_damaged_store_is_filled_again(cache, archive):
    stored = find_stored(str(archive), "", None, "train")
    pixels = np.array(stored.pixels)
    with (stored.folder / "pixels.bin").open("r+b") as file:
        file.truncate(1000)
    assert np.array_equal(open_images(str(archive)).pixels, pixels)


def _open(path: str) -> str:
    return open_images(path).fingerprint


def test_processes_that_fill_the_store_at_once_agree(cache, archive):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        prints = pool.map(_open, [str(archive)] * 3)
    assert {*prints} == {open_images(str(archive)).fingerprint}
    assert len([*(cache / "images").glob("*/meta.json")]) == 1


def test_a_killed_process_leaves_nothing_that_is_seen(cache):
    command = [sys.executable, "-c", "from gander.data.images import open_images; open_images('shapes')"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not [*cache.glob("images/.*.draft/pixels.bin")]:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    [left] = cache.glob("images/.*.draft")
    assert not [*cache.glob("images/[!.]*/meta.json")]
    os.utime(left, (0, 0))
    assert len(open_images("shapes")) == 20_000
    assert not left.exists(), "what was abandoned a day ago is cleared away"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written_is_a_storage_error(cache):
    cache.mkdir(mode=0o500)
    with pytest.raises(StorageError, match="Permission denied"):
        open_images("shapes")


def test_a_cache_without_room_names_the_place_and_the_way_out(cache, archive, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gander.data.filling.np.stack", full)
    with pytest.raises(StorageError, match=r"No space left on device(.|\n)*GANDER_CACHE=FOLDER"):
        open_images(str(archive))


def test_a_set_with_no_usable_image_is_not_stored(cache, tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 4, 4), np.uint8))
    with pytest.raises(DataError, match="4 x 4 pixels"):
        open_images(str(tmp_path / "x.npz"), skip_bad=True)
    assert not [*cache.glob("images/[!.]*/meta.json")]


def test_the_digest_does_not_depend_on_the_order(cache, tmp_path):
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (50, 8, 8), np.uint8), np.arange(50) % 3
    digests, prints = set(), set()
    for order in (np.arange(50), rng.permutation(50)):
        np.savez(tmp_path / "x.npz", images=images[order], labels=labels[order])
        stored = find_stored(str(tmp_path / "x.npz"), "", None, "train")
        digests.add(stored.digest)
        prints.add(stored.fingerprint)
    assert (len(digests), len(prints)) == (1, 2)
    np.savez(tmp_path / "x.npz", images=images, labels=np.roll(labels, 1))
    assert find_stored(str(tmp_path / "x.npz"), "", None, "train").digest not in digests


@pytest.mark.slow
def test_cifar10_decodes_in_seconds_and_opens_at_once(cache, shared):
    path = str(shared / "data/cifar10")
    began = time.monotonic()
    open_images("cifar10", path)
    decoded = time.monotonic()
    images = open_images("cifar10", path)
    assert time.monotonic() - decoded < (decoded - began) / 20  # milliseconds, against seconds
    assert len(images) == 50_000
    assert [*images.counts()] == [5000] * 10


@pytest.mark.parametrize("name", ["pixels.bin", "labels.npy"])
def test_a_store_that_is_not_what_was_stored_is_filled_again(name, cache, archive):
    first = find_stored(str(archive), "", None, "train")
    pixels, labels = np.array(first.pixels), np.array(first.labels)
    file = first.folder / name
    content = bytearray(file.read_bytes())
    content[-5000 if name == "pixels.bin" else -8] ^= 1
    file.write_bytes(content)
    again = find_stored(str(archive), "", None, "train")
    assert np.array_equal(again.pixels, pixels)
    assert np.array_equal(again.labels, labels)
