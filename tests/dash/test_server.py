"""The server of the page gives what is asked by id to whom may see it, and nothing else to anybody."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from gander.dash import work
from gander.dash.server import build_app
from gander.files import locked
from gander.run import Run
from tests.dash.conftest import FINDING, Make

HOST = "http://127.0.0.1:8000"
WRITE = {"x-gander": "page", "origin": HOST}


def open_page(folder: Path, read_only: bool = False) -> TestClient:
    client = TestClient(
        build_app(folder, "secret", "key", ("127.0.0.1", "localhost"), read_only), base_url=HOST
    )
    assert client.get("/?token=secret", follow_redirects=False).status_code == 303
    return client


def ids(client: TestClient) -> dict[str, str]:
    return {run["name"]: run["id"] for run in client.get("/api/runs").json()["runs"]}


def test_the_link_works_once_and_nothing_is_shown_without_it(make_run: Make, tmp_path: Path):
    make_run()
    app = build_app(tmp_path / "runs", "secret", "key", ("127.0.0.1",))
    stranger = TestClient(app, base_url=HOST)
    for path in ("/", "/api/runs", "/page/page.js", "/?token=", "/?token=guess", "/api/runs?token=secret"):
        assert stranger.get(path, follow_redirects=False).status_code == 403
    first = TestClient(app, base_url=HOST).get("/?token=secret", follow_redirects=False)
    cookie = first.headers["set-cookie"].lower()
    assert first.headers["location"] == "/"
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert stranger.get("/?token=secret", follow_redirects=False).status_code == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost:80@evil", "", "127.0.0.1:8000/../x", "127.0.0.1\t"],
)
def test_it_answers_to_its_own_names_only(host: str, make_run: Make, tmp_path: Path):
    make_run()
    client = open_page(tmp_path / "runs")
    assert client.get("/api/runs", headers={"host": host}).status_code == 400
    assert client.get("/api/runs", headers={"host": "LOCALHOST:9"}).status_code == 200


def test_every_answer_forbids_what_a_page_of_ours_never_needs(make_run: Make, tmp_path: Path):
    make_run()
    client = open_page(tmp_path / "runs")
    for path in ("/", "/api/runs", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


@pytest.mark.parametrize(
    "which",
    [
        "../recipe.toml",
        "%2e%2e%2frecipe.toml",
        "..%2F..%2Fsecret",
        ";../env.json",
        "/etc/passwd",
        "%00",
        "1000.png",
        "-1",
        "1" * 40,
        "reals.png",
        "\\\\host\\share",
    ],
)
def test_files_are_had_by_number_and_never_by_path(which: str, make_run: Make, tmp_path: Path):
    make_run()
    client = open_page(tmp_path / "runs")
    id_ = ids(client)["one"]
    assert client.get(f"/api/runs/{id_}/pictures/1000").content.startswith(b"\x89PNG")
    for path in (f"/api/runs/{id_}/pictures/{which}", f"/api/runs/{which}", f"/page/{which}"):
        assert client.get(path).status_code in (400, 404), path


def test_links_out_of_a_run_and_pipes_in_it_are_not_read(make_run: Make, tmp_path: Path):
    run, secret = make_run(), tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    run.sheet_file(3_000).symlink_to(secret)
    os.mkfifo(run.sheet_file(4_000))
    (tmp_path / "outside").mkdir()
    elsewhere = make_run("elsewhere")
    elsewhere.path.rename(tmp_path / "outside" / "elsewhere")
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "outside")
    make_run("linked").log_file.unlink()
    (tmp_path / "runs" / "linked" / "log.jsonl").symlink_to(secret)
    client = open_page(tmp_path / "runs")
    assert [*ids(client)] == ["one"]
    for images in (3_000, 4_000):
        assert client.get(f"/api/runs/{ids(client)['one']}/pictures/{images}").status_code == 404


def test_a_row_is_given_once_it_is_whole_and_the_next_one_from_there(make_run: Make, tmp_path: Path):
    run = make_run(rows=2)
    client = open_page(tmp_path / "runs")
    address = f"/api/runs/{ids(client)['one']}/log"
    first = client.get(f"{address}?after=0").json()
    assert first["columns"]["images"] == [1_000, 2_000]
    assert first["columns"]["loss/d"] == [1.0, 0.5]
    with run.log_file.open("a") as log:
        log.write('{"images": 3000, "loss/d"')
        log.flush()
        assert client.get(f"{address}?after={first['after']}").json()["columns"]["images"] == []
        log.write(
            ': NaN, "loss/g": 7}\n' + "[" * 100_000 + "\n" + "x" * 10_000_000 + '\n{"images": "many"}\n'
        )
        log.flush()
    second = client.get(f"{address}?after={first['after']}").json()
    assert second["columns"] == {"images": [3_000], "loss/d": [None], "loss/g": [7.0]}
    assert client.get(f"{address}?after={second['after']}").json()["columns"]["images"] == []
    # A resumed run is cut back: whoever has read further begins anew.
    run.log_file.write_text('{"images": 1000}\n')
    assert client.get(f"{address}?after={second['after']}").json()["began"] == 0


def test_a_damaged_run_hides_no_other(make_run: Make, tmp_path: Path):
    make_run("good")
    for name, file, text in (
        ("json", "env.json", "{"),
        ("keys", "env.json", "{}"),
        ("types", "env.json", '{"data": 3, "images_total": "x", "started": []}'),
        ("toml", "recipe.toml", "= 1"),
        ("scores", "metrics.jsonl", '[1]\n{"images": 1}\n'),
        ("findings", "findings.jsonl", '{"a": 1}\n'),
        ("state", "state.json", '{"state": {}, "images": "x"}'),
    ):
        (make_run(name).path / file).write_text(text)
    client = open_page(tmp_path / "runs")
    rows = {run["name"]: run for run in client.get("/api/runs").json()["runs"]}
    assert rows["good"]["state"] == "finished"
    assert len(rows) == 8
    for row in rows.values():
        assert client.get(f"/api/runs/{row['id']}").status_code == 200


def test_what_the_doctor_said_and_each_setting_is_shown(make_run: Make, tmp_path: Path):
    run = make_run(title="</script><b>bold")
    (run.path / "findings.jsonl").write_text(json.dumps(FINDING) + "\n")
    client = open_page(tmp_path / "runs")
    seen = client.get(f"/api/runs/{ids(client)['one']}").json()
    assert seen["findings"][0]["code"] == "mode-collapse"
    assert seen["settings"] == {"title": '"</script><b>bold"', "train.batch": "32", "train.g_lr": "0.0002"}


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    commands: list[list[str]] = []
    monkeypatch.setattr(work.subprocess, "Popen", lambda command, **_: commands.append(command[3:]))
    return commands


def test_writes_come_from_the_page_alone(make_run: Make, tmp_path: Path, begun: list[list[str]]):
    make_run()
    client = open_page(tmp_path / "runs")
    address, body = f"/api/runs/{ids(client)['one']}/branch", {"edits": ["train.g_lr=1e-4"]}
    for headers in (
        {},
        {"x-gander": "page"},
        {"origin": HOST},
        WRITE | {"origin": "http://evil.example"},
        WRITE | {"origin": "http://127.0.0.1:9"},
        WRITE | {"origin": "null"},
    ):
        assert client.post(address, json=body, headers=headers).status_code == 403
    assert client.get("/api/start").status_code == 405
    assert not begun
    assert client.post(address, json=body, headers=WRITE).status_code == 200
    assert begun == [["train", "--from", str(tmp_path / "runs" / "one"), "train.g_lr=1e-4"]]


def test_whoever_may_only_look_can_start_nothing(make_run: Make, tmp_path: Path, begun: list[list[str]]):
    make_run()
    client = open_page(tmp_path / "runs", read_only=True)
    assert client.get("/api/runs").json()["writes"] is False
    assert client.post("/api/start", json={"words": "quickstart"}, headers=WRITE).status_code in (404, 405)
    assert not begun


@pytest.mark.parametrize(
    "words", ["--run /tmp/x quickstart", "quickstart --run /tmp/x", "nonesuch", "quickstart x", "'"]
)
def test_a_recipe_and_edits_can_be_started_and_no_flags(
    words: str, make_run: Make, tmp_path: Path, begun: list[list[str]]
):
    make_run()
    client = open_page(tmp_path / "runs")
    answer = client.post("/api/start", json={"words": words}, headers=WRITE)
    assert answer.status_code == 400
    assert answer.json()["says"]
    assert not begun
    client.post("/api/start", json={"words": "quickstart 'train.batch=8'"}, headers=WRITE)
    assert begun == [["train", "quickstart", "train.batch=8"]]


def test_a_training_is_asked_to_save_and_stop_where_it_holds_the_run(
    make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run, sent = make_run(), []
    monkeypatch.setattr(work.os, "kill", lambda *given: sent.append(given))
    client = open_page(tmp_path / "runs")
    address = f"/api/runs/{ids(client)['one']}/stop"
    assert client.post(address, json={}, headers=WRITE).status_code == 400
    with locked(run.path, "training"):
        Run(run.path).write_state("running", {})
        assert client.post(address, json={}, headers=WRITE).status_code == 200
    assert sent == [(os.getpid(), signal.SIGTERM)]
