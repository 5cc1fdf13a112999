"""Serving the page at an address that is printed first."""

from __future__ import annotations

import secrets
import socket
import sys
import threading
import webbrowser
from pathlib import Path

import uvicorn

from gander.dash.server import build_app
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
    app = build_app(folder, token, hosts, read_only)
    if browser and not everywhere:
        threading.Timer(0.5, webbrowser.open, [address]).start()
    settings = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off")
    uvicorn.Server(settings).run(sockets=[listening])
