"""A small real origin, and Envoy resources around it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.health_check.event_sinks.file.v3 import file_pb2
from google.protobuf.message import Message


@dataclass
class Origin:
    """An HTTP/1 server that answers every request with its name, or 503 while `healthy` is False or the path broken."""

    name: str
    port: int = 0
    healthy: bool = True
    broken: set[str] = field(default_factory=set)
    server: asyncio.Server | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        for writer in self.writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                good = self.healthy and head.split()[1].decode() not in self.broken
                status = b"200 OK" if good else b"503 Service Unavailable"
                body = self.name.encode()
                writer.write(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body))
                await writer.drain()
        self.writers.discard(writer)
        writer.close()


@contextlib.asynccontextmanager
async def running(*origins: Origin) -> AsyncIterator[None]:
    for origin in origins:
        await origin.start()
    try:
        yield
    finally:
        for origin in origins:
            await origin.stop()


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], seconds: float = 60.0) -> None:
    """Poll until `condition` holds."""
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if result if isinstance(result, bool) else await result:
                return
            await asyncio.sleep(0.01)


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def listener(name: str, port: int, route: str) -> bytes:
    manager = http_connection_manager_pb2.HttpConnectionManager(stat_prefix=name)
    manager.rds.route_config_name = route
    manager.rds.config_source.ads.SetInParent()
    manager.rds.config_source.resource_api_version = 2
    http_filter = manager.http_filters.add(name="envoy.filters.http.router")
    http_filter.typed_config.Pack(router_pb2.Router())
    message = listener_pb2.Listener(name=name)
    message.address.socket_address.address = "127.0.0.1"
    message.address.socket_address.port_value = port
    message.filter_chains.add().filters.add(name="http").typed_config.Pack(manager)
    return _bytes(message)


def route(name: str, cluster: str, prefix: str = "/") -> bytes:
    message = route_pb2.RouteConfiguration(name=name)
    entry = message.virtual_hosts.add(name="any", domains=["*"]).routes.add()
    entry.match.prefix = prefix
    entry.route.cluster = cluster
    return _bytes(message)


def cluster(name: str, *, events: Path | None = None, connect_seconds: float = 1.0) -> bytes:
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    message.eds_cluster_config.eds_config.ads.SetInParent()
    message.eds_cluster_config.eds_config.resource_api_version = 2
    message.connect_timeout.FromNanoseconds(int(connect_seconds * 1e9))
    if events is not None:
        check = message.health_checks.add()
        check.timeout.FromSeconds(60)
        check.interval.FromMilliseconds(50)
        check.no_traffic_interval.FromMilliseconds(50)
        check.unhealthy_threshold.value = 1
        check.healthy_threshold.value = 1
        check.http_health_check.path = "/health"
        sink = check.event_logger.add(name="envoy.health_check.event_sinks.file")
        sink.typed_config.Pack(file_pb2.HealthCheckEventFileSink(event_log_path=str(events)))
    return _bytes(message)


def broken_cluster(name: str) -> bytes:
    """A cluster that Envoy refuses: EDS without a configuration source."""
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    return _bytes(message)


def assignment(name: str, *ports: int) -> bytes:
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    group = message.endpoints.add()
    for port in ports:
        address = group.lb_endpoints.add().endpoint.address.socket_address
        address.address, address.port_value = "127.0.0.1", port
    return _bytes(message)


__all__ = [
    "Origin",
    "assignment",
    "broken_cluster",
    "cluster",
    "listener",
    "route",
    "running",
    "until",
]
