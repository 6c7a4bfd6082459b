"""Where a request's CPU goes: the listener as it is emitted, and the same without one thing at a time."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from bench.certificate import Issued, issue
from bench.gateway import drive_all
from bench.load import Load
from bench.log_receiver import receiving
from bench.process import cores, free_port
from bench.proxy import Server, minimal_envoy, nginx, origin
from bench.report import Result, Value
from bench.site import DataPath, data_path
from bench.world import TRUST_DOMAIN, Document, objects, service, site
from isthmus.compile.intent import Socket
from isthmus.emit.envoy import name as names
from isthmus.identity import Authority

WHOLE, MINIMAL = "as emitted", "Envoy, minimal, by hand"
Name = tuple[str, str]  # of the variant, and HTTP or HTTPS
Loads = dict[Name, list[Load]]


@dataclass
class Parts:
    """What serves a virtual host: the connection manager, its routes and the cluster they name."""

    manager: HttpConnectionManager
    routes: RouteConfiguration
    cluster: Cluster


Change = Callable[[Parts], None]


def _no_log(parts: Parts) -> None:
    parts.manager.ClearField("access_log")


def _no_early(parts: Parts) -> None:
    parts.manager.ClearField("early_header_mutation_extensions")


def _no_paths(parts: Parts) -> None:
    for part in ("normalize_path", "merge_slashes", "path_with_escaped_slashes_action", "strip_trailing_host_dot"):
        parts.manager.ClearField(part)
    parts.manager.common_http_protocol_options.ClearField("headers_with_underscores_action")


def _no_ids(parts: Parts) -> None:
    parts.manager.generate_request_id.value = False


def _no_address(parts: Parts) -> None:
    parts.manager.use_remote_address.value = False


def _no_timers(parts: Parts) -> None:
    for part in ("stream_idle_timeout", "request_headers_timeout"):
        parts.manager.ClearField(part)
    parts.manager.common_http_protocol_options.ClearField("idle_timeout")


def _no_filters(parts: Parts) -> None:
    router = parts.manager.http_filters[-1]
    del parts.manager.http_filters[:]
    parts.manager.http_filters.append(router)
    parts.manager.ClearField("upgrade_configs")


def _no_retries(parts: Parts) -> None:
    for host in parts.routes.virtual_hosts:
        for route in host.routes:
            if route.HasField("route"):
                route.route.ClearField("retry_policy")


def _no_removal(parts: Parts) -> None:
    del parts.routes.response_headers_to_remove[:]


def _no_outliers(parts: Parts) -> None:
    parts.cluster.ClearField("outlier_detection")


def _none(parts: Parts) -> None:
    for change in _CHANGES.values():
        change(parts)


_CHANGES: dict[str, Change] = {
    "without the access log": _no_log,
    "without the removal of internal headers": _no_early,
    "without normalised paths and hosts": _no_paths,
    "without request ids": _no_ids,
    "without the client's address in X-Forwarded-For": _no_address,
    "without timeouts of streams and headers": _no_timers,
    "without filters that routes may switch on": _no_filters,
    "without retries": _no_retries,
    "without the removal of an internal answer header": _no_removal,
    "without outlier detection": _no_outliers,
}
_VARIANTS: dict[str, Change] = {WHOLE: lambda parts: None, **_CHANGES, "without all of these": _none}


def run(quick: bool) -> Result:
    """All variants are listeners of one Envoy, driven in turn."""
    rounds, seconds = (1, 2) if quick else (9, 3)
    return _result(asyncio.run(_measure(rounds, seconds)), rounds, seconds)


async def _measure(rounds: int, seconds: int) -> Loads:
    measured, others = cores()
    authority = Authority.create(TRUST_DOMAIN, datetime.now(UTC))
    certificate = issue("localhost")
    with tempfile.TemporaryDirectory(prefix="isb") as folder_name, contextlib.ExitStack() as stack:
        folder = Path(folder_name)
        pem = certificate.write(folder / "localhost.pem")
        upstream = stack.enter_context(origin(folder, others))
        ports = {proxy: free_port() for proxy in ("HTTP", "HTTPS")}
        known = objects([site("own", fabric=("127.0.0.1", free_port())), *_services(certificate, upstream.port, ports)])
        async with data_path(folder / "own", "own", known, authority, measured, "service") as path:
            await asyncio.to_thread(stack.enter_context, receiving(folder / "own", others))
            servers = await _add_variants(path, ports)
            servers[MINIMAL, "HTTP"] = stack.enter_context(minimal_envoy(folder, upstream.port, measured))
            for proxy in ports:
                place = folder / proxy
                place.mkdir()
                tls = pem if proxy == "HTTPS" else None
                servers["nginx", proxy] = stack.enter_context(nginx(place, upstream.port, measured, tls))
            return await asyncio.to_thread(drive_all, servers, folder, others, rounds, seconds)


def _services(certificate: Issued, upstream: int, ports: dict[str, int]) -> Iterator[Document]:
    yield certificate.declare("localhost")
    for proxy, port in ports.items():
        tls: dict[str, Any] = {"tls": {"certificates": [{"name": "localhost"}]}} if proxy == "HTTPS" else {}
        endpoints = [("own", "127.0.0.1", upstream)]
        yield from service(proxy.lower(), endpoints, port, "own", proxy=proxy, domains=["localhost"], **tls)


async def _add_variants(path: DataPath, ports: dict[str, int]) -> dict[Name, Server]:
    """A listener with routes and a cluster of its own for each variant, made of those that were emitted."""
    servers: dict[Name, Server] = {}
    added: dict[str, dict[str, bytes]] = {names.CLUSTER_TYPE: {}, names.LISTENER_TYPE: {}}
    for proxy, port in ports.items():
        for title, change in _VARIANTS.items():
            listener, parts = _parts(path, port)
            change(parts)
            listener.name = parts.cluster.name = f"profile/{proxy}/{title}"
            listener.address.socket_address.port_value = own = free_port()
            for host in parts.routes.virtual_hosts:
                for route in host.routes:
                    if route.route.cluster:
                        route.route.cluster = parts.cluster.name
            parts.manager.route_config.CopyFrom(parts.routes)
            listener.filter_chains[0].filters[0].typed_config.Pack(parts.manager)
            added[names.CLUSTER_TYPE][parts.cluster.name] = parts.cluster.SerializeToString()
            added[names.LISTENER_TYPE][listener.name] = listener.SerializeToString()
            servers[title, proxy] = Server(own, path.pid, "localhost", tls=proxy == "HTTPS")
    await path.push({kind: {**resources} for kind, resources in added.items()})
    return servers


def _parts(path: DataPath, port: int) -> tuple[Listener, Parts]:
    """Copies of the listener at a port and of what it leads to."""
    listener = Listener.FromString(path.emitted(names.LISTENER_TYPE)[names.ingress_listener(Socket("127.0.0.1", port))])
    (chain,) = listener.filter_chains
    manager = HttpConnectionManager()
    chain.filters[0].typed_config.Unpack(manager)
    routes = RouteConfiguration.FromString(path.emitted(names.ROUTE_TYPE)[manager.rds.route_config_name])
    name = routes.virtual_hosts[0].routes[0].route.cluster
    cluster = Cluster.FromString(path.emitted(names.CLUSTER_TYPE)[name])
    cluster.eds_cluster_config.service_name = cluster.eds_cluster_config.service_name or name
    return listener, Parts(manager, routes, cluster)


def _result(loads: Loads, rounds: int, seconds: int) -> Result:
    def cpu(name: Name) -> float | None:
        return statistics.median(load.cpu["proxy"] for load in loads[name]) if name in loads else None

    def saved(name: Name) -> float | None:
        if name not in loads:
            return None
        pairs = zip(loads[WHOLE, name[1]], loads[name], strict=True)
        return statistics.median(whole.cpu["proxy"] - part.cpu["proxy"] for whole, part in pairs)

    titles = dict.fromkeys(title for title, _ in loads)
    rows: list[list[Value]] = [
        [title, *(figure((title, proxy)) for proxy in ("HTTP", "HTTPS") for figure in (cpu, saved))] for title in titles
    ]
    return Result(
        case="profile",
        title="Profile: CPU of a keep-alive request, without one thing at a time",
        columns=["listener", "HTTP, µs", "less than as emitted, µs", "HTTPS, µs", "less than as emitted, µs"],
        rows=rows,
        notes=[
            f"median of {rounds} interleaved rounds of {seconds} s over 32 kept-alive connections; differences are of "
            "one round",
            "what is left without all of these is Envoy itself: connections and streams, header maps, statistics, "
            "routing, pools to endpoints",
        ],
        raw={f"{title}, {proxy}": [load.cpu["proxy"] for load in each] for (title, proxy), each in loads.items()},
    )
