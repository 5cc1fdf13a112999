"""Serving the page at an address that is printed first."""

from __future__ import annotations

import hmac
import os
import secrets
import socket
import sys
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path

import uvicorn

from gander.dash.server import build_app
from gander.data.store import cache_folder
from gander.errors import UsageError

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def serve(folder: Path, host: str, port: int, read_only: bool, browser: bool) -> None:
    """Serve a folder of runs until it is interrupted; the first line that is printed is the address.

    Raises: UsageError where the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        raise UsageError(
            f"--host {host} --port {port}: cannot be listened at: {error.strerror or error}",
            hint="--port 0 takes a free one",
        ) from None
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(32)
    everywhere = host in ("0.0.0.0", "::")
    shown = socket.gethostname() if everywhere else f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}/?token={token}"
    print(address, flush=True)
    if host not in ("127.0.0.1", "localhost", "::1"):
        print(
            f"others on this network can reach {shown}:{port}, and need this address to get in",
            file=sys.stderr,
            flush=True,
        )
    hosts = (*_LOOPBACK, shown) if everywhere else (*_LOOPBACK, host)
    app = build_app(folder, token, _key(port), hosts, read_only)
    if browser and not everywhere:
        threading.Timer(0.5, webbrowser.open, [address]).start()
    settings = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off")
    uvicorn.Server(settings).run(sockets=[listening])


def _key(port: int) -> str:
    """Give the cookie's key of a port: the same after a restart, so that an open page goes on."""
    file = cache_folder() / "dash-key"
    with suppress(OSError):  # it is there already, or cannot be: then the key lives as long as this process
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
            new.write(secrets.token_bytes(32))
    held = secrets.token_bytes(32)
    with suppress(OSError):
        held = file.read_bytes() if file.stat().st_size == 32 else held
    return hmac.new(held, b"%d" % port, "sha256").hexdigest()
