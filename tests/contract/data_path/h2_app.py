"""An application that speaks HTTP/2 from the first byte, without TLS."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded
from h2.exceptions import ProtocolError


@dataclass
class H2App:
    """Says who it is and what it was asked, in JSON."""

    name: str
    port: int = 0
    requests: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        asked: dict[int, dict[str, str]] = {}
        try:
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, RequestReceived):
                        asked[event.stream_id] = dict(event.headers)
                    elif isinstance(event, StreamEnded):
                        self._answer(connection, event.stream_id, asked.pop(event.stream_id))
                writer.write(connection.data_to_send())
                await writer.drain()
        except (ConnectionError, ProtocolError):
            pass
        self._writers.discard(writer)
        writer.close()

    def _answer(self, connection: H2Connection, stream: int, headers: dict[str, str]) -> None:
        if headers[":path"] != "/healthz":
            self.requests += 1
        body = json.dumps({"app": self.name, "protocol": "HTTP/2", "headers": headers}).encode()
        connection.send_headers(stream, [(":status", "200"), ("content-length", str(len(body)))])
        connection.send_data(stream, body, end_stream=True)
