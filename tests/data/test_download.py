"""Downloads from servers that break off, ignore ranges, lie, or are not there."""

from __future__ import annotations

import hashlib
import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from gander.data import download
from gander.data.images import find_stored, open_images
from gander.data.names import NAMED, Named
from gander.errors import DataError


def npz(seed: int) -> bytes:
    file = io.BytesIO()
    images = np.random.default_rng(seed).integers(0, 256, (600, 32, 32), np.uint8)
    np.savez(file, images=images, labels=np.arange(600) % 2)
    return file.getvalue()


GOOD, OTHER = npz(0), npz(1)


class Server(ThreadingHTTPServer):
    """Serves by path: /whole, /breaks (after half of what is asked for), /deaf (to ranges, breaks once)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}/set.npz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        kind, span = self.path.split("/")[1], self.headers["Range"]
        before = [asked for asked in self.server.asked if asked[0] == kind]
        self.server.asked.append((kind, span))
        if kind == "absent":
            return self.send_error(404)
        content = {"lies": OTHER, "page": b"<html>log in first</html>"}.get(kind, GOOD)
        start = int(span.removeprefix("bytes=").rstrip("-")) if span and kind != "deaf" else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        breaks = (kind == "breaks" and len(body) > 150_000) or (kind == "deaf" and not before)
        self.wfile.write(body[: len(body) // 2] if breaks else body)
        return None

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("GANDER_CACHE", str(tmp_path / "cache"))
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def named(server: Server, *kinds: str, digest: str | None = None) -> Named:
    mirrors = {"train": tuple((server.url(kind),) for kind in kinds)}
    return Named("toy", ("off", "on"), mirrors, {"train": digest} if digest else {})


def test_a_download_that_breaks_off_goes_on_where_it_stopped(server, tmp_path):
    download.fetch(server.url("breaks"), tmp_path / "set.npz")
    assert (tmp_path / "set.npz").read_bytes() == GOOD
    starts = [int(span[6:-1]) for _, span in server.asked if span]
    assert len(starts) > 2
    assert starts == sorted({*starts})


def test_a_server_that_ignores_ranges_starts_again(server, tmp_path):
    download.fetch(server.url("deaf"), tmp_path / "set.npz")
    assert (tmp_path / "set.npz").read_bytes() == GOOD


@pytest.mark.parametrize("already", [GOOD, GOOD + b"too much"])
def test_a_part_that_is_whole_or_too_long_is_settled(server, tmp_path, already):
    (tmp_path / "set.npz.part").write_bytes(already)
    download.fetch(server.url("whole"), tmp_path / "set.npz")
    assert (tmp_path / "set.npz").read_bytes() == GOOD


def test_a_wrong_checksum_is_deleted_again(server, tmp_path):
    with pytest.raises(DataError, match="MD5"):
        download.fetch(server.url("lies"), tmp_path / "set.npz", hashlib.md5(GOOD).hexdigest())
    assert [path.name for path in tmp_path.glob("set*")] == ["set.npz.lock"]


def test_what_has_no_checksum_is_not_downloaded(server):
    with pytest.raises(DataError, match="no checksum of its train split is known"):
        download.open_named(named(server, "whole"), "train", None)
    assert server.asked == []
    with pytest.raises(DataError, match="no checksum of its test split"):
        open_images("fashion-mnist", split="test")


def test_every_address_that_is_shipped_is_of_https_and_has_a_checksum_or_is_not_used():
    urls = [url for each in NAMED.values() for mirror in each.mirrors["train"] for url in mirror]
    assert {url.partition(":")[0] for url in urls} == {"https"}
    assert {name for name, each in NAMED.items() if {*each.digests} != {"train", "test"}} == {"fashion-mnist"}


def test_the_next_mirror_is_tried_after_one_that_is_absent_or_lies(server, tmp_path):
    (tmp_path / "good.npz").write_bytes(GOOD)
    digest = find_stored(str(tmp_path / "good.npz"), "", None, "train").digest
    mirrors = named(server, "absent", "page", "lies", "whole", digest=digest)
    stored = download.open_named(mirrors, "train", None)
    assert [kind for kind, _ in server.asked] == ["absent", "page", "lies", "whole"]
    assert stored.digest == digest
    download.open_named(mirrors, "train", 16)
    assert len(server.asked) == 4, "what is there is not asked for again"


def test_without_a_network_one_error_names_what_was_tried_and_what_can_be_done(monkeypatch):
    nowhere = "http://127.0.0.1:9/cifar-10-python.tar.gz"
    monkeypatch.setitem(NAMED, "cifar10", Named("cifar10", (), {"train": ((nowhere,),)}, {"train": "0"}))
    with pytest.raises(DataError) as caught:
        open_images("cifar10")
    text = str(caught.value)
    assert f"{nowhere}: no connection" in text
    assert "data.path reads: a folder of parquet shards" in text
    assert "gander train NAME data.path=FOLDER" in text
