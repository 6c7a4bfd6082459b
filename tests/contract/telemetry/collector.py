"""Receivers of OTLP over HTTP and over gRPC, that take nothing which is not exactly OpenTelemetry's own messages.

They are of an early release, as xds-protos has them: what is called a scope today has another name there.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Mapping
from typing import Any

import grpc
from aiohttp import web
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from isthmus.generated import otlp_pb2 as wire

REQUESTS: Mapping[str, Any] = {
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


class Collector:
    """Serves on a free port. `status` other than 200 is answered for as long as it stands; paths that are `unserved`
    are not found."""

    def __init__(self) -> None:
        self.port = 0
        self.status = 200
        self.unserved: set[str] = set()
        self.rejected = 0
        self.asked = 0
        self.headers: list[dict[str, str]] = []
        self.logs: list[tuple[str, Any]] = []
        self.spans: list[tuple[str, Any]] = []
        self.metrics: list[tuple[str, Any]] = []
        self.faults: list[str] = []
        self.resources: dict[str, dict[str, Any]] = {}
        """Of each instance, who it says that it is."""
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        for path in REQUESTS:
            app.router.add_post(path, self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def until(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 - what comes is looked at as a whole
                await asyncio.sleep(0.02)
        assert self.faults == []

    async def _take(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.headers.append(dict(request.headers))
        if self.status != 200 or request.path in self.unserved:
            return web.Response(status=404 if request.path in self.unserved else self.status, text="not now")
        if request.headers.get("content-type") != "application/x-protobuf":
            self.faults.append(f"content-type {request.headers.get('content-type')}")
        body = await request.read()  # aiohttp has undone the encoding
        if body.startswith(b"\x1f\x8b"):
            body = gzip.decompress(body)
        message = REQUESTS[request.path].FromString(body)
        self._keep(message)
        answer = wire.Response(partial_success={"rejected": self.rejected}) if self.rejected else wire.Response()
        return web.Response(body=answer.SerializeToString(), content_type="application/x-protobuf")

    def _keep(self, message: Any) -> None:
        """What the message has, by the site that says it."""
        for kind, kept in (("logs", self.logs), ("spans", self.spans), ("metrics", self.metrics)):
            self._keep_groups(getattr(message, f"resource_{kind}", ()), kind, kept)

    def _keep_groups(self, groups: Any, kind: str, kept: list[tuple[str, Any]]) -> None:
        for group in groups:
            resource = attributes(group.resource)
            site = resource["service.instance.id"]
            self.resources[site] = resource
            for scope in getattr(group, f"instrumentation_library_{kind}"):
                if scope.instrumentation_library.name != "isthmus":
                    self.faults.append(f"{kind} of {scope.instrumentation_library.name!r}")
                kept.extend((site, item) for item in getattr(scope, kind))


class GrpcCollector(Collector):
    """Serves on a free port of `localhost`, over TLS. `refusals`: codes and details of the next calls, before they are
    taken."""

    def __init__(self, key_pem: bytes, chain_pem: bytes) -> None:
        super().__init__()
        self.refusals: list[tuple[grpc.StatusCode, str]] = []
        self._credentials = grpc.ssl_server_credentials([(key_pem, chain_pem)])
        self._server: grpc.aio.Server | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    async def start(self) -> None:
        self._server = grpc.aio.server()
        for module in (logs_service_pb2, metrics_service_pb2, trace_service_pb2):
            [service] = module.DESCRIPTOR.services_by_name.values()
            [method] = service.methods
            request = GetMessageClass(method.input_type)
            handler = grpc.unary_unary_rpc_method_handler(
                self._export, request_deserializer=request.FromString, response_serializer=bytes
            )
            handlers = grpc.method_handlers_generic_handler(service.full_name, {method.name: handler})
            self._server.add_generic_rpc_handlers((handlers,))
        self.port = self._server.add_secure_port("localhost:0", self._credentials)
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    async def _export(self, message: Any, context: Any) -> bytes:
        self.asked += 1
        self.headers.append(dict(context.invocation_metadata()))
        if self.refusals:
            await context.abort(*self.refusals.pop(0))
        self._keep(message)
        rejected, self.rejected = self.rejected, 0
        return wire.Response(partial_success={"rejected": rejected}).SerializeToString()


def attributes(holder: Any) -> dict[str, Any]:
    """Names and values; the same name twice is a fault."""
    found = {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in holder.attributes}
    assert len(found) == len(holder.attributes)
    return found
