"""How bodies reach receivers of telemetry: by HTTP, by gRPC, by syslog, into a file. One sender per receiver.

`send` returns how many items the receiver said it did not take, once the others are taken. It raises `BodyRefused` for
a body that will never be taken, and anything else for one to be tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Protocol

import httpx

from isthmus.discovery.http import make_client, short, transport_error
from isthmus.discovery.tls import make_context
from isthmus.site.delivery import GZIP, BodyRefused, SecretValue, Unsent, rejected_items, secret_headers
from isthmus.site.grpc_sender import GrpcSender
from isthmus.site.log_file import LogFiles
from isthmus.telemetry.setting import FileSettings, HttpSettings, Settings, SyslogSettings
from isthmus.telemetry.syslog import parse_frames

_HOPELESS = frozenset((400, 405, 411, 413, 414, 415, 422, 501))
"""Statuses that say that this body will never be taken. Others may end: a wrong token, a path that is yet to come."""
_SYSLOG_TIMEOUT = 10.0
_LINGER = 0.05
"""Seconds in which a receiver's end of a connection is noticed before its next use."""
OTLP_PATHS = {b"L": "/v1/logs", b"M": "/v1/metrics", b"T": "/v1/traces"}
"""First byte of an OTLP body on the spool, and where the rest goes."""


class Sender(Protocol):
    """One receiver's."""

    async def send(self, body: bytes) -> int:
        """As the module says."""
        ...

    async def close(self) -> None:
        """End connections."""
        ...


def make_sender(settings: Settings, secret: SecretValue, files: LogFiles) -> Sender:
    """`files`: those of file receivers. Raises SettingError: the trusted authority is not PEM; OSError."""
    match settings:
        case HttpSettings(protocol="GRPC"):
            return GrpcSender(settings, secret)
        case HttpSettings():
            return HttpSender(settings, secret)
        case SyslogSettings():
            return SyslogSender(settings)
    return FileSender(settings, files)


class HttpSender:
    """Posts bodies."""

    def __init__(self, settings: HttpSettings, secret: SecretValue) -> None:
        self._settings = settings
        self._secret = secret
        secure = settings.url.startswith("https://")
        context = make_context(settings.trusted_ca.encode()) if secure else None
        self._client = make_client("", context, dict(settings.headers))
        self._host = httpx.URL(settings.url).host

    async def send(self, body: bytes) -> int:
        """As the module says."""
        settings, kind = self._settings, b""
        url = settings.url
        headers = self._headers()
        if settings.form == "OTLP":
            kind, body = body[:1], body[1:]
            url += OTLP_PATHS[kind]
        if body.startswith(GZIP):
            headers["content-encoding"] = "gzip"
        try:
            response = await self._client.post(url, content=body, headers=headers, timeout=settings.timeout / 1000)
        except (httpx.HTTPError, OSError) as error:
            raise Unsent(str(transport_error(self._host, error))) from error
        if response.is_success:
            return rejected_items(response.content) if kind else 0
        secrets = [value for name, value in headers.items() if name not in ("content-type", "content-encoding")]
        text = f"{self._host} answered {response.status_code}: {short(response.text, secrets)}"
        raise BodyRefused(text) if response.status_code in _HOPELESS else Unsent(text)

    async def close(self) -> None:
        """End connections."""
        await self._client.aclose()

    def _headers(self) -> dict[str, str]:
        """With the secrets as they are now."""
        form = {"NDJSON": "application/x-ndjson", "JSON": "application/json"}
        headers = {"content-type": form.get(self._settings.form, "application/x-protobuf")}
        return headers | secret_headers(self._settings, self._secret)


class SyslogSender:
    """Sends frames over a connection that stays, or datagrams."""

    def __init__(self, settings: SyslogSettings) -> None:
        self._settings = settings
        self._context = make_context(settings.trusted_ca.encode()) if settings.transport == "TLS" else None
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, body: bytes) -> int:
        """As the module says. A receiver of syslog acknowledges nothing: taken is what the kernel took."""
        settings = self._settings
        try:
            async with asyncio.timeout(_SYSLOG_TIMEOUT):
                if settings.transport == "UDP":
                    await self._send_datagrams(parse_frames(body))
                else:
                    await self._send_stream(body)
        except (OSError, TimeoutError) as error:  # an SSLError is one
            await self.close()
            raise Unsent(str(transport_error(f"{settings.host}:{settings.port}", error))) from error
        except ValueError as error:
            raise BodyRefused(str(error)) from error
        return 0

    async def close(self) -> None:
        """End the connection."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream[1].close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await stream[1].wait_closed()

    async def _send_stream(self, body: bytes) -> None:
        if self._stream is not None and await self._ended(self._stream[0]):
            await self.close()
        if self._stream is None:
            settings = self._settings
            name = settings.host if self._context is not None else None
            self._stream = await asyncio.open_connection(
                settings.host, settings.port, ssl=self._context, server_hostname=name
            )
        writer = self._stream[1]
        writer.write(body)
        await writer.drain()

    async def _ended(self, reader: asyncio.StreamReader) -> bool:
        """Whether the receiver has closed the connection. It says nothing else, so what it says is not looked at."""
        try:
            async with asyncio.timeout(_LINGER):
                return await reader.read(4096) == b""
        except TimeoutError:
            return False

    async def _send_datagrams(self, messages: list[bytes]) -> None:
        loop = asyncio.get_running_loop()
        settings = self._settings
        [(family, _, _, _, address), *_] = await loop.getaddrinfo(settings.host, settings.port, type=socket.SOCK_DGRAM)
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            await loop.sock_connect(sender, address)
            for message in messages:
                await loop.sock_sendall(sender, message)


class FileSender:
    """Appends to a file."""

    def __init__(self, settings: FileSettings, files: LogFiles) -> None:
        self._settings = settings
        self._files = files
        files.use(settings)

    async def send(self, body: bytes) -> int:
        """As the module says."""
        try:
            await asyncio.to_thread(self._files.append, self._settings, body)
        except OSError as error:
            raise Unsent(f"{self._files.path(self._settings)}: {error.strerror}") from error
        return 0

    async def close(self) -> None:
        """Nothing stays open between bodies, so that others may rotate the file as well."""
