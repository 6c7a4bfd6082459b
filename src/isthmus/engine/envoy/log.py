"""The access log service and the trace service: take Envoy's messages as they are, over an owner-only Unix socket.

A message is some hundred records, so what happens here costs next to nothing per record. Who empties the server too
slowly makes it read no more: Envoy then drops records itself, and counts them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
from envoy.service.accesslog.v3 import als_pb2

from isthmus.generated import otlp_pb2 as wire

_METHOD = "StreamAccessLogs"
_SERVICE = "envoy.service.accesslog.v3.AccessLogService"
_TRACE_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
MAX_WAITING = 64 << 20
"""Bytes that wait to be taken, beyond which nothing more is read."""
MAX_SPANS_WAITING = 16 << 20
"""Bytes of spans that wait to be taken."""


class LogServer:
    """Serves on `path`. Every message belongs to a log, whose name the listener's configuration gives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: Any = None
        self._waiting: dict[str, list[bytes]] = {}
        self._spans: list[bytes] = []
        self._span_size = 0
        self._size = 0
        self._room = asyncio.Event()
        self._room.set()
        self.streams = 0
        self.spans_dropped = 0
        """Messages with spans that came while too many waited."""

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
        export = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=None,
            response_serializer=wire.Response.SerializeToString,
        )
        traces = grpc.method_handlers_generic_handler(_TRACE_SERVICE, {"Export": export})
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        self._server.add_generic_rpc_handlers((handler, traces))
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

    def take_spans(self) -> list[bytes]:
        """The export requests of spans that came since the last call."""
        spans, self._spans = self._spans, []
        self._span_size = 0
        return spans

    async def _export(self, request: bytes, context: Any) -> wire.Response:
        """Envoy does not try again, so what finds no room is dropped at once."""
        if self._span_size + len(request) > MAX_SPANS_WAITING:
            self.spans_dropped += 1
        else:
            self._spans.append(request)
            self._span_size += len(request)
        return wire.Response()

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
