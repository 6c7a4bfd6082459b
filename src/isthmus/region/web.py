"""HTTP for monitors on this machine: /healthz and /metrics, in clear, on a loopback address."""

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST

from isthmus.region.error import RegionRefused

Health = Callable[[], tuple[bool, str]]
"""Whether the process does its work, and a sentence why not."""

Metrics = Callable[[], Awaitable[bytes]]
"""The metrics in Prometheus' text format."""

_log = structlog.get_logger()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class WebServer:
    """Serves until stopped. Raises RegionRefused for an address that is not loopback, OSError for a taken one."""

    def __init__(self, address: str, port: int, health: Health, metrics: Metrics) -> None:
        self._listener = _listen(address, port)
        self._health = health
        self._metrics = metrics
        config = uvicorn.Config(
            self._answer, interface="asgi3", log_config=None, access_log=False, lifespan="off", ws="none"
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Begins to serve."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[self._listener]))

    async def stop(self) -> None:
        """Ends open connections and the listener."""
        if self._task is not None:
            self._server.should_exit = self._server.force_exit = True
            await self._task
        self._listener.close()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        began, status, kind, body = time.monotonic(), 404, "text/plain", b"not found\n"
        if scope["method"] not in ("GET", "HEAD"):
            status, body = 405, b"only GET\n"
        elif scope["path"] == "/healthz":
            healthy, word = self._health()
            status, body = 200 if healthy else 503, f"{word}\n".encode()
        elif scope["path"] == "/metrics":
            status, kind, body = 200, CONTENT_TYPE_LATEST, await self._metrics()
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
        milliseconds = round((time.monotonic() - began) * 1000, 3)
        _log.info("http.access", method=scope["method"], path=scope["path"], status=status, milliseconds=milliseconds)


def _listen(address: str, port: int) -> socket.socket:
    ip = ipaddress.ip_address(address)
    if not ip.is_loopback:
        raise RegionRefused(f"Metrics are served in clear, so on a loopback address only; {address} is none.")
    listener = socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    return listener
