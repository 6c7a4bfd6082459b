"""An application that reads in front of each connection who its client is."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Coroutine


class ProxiedApp:
    """Hears which address the PROXY protocol names, before TLS if it speaks that."""

    def __init__(self, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1", port: int = 0) -> None:
        self._tls = tls
        self._socket = socket.create_server((address, port))
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])
        self.seen: list[tuple[str, str, str]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._keep(self._accept())

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._socket.close()

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(self._socket)
            self._keep(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()

        async def take(size: int) -> bytes:  # and not one byte more: what follows may be TLS
            taken = b""
            while len(taken) < size:
                taken += await loop.sock_recv(connection, size - len(taken))
            return taken

        head = await take(16)
        if head.startswith(b"\r\n\r\n\x00\r\nQUIT\n"):
            rest = await take(int.from_bytes(head[14:]))
            assert head[12:14] == b"\x21\x11"  # version 2, on behalf of somebody, over TCP and IPv4
            self.seen.append(("V2", socket.inet_ntoa(rest[:4]), socket.inet_ntoa(rest[4:8])))
        else:
            while not head.endswith(b"\n"):
                head += await take(1)
            _, kind, source, destination, _, _ = head.decode().split(" ")
            assert kind == "TCP4"
            self.seen.append(("V1", source, destination))
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader, lambda *_: None)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls)
        await reader.readuntil(b"\r\n\r\n")
        transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        transport.close()
