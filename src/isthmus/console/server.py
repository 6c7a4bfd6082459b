"""HTTP servers of the console: the API over TLS, and monitoring over loopback. Sockets are bound before anything is
promised, so a taken port is an error at once."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn

from isthmus.console.error import ConsoleError
from isthmus.console.settings import split_address

_GRACE_SECONDS = 2
_IDLE_SECONDS = 60


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serves an ASGI application until stopped.

    Raises:
        ConsoleError: the address cannot be listened on.
    """

    def __init__(self, application: Any, listen: str, identity: Path | None = None) -> None:
        """Args:
        application: the ASGI application.
        listen: host:port; port 0 takes a free one.
        identity: PEM file of private key and certificate chain; without it the server speaks plain HTTP.
        """
        self._listener = _bind(listen)
        self._context = tls_context(identity) if identity is not None else None
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            timeout_keep_alive=_IDLE_SECONDS,
            ssl_context_factory=(lambda _config, _default: self._require_context()) if identity else None,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self._listener.getsockname()[1])

    def _require_context(self) -> ssl.SSLContext:
        assert self._context is not None
        return self._context

    def reload(self, identity: Path) -> None:
        """Show another certificate on new connections."""
        self._require_context().load_cert_chain(identity)

    def start(self) -> None:
        """Begin to serve."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[self._listener]))

    async def stop(self) -> None:
        """Finish the requests under way, for a few seconds at most, and close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._listener.close()


def tls_context(identity: Path) -> ssl.SSLContext:
    """A server's TLS 1.2 and later with the certificate of a file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(identity)
    return context


def require_loopback(listen: str) -> None:
    """Refuse an address that others than this machine reach.

    Raises:
        ConsoleError: it is not a loopback address.
    """
    host, _ = split_address(listen)
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise ConsoleError(f"Monitoring is in clear and only for this machine: {host} is not a loopback address.")


def _bind(listen: str) -> socket.socket:
    host, port = split_address(listen)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        raise ConsoleError(f"Cannot listen on {listen}: {error.strerror or error}.") from error
    return listener
