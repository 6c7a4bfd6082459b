"""The access log service: takes Envoy's messages as they are, undecoded, over an owner-only Unix socket.

A message is some hundred records, so what happens here costs next to nothing per record. Who empties the server too
slowly makes it read no more: Envoy then drops records itself, and counts them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
from envoy.service.accesslog.v3 import als_pb2

_METHOD = "StreamAccessLogs"
_SERVICE = "envoy.service.accesslog.v3.AccessLogService"
MAX_WAITING = 64 << 20
"""Bytes that wait to be taken, beyond which nothing more is read."""


class LogServer:
    """Serves on `path`. Every message belongs to a log, whose name the listener's configuration gives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: Any = None
        self._waiting: dict[str, list[bytes]] = {}
        self._size = 0
        self._room = asyncio.Event()
        self._room.set()
        self.streams = 0

    async def start(self) -> None:
        """Raises OSError."""
        self._path.parent.chmod(0o700)
        self._path.unlink(missing_ok=True)
        handler = grpc.method_handlers_generic_handler(
            _SERVICE,
            {
                _METHOD: grpc.stream_unary_rpc_method_handler(
                    self._take,
                    request_deserializer=None,
                    response_serializer=als_pb2.StreamAccessLogsResponse.SerializeToString,
                )
            },
        )
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        self._server.add_generic_rpc_handlers((handler,))
        self._server.add_insecure_port(f"unix:{self._path}")
        await self._server.start()
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Envoy connects again when a server listens again."""
        if self._server is not None:
            await self._server.stop(0.2)
            self._server = None

    def take(self) -> dict[str, list[bytes]]:
        """The messages that came since the last call, by the name of their log."""
        waiting, self._waiting = self._waiting, {}
        self._size = 0
        self._room.set()
        return waiting

    async def _take(self, requests: Any, context: Any) -> als_pb2.StreamAccessLogsResponse:
        name = ""
        self.streams += 1
        try:
            while (message := await context.read()) is not grpc.aio.EOF:
                if not name:
                    opening = als_pb2.StreamAccessLogsMessage.FromString(message)
                    name = opening.identifier.log_name
                self._waiting.setdefault(name, []).append(message)
                self._size += len(message)
                if self._size >= MAX_WAITING:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self.streams -= 1
        return als_pb2.StreamAccessLogsResponse()
