"""How bodies reach receivers of telemetry: by HTTP, by gRPC, by syslog, into a file. One sender per receiver."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from functools import partial

from isthmus.discovery.http import transport_error
from isthmus.discovery.tls import make_context
from isthmus.exporter.delivery import BodyRefused, Sender, Unsent, header_text
from isthmus.exporter.grpc_sender import GrpcSender
from isthmus.exporter.http_sender import HttpSender
from isthmus.model.key import ObjectKey
from isthmus.site.log_file import LogFiles
from isthmus.telemetry.setting import FileSettings, HttpSettings, Settings, SyslogSettings
from isthmus.telemetry.syslog import parse_frames

SecretValue = Callable[[ObjectKey], str | None]
_SYSLOG_TIMEOUT = 10.0
_LINGER = 0.05
"""Seconds in which a receiver's end of a connection is noticed before its next use."""


def make_sender(settings: Settings, secret: SecretValue, files: LogFiles) -> Sender:
    """`files`: those of file receivers. Raises SettingError: the trusted authority is not PEM; OSError."""
    match settings:
        case HttpSettings(protocol="GRPC"):
            return GrpcSender(settings, partial(secret_headers, settings, secret))
        case HttpSettings():
            return HttpSender(settings, partial(secret_headers, settings, secret))
        case SyslogSettings():
            return SyslogSender(settings)
    return FileSender(settings, files)


def secret_headers(settings: HttpSettings, secret: SecretValue) -> dict[str, str]:
    """The headers that hold secrets, with these as they are now. Raises Unsent: one is not here, or no header."""
    headers = {name: _value(key, secret) for name, key in settings.secret_headers}
    if settings.token is not None:
        headers["authorization"] = f"Bearer {_value(settings.token, secret)}"
    return headers


def _value(key: ObjectKey, secret: SecretValue) -> str:
    value = secret(key)
    if value is None:
        raise Unsent(f"the site has no copy of {key.title} yet")
    return header_text(value, key.title)


class SyslogSender:
    """Sends frames over a connection that stays, or datagrams."""

    def __init__(self, settings: SyslogSettings) -> None:
        self._settings = settings
        self._context = make_context(settings.trusted_ca.encode()) if settings.transport == "TLS" else None
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, body: bytes) -> int:
        """See Sender. A receiver of syslog acknowledges nothing: taken is what the kernel took."""
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
        """See Sender."""
        try:
            await asyncio.to_thread(self._files.append, self._settings, body)
        except OSError as error:
            raise Unsent(f"{self._files.path(self._settings)}: {error.strerror}") from error
        return 0

    async def close(self) -> None:
        """Nothing stays open between bodies, so that others may rotate the file as well."""
