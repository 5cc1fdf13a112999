"""The server of the page: what it answers, to whom, and the three things it can be asked to do.

Runs are asked for by id and files by a closed list of names, so that no path comes from outside.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from gander.dash.folder import Folder
from gander.dash.work import branch, start, stop
from gander.errors import GanderError, UsageError
from gander.files import no_link
from gander.report.frozen import page
from gander.report.views import log_after, view
from gander.run import Run

_PAGE = {
    "page.css": "text/css",
    "uplot.css": "text/css",
    "page.js": "text/javascript",
    "uplot.js": "text/javascript",
}
_LARGEST_PICTURE = 32 << 20
_LARGEST_BODY = 64 << 10
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Scope = MutableMapping[str, Any]
Pass = Callable[..., Awaitable[Any]]


class Door:
    """Lets nobody in who has not come by the one-time link, and sends every answer with safe headers.

    The link's token is exchanged for a cookie at its first use, and is worth nothing afterwards.
    """

    def __init__(self, app: Pass, token: str, key: str) -> None:
        self.app, self._token, self._key = app, token, key
        # A browser sends cookies to every port: two servers must not take each other's away.
        self._cookie = f"gander-{hashlib.sha256(key.encode()).hexdigest()[:8]}"

    async def __call__(self, scope: Scope, receive: Pass, send: Pass) -> None:
        """Answer 403, exchange the token, or pass on what comes with the cookie."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        request = Request(scope)
        given = request.query_params.get("token", "")
        answer: Response | None = None
        if (
            scope["path"] == "/"
            and given
            and self._token
            and secrets.compare_digest(given.encode(), self._token.encode())
        ):
            self._token = ""
            answer = RedirectResponse("/", status_code=303)
            answer.set_cookie(self._cookie, self._key, httponly=True, samesite="strict", path="/")
        elif not secrets.compare_digest(request.cookies.get(self._cookie, "").encode(), self._key.encode()):
            answer = PlainTextResponse(
                "Open the address that gander dash printed; it works once. For another, start it anew.", 403
            )
        elif scope["method"] not in ("GET", "HEAD") and not _ours(request):
            answer = PlainTextResponse("refused: this does not come from the page", 403)
        await (answer or self.app)(scope, receive, guarded)


def _ours(request: Request) -> bool:
    """Tell whether a write comes from our own page: no other page can send this header, or this origin."""
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    return request.headers.get("x-gander") == "page" and origin in (f"http://{host}", f"https://{host}")


class Answers:
    """What the server says of a folder of runs, and does for the page."""

    def __init__(self, folder: Path, read_only: bool) -> None:
        self.watched, self.read_only = Folder(folder), read_only

    def routes(self) -> list[Route]:
        """Give each address with its answer."""
        looking = [
            Route("/", lambda _: HTMLResponse(page())),
            Route("/page/{name}", self.asset),
            Route("/api/runs", self.runs),
            Route("/api/runs/{id}", self.run),
            Route("/api/runs/{id}/log", self.log),
            Route("/api/runs/{id}/pictures/{which}", self.picture),
        ]
        writes = ("/api/start", "/api/runs/{id}/stop", "/api/runs/{id}/branch")
        return looking + [Route(path, self.write, methods=["POST"]) for path in writes if not self.read_only]

    def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _PAGE:
            return _missing()
        content = resources.files("gander.report").joinpath("page", name).read_bytes()
        return Response(content, media_type=_PAGE[name])

    def runs(self, _: Request) -> Response:
        return JSONResponse({"runs": self.watched.runs(), "writes": not self.read_only})

    def run(self, request: Request) -> Response:
        run = self._found(request)
        if run is None:
            return _missing()
        name = str(run.path.relative_to(self.watched.path))
        return JSONResponse(view(run) | {"id": request.path_params["id"], "name": name})

    def log(self, request: Request) -> Response:
        run, after = self._found(request), request.query_params.get("after", "0")
        if run is None or not after.isdecimal() or len(after) > 15:
            return _missing()
        return JSONResponse(log_after(run, int(after)))

    def picture(self, request: Request) -> Response:
        run, which = self._found(request), request.path_params["which"]
        if run is None or not (which == "reals" or (which.isdecimal() and len(which) <= 12)):
            return _missing()
        content = _content(run.reals_file if which == "reals" else run.sheet_file(int(which)))
        return _missing() if content is None else Response(content, media_type="image/png")

    async def write(self, request: Request) -> Response:
        """Start, stop or branch a training, and say what was done."""
        if int(request.headers.get("content-length") or _LARGEST_BODY + 1) > _LARGEST_BODY:
            return JSONResponse({"says": "refused: too long"}, 413)
        try:
            given = await request.json()
            return JSONResponse({"says": await run_in_threadpool(self._done, request, given)})
        except GanderError as error:
            return JSONResponse({"says": str(error)}, 400)
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"says": "refused: not what this takes"}, 400)

    def _done(self, request: Request, given: Any) -> str:
        what, folder = request.scope["path"].rpartition("/")[2], self.watched.path
        if what == "start":
            return start(folder, str(given["words"]))
        run = self._found(request)
        if run is None:
            raise UsageError("there is no such run")
        return stop(run) if what == "stop" else branch(folder, run, [str(edit) for edit in given["edits"]])

    def _found(self, request: Request) -> Run | None:
        return self.watched.run(request.path_params["id"])


def build_app(folder: Path, token: str, key: str, hosts: Sequence[str], read_only: bool = False) -> Starlette:
    """Build the server's application for a folder of runs.

    Args:
        token: of the one-time link.
        key: what the cookie holds that the token is exchanged for.
        hosts: names and addresses by which it may be asked for; others are refused, against DNS rebinding.
        read_only: refuse everything but looking.
    """
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=[*hosts], www_redirect=False),
        Middleware(Door, token=token, key=key),
        Middleware(GZipMiddleware, minimum_size=4096),
    ]
    return Starlette(routes=Answers(folder, read_only).routes(), middleware=middleware)


def _missing() -> Response:
    return JSONResponse({"says": "there is no such thing"}, 404)


def _content(path: Path) -> bytes | None:
    """Read a regular file of a run; no link is followed, and nothing is waited for."""
    try:
        with open(path, "rb", opener=no_link) as file:
            found = os.fstat(file.fileno())
            regular = stat.S_ISREG(found.st_mode) and found.st_size <= _LARGEST_PICTURE
            return file.read() if regular else None
    except OSError:
        return None
