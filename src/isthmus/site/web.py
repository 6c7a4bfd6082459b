"""HTTP for people and monitors on this machine: /healthz, /metrics, and on the owner-only socket status and explain."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from isthmus.protocol import ProtocolError

Health = Callable[[], tuple[bool, str]]
"""Whether the process does its work, and a word why not."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class WebServer:
    """One application on one listening socket."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        self._listener = listener
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]))

    async def stop(self) -> None:
        if self._task is not None:
            self._server.should_exit = True
            await self._task
        self._listener.close()


def listen_unix(path: Path) -> socket.socket:
    """A listening Unix socket that only its owner can use."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(64)
    return listener


def listen_loopback(address: str, port: int) -> socket.socket:
    """A listening TCP socket on a loopback address. Raises ValueError for any other address: it has no protection."""
    ip = ipaddress.ip_address(address)
    if not ip.is_loopback:
        raise ValueError(f"metrics are served in clear, on loopback addresses only; {address} is none")
    listener = socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(64)
    return listener


def monitor_app(healthy: Health, metrics: Callable[[], Awaitable[bytes]]) -> FastAPI:
    """/healthz: 200 or 503; /metrics: Prometheus text."""
    app = FastAPI(openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> Response:
        good, word = healthy()
        return Response(word + "\n", status_code=200 if good else 503, media_type="text/plain")

    @app.get("/metrics")
    async def read_metrics() -> Response:
        return Response(await metrics(), media_type=CONTENT_TYPE_LATEST)

    return app


def local_app(
    query: Callable[[str, bytes], Awaitable[bytes]], stop: Callable[[bool], None], healthy: Health
) -> FastAPI:
    """GET /status, POST /explain, POST /stop {"engines": bool}, GET /healthz.

    `query` takes a kind and a JSON body and returns JSON; a ProtocolError of its becomes a 422 with code and message.
    """
    app = FastAPI(openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> Response:
        good, word = healthy()
        return Response(word + "\n", status_code=200 if good else 503, media_type="text/plain")

    @app.get("/status")
    async def status() -> Response:
        return Response(await query("status", b"{}"), media_type="application/json")

    @app.post("/explain")
    async def explain(request: Request) -> Response:
        try:
            return Response(await query("explain", await request.body()), media_type="application/json")
        except ProtocolError as error:
            body = json.dumps({"error": {"code": error.code, "message": str(error)}})
            return Response(body, status_code=422, media_type="application/json")

    @app.post("/stop")
    async def stop_site(request: Request) -> dict[str, bool]:
        engines = bool(json.loads(await request.body() or b"{}").get("engines", False))
        stop(engines)
        return {"engines": engines}

    return app
