"""How ACME servers are connected to: over the addresses that were looked at, and may be reached, for as long as
somebody waits for the answer."""

import contextlib
import io
import socket
import threading
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError

from isthmus.console.target import Networks, TargetUnknown, resolve_addresses

MOST = 1 << 20
"""Bytes of an answer that are read: a chain has some thousands."""
_PIECE = 1 << 16


class AnswerTooLong(Exception):
    """The message is a part of a sentence for people."""


class CheckedAdapter(HTTPAdapter):
    """Of `requests`, for https. Raises TargetRefused for a host that may not be reached, and AnswerTooLong."""

    def __init__(self, allowed: Networks) -> None:
        self._allowed = allowed
        self._line = _Line()
        super().__init__()

    def cut(self) -> None:
        """End all that is under way, in whatever thread, and take up nothing any more."""
        self._line.cut()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """As declared there; the answer is read here, as much of it as may be, and is not decompressed."""
        request.headers["Accept-Encoding"] = "identity"
        response = super().send(request, *args, **{**kwargs, "stream": True})
        body = io.BytesIO()
        try:
            for piece in response.raw.stream(_PIECE, decode_content=False):
                body.write(piece)
                if body.tell() > MOST:
                    raise AnswerTooLong(f"{request.url} answers with more than {MOST} bytes")
        except (HTTPError, OSError) as error:
            raise requests.exceptions.ConnectionError(error, request=request) from error
        finally:
            response.raw.release_conn() if body.tell() <= MOST else response.close()
        body.seek(0)
        response.raw = body
        return response

    def close(self) -> None:
        """Nothing is asked any more."""
        super().close()
        self._line.close()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Have its pools make connections that check."""
        super().init_poolmanager(*args, **kwargs)
        allowed, line = self._allowed, self._line

        class Connection(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return line.hold(self, _connect(self, allowed))

            def close(self) -> None:
                super().close()
                line.release(self)

        class Pool(HTTPSConnectionPool):
            ConnectionCls = Connection

        self.poolmanager.pool_classes_by_scheme = {"https": Pool}


class _Line:
    """The connections of one adapter. Each is held by a descriptor of its own: TLS takes the first one away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[HTTPSConnection, socket.socket] = {}
        self._is_cut = False

    def hold(self, connection: HTTPSConnection, made: socket.socket) -> socket.socket:
        with self._lock:
            if self._is_cut:
                made.close()
                raise NewConnectionError(connection, "nobody waits for the answer any more")
            before, self._held[connection] = self._held.get(connection), made.dup()
        if before is not None:
            before.close()
        return made

    def release(self, connection: HTTPSConnection) -> None:
        """It is closed: a server that ends each connection takes no descriptors by it."""
        with self._lock:
            held = self._held.pop(connection, None)
        if held is not None:
            held.close()

    def cut(self) -> None:
        with self._lock:
            self._is_cut = True
            for each in self._held.values():
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            held, self._held = self._held, {}
        for each in held.values():
            each.close()


def _connect(connection: HTTPSConnection, allowed: Networks) -> socket.socket:
    port = connection.port or 443
    timeout = connection.timeout if isinstance(connection.timeout, int | float) else None
    try:
        addresses = resolve_addresses(connection.host, port, allowed)
    except TargetUnknown as error:
        raise NewConnectionError(connection, str(error)) from error
    reason: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout)
        except OSError as error:
            reason = error
    raise NewConnectionError(connection, f"no connection: {reason}")
