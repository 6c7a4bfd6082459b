"""Servers that say everything back, over TCP, TLS and UDP, and their clients."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast


class Echo:
    """A server on a TCP and a UDP port of one number that says its name, then everything back.

    `tls`: what it speaks on TCP.
    """

    def __init__(self, name: str, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.address = address
        self.port = port
        self.accepted = 0
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.address, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(self.address, self.port)
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError):
            writer.write(f"{self.name}\n".encode())
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    def stop(self) -> None:
        self._server.close()
        self._transport.close()
        for writer in self._writers:
            writer.transport.abort()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, echo: Echo) -> None:
        self._echo = echo

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(self._echo.name.encode() + b" " + data, addr)


@dataclass
class Connection:
    """A client's end of a TCP connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    name: str

    async def say(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await asyncio.wait_for(self.reader.readexactly(len(data)), 60)


@contextlib.asynccontextmanager
async def connected(
    port: int,
    address: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    local: str = "",
) -> AsyncIterator[Connection]:
    """A connection to an Echo, whose name is read. It is empty when the connection was closed at once."""
    reader, writer = await asyncio.open_connection(
        address, port, ssl=tls, server_hostname=server_name, local_addr=(local, 0) if local else None
    )
    try:
        name = (await asyncio.wait_for(reader.readline(), 60)).decode().strip()
        yield Connection(reader, writer, name)
    finally:
        writer.close()


async def names(port: int, connections: int) -> Counter[str]:
    """Who answers that many connections; empty names are connections that were closed."""
    found: Counter[str] = Counter()
    for _ in range(connections):
        async with connected(port) as connection:
            found[connection.name] += 1
    return found


class _Answers(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.queue.put_nowait(data)


async def ask(port: int, data: bytes, address: str = "127.0.0.1", patience: float = 0.5) -> bytes:
    """The answer to a datagram from a new port, sent again after so many seconds without one."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_Answers, remote_addr=(address, port))
    try:
        for _ in range(120):
            transport.sendto(data)
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(protocol.queue.get(), patience)
    finally:
        transport.close()
    raise AssertionError("no answer")
