"""The page in a real browser: what is live, what is frozen, with a keyboard, on a phone, by anybody."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gander.report.frozen import report
from tests.dash.conftest import FINDING, Make, make_run

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt-get install chromium"),
]
__all__ = ["make_run"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = [
            "--no-sandbox",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-component-update",
        ]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open an address; at the end, nothing was complained of and no other machine was asked."""
    complaints: list[str] = []
    contexts = []

    def opened(address: str, width: int = 1_200, **settings: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        page = context.new_page()
        own = ("file:", "data:", "blob:", "http://127.0.0.1:")
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda asked: asked.url.startswith(own) or complaints.append(f"asked for {asked.url}")
        )
        page.goto(address)
        page.wait_for_selector(".chart canvas")
        return page

    opened.complaints = complaints  # type: ignore[attr-defined]
    yield opened
    for context in contexts:
        context.close()
    assert not complaints


class Server:
    """`gander dash` of a folder in a thread, with its address and one-time link."""

    def __init__(self, folder: Path, port: int) -> None:
        import uvicorn

        from gander.dash.server import build_app

        app = build_app(folder, "secret", "key", ("127.0.0.1",))
        self.server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}/?token=secret"

    def stop(self) -> None:
        self.server.should_exit = self.server.force_exit = True
        self.thread.join()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers = []

    def served(port: int = 0) -> Server:
        servers.append(Server(tmp_path / "runs", port))
        return servers[-1]

    yield served
    for server in servers:
        server.stop()


def ill(run: Any) -> Any:
    (run.path / "findings.jsonl").write_text(json.dumps(FINDING) + "\n")
    return run


def test_a_row_that_is_written_is_on_the_page_within_two_seconds(make_run: Make, serve: Any, visit: Any):
    run = make_run()
    page = visit(serve().address)
    legend = page.locator('[data-panel="loss"] .legend')
    assert "loss/g 2" in legend.inner_text()
    with run.log_file.open("a") as log:
        log.write('{"images": 6000, "loss/d": 0.1, "loss/g": 77.0}\n')
    legend.get_by_text("loss/g 77").wait_for(timeout=2_500)
    live = page.locator("#charts").inner_text()
    page.reload()
    page.wait_for_selector(".chart canvas")
    assert page.locator("#charts").inner_text() == live


def test_the_scrubber_moves_pictures_by_mouse_and_keyboard(make_run: Make, tmp_path: Path, visit: Any):
    page = visit(report([make_run()], tmp_path / "report.html").as_uri())
    where, picture = page.locator("#where"), page.locator("#pictures figure[data-id] img")
    assert where.inner_text() == "5,000 images"
    last = picture.get_attribute("src")
    page.keyboard.press("ArrowLeft")
    assert where.inner_text() == "1,000 images"
    assert picture.get_attribute("src") != last
    assert page.locator("#slide").get_attribute("aria-valuetext") == "1,000 images"
    assert "at=1000" in page.url
    page.locator("#slide").focus()
    page.keyboard.press("End")
    assert where.inner_text() == "5,000 images"


def test_the_address_holds_the_view(make_run: Make, tmp_path: Path, visit: Any):
    address = report([make_run("one"), make_run("two")], tmp_path / "report.html").as_uri()
    page = visit(f"{address}#runs=0,1&at=1000&hide=recipes,about")
    assert page.locator("#pictures figure[data-id]").count() == 2
    assert page.locator("#where").inner_text() == "1,000 images"
    assert page.locator("#difference").is_hidden()
    assert page.locator("#about").is_hidden()


def test_a_report_shows_what_the_live_page_shows(make_run: Make, tmp_path: Path, serve: Any, visit: Any):
    run = ill(make_run())
    live, frozen = visit(serve().address), visit(report([run], tmp_path / "report.html").as_uri())
    for section in ("#pictures", "#findings", "#charts"):
        shown = live.locator(section).inner_text().replace("Branch with this remedy", "").split()
        assert frozen.locator(section).inner_text().split() == shown


def test_a_finding_says_since_when_why_and_what_to_type(make_run: Make, tmp_path: Path, visit: Any):
    run = ill(make_run())
    page = visit(report([run], tmp_path / "report.html").as_uri())
    said = page.locator(".finding").inner_text()
    for part in (
        "mode-collapse",
        "90 % sure",
        "since 2,000 images",
        "g-rate-high",
        "probe/diversity",
        "above 0.5",
    ):
        assert part in said
    assert page.locator(".finding pre").inner_text() == f"gander train --from {run.path} train.g_lr=5e-5"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_the_way_of_anybody(scheme: str, make_run: Make, serve: Any, visit: Any):
    from axe_playwright_python.sync_playwright import Axe

    ill(make_run())
    page = visit(serve().address, color_scheme=scheme, bypass_csp=True)
    found = Axe().run(page).response["violations"]
    assert not [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found]


@pytest.mark.parametrize("width", [360, 1_600])
def test_no_width_makes_it_scroll_sideways(width: int, make_run: Make, tmp_path: Path, visit: Any):
    runs = [ill(make_run("a-run-with-a-rather-long-name-that-has-no-blanks-in-it")), make_run("two")]
    page = visit(report(runs, tmp_path / "report.html").as_uri() + "#runs=0,1", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_open_page_goes_on_when_the_server_is_back(make_run: Make, serve: Any, visit: Any):
    make_run()
    server = serve()
    page = visit(server.address)
    page.get_by_text("1 run", exact=True).wait_for(timeout=2_000)
    server.stop()
    page.get_by_text("the server does not answer").wait_for(timeout=4_000)
    make_run("two")
    serve(server.port)
    page.get_by_text("2 runs", exact=True).wait_for(timeout=4_000)
    visit.complaints.clear()  # of the browser, while nobody answered


def test_hostile_words_stay_words(make_run: Make, serve: Any, visit: Any):
    hostile = "<img src=x onerror=document.title='owned'>"
    run = make_run("<b>bold", title=hostile, classes=(hostile,))
    (run.path / "findings.jsonl").write_text(json.dumps(FINDING | {"code": hostile, "says": hostile}) + "\n")
    with run.log_file.open("a") as log:
        log.write(json.dumps({"images": 9_000, hostile: 1.0, "__proto__": 3.0}) + "\n")
    page = visit(serve().address)
    assert hostile in page.locator("#findings").inner_text()
    assert page.locator("img[src=x]").count() == 0
    assert page.title() == "<b>bold · gander"


def test_two_hundred_long_runs_are_listed_within_a_second(make_run: Make, serve: Any, visit: Any):
    first = make_run("run-000", rows=5_000)
    for number in range(1, 200):
        shutil.copytree(first.path, first.path.with_name(f"run-{number:03}"))
    address = serve().address
    page = visit(address)
    painted = page.evaluate("performance.getEntriesByType('paint').map((each) => each.startTime)")
    assert page.locator("#list li").count() == 200
    assert min(painted) < 1_000
    assert page.evaluate("performance.memory.usedJSHeapSize") < 150e6
