"""Where a request's CPU goes: the listener as it is emitted, and the same without one thing at a time."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from bench.certificate import issue
from bench.gateway import order
from bench.load import Load, drive
from bench.process import cores, free_port
from bench.proxy import Server, minimal_envoy, nginx, origin
from bench.report import Result, Value
from bench.site import DataPath, data_path
from bench.world import TRUST_DOMAIN, objects, service, site
from isthmus.compile.intent import Socket
from isthmus.emit.envoy import name as names
from isthmus.identity import Authority

WHOLE, MINIMAL = "as emitted", "Envoy, minimal, by hand (no TLS to clients)"
Change = Callable[[HttpConnectionManager], None]


def _no_log(manager: HttpConnectionManager) -> None:
    manager.ClearField("access_log")


def _no_early(manager: HttpConnectionManager) -> None:
    manager.ClearField("early_header_mutation_extensions")


def _no_paths(manager: HttpConnectionManager) -> None:
    for part in ("normalize_path", "merge_slashes", "path_with_escaped_slashes_action", "strip_trailing_host_dot"):
        manager.ClearField(part)


def _no_ids(manager: HttpConnectionManager) -> None:
    manager.generate_request_id.value = False


def _no_filters(manager: HttpConnectionManager) -> None:
    router = manager.http_filters[-1]
    del manager.http_filters[:]
    manager.http_filters.append(router)


def _none(manager: HttpConnectionManager) -> None:
    for change in _CHANGES.values():
        change(manager)


_CHANGES: dict[str, Change] = {
    "without the access log": _no_log,
    "without the removal of internal headers": _no_early,
    "without normalised paths and hosts": _no_paths,
    "without request ids": _no_ids,
    "without filters that routes may switch on": _no_filters,
}
_VARIANTS: dict[str, Change] = {WHOLE: lambda manager: None, **_CHANGES, "without all of these": _none}


def run(quick: bool) -> Result:
    """All variants are listeners of one Envoy, driven in turn."""
    rounds, seconds = (1, 2) if quick else (9, 3)
    return _result(asyncio.run(_measure(rounds, seconds)), rounds, seconds)


async def _measure(rounds: int, seconds: int) -> dict[str, list[Load]]:
    measured, others = cores()
    authority = Authority.create(TRUST_DOMAIN, datetime.now(UTC))
    certificate = issue("localhost")
    with tempfile.TemporaryDirectory(prefix="isb") as folder_name, contextlib.ExitStack() as stack:
        folder = Path(folder_name)
        pem = certificate.write(folder / "localhost.pem")
        upstream = stack.enter_context(origin(folder, others))
        port = free_port()
        known = objects(
            [
                site("own", fabric=("127.0.0.1", free_port())),
                certificate.declare("localhost"),
                *service(
                    "web",
                    [("own", "127.0.0.1", upstream.port)],
                    port,
                    "own",
                    proxy="HTTPS",
                    domains=["localhost"],
                    tls={"certificates": [{"name": "localhost"}]},
                ),
            ]
        )
        async with data_path(folder / "own", "own", known, authority, measured) as path:
            servers = await _add_variants(path, port)
            baseline = stack.enter_context(minimal_envoy(folder, upstream.port, measured))
            servers[MINIMAL] = baseline
            servers["nginx"] = stack.enter_context(nginx(folder, upstream.port, measured, pem))
            return await asyncio.to_thread(_drive_all, servers, folder, others, rounds, seconds)


async def _add_variants(path: DataPath, port: int) -> dict[str, Server]:
    """A listener for each variant, made of the one that was emitted; the routes are the same."""
    emitted = path.emitted(names.LISTENER_TYPE)[names.ingress_listener(Socket("127.0.0.1", port))]
    servers, added = {}, {}
    for title, change in _VARIANTS.items():
        listener = Listener.FromString(emitted)
        listener.name = f"profile/{title}"
        listener.address.socket_address.port_value = own = free_port()
        for chain in listener.filter_chains:
            manager = HttpConnectionManager()
            chain.filters[0].typed_config.Unpack(manager)
            change(manager)
            chain.filters[0].typed_config.Pack(manager)
        added[listener.name] = listener.SerializeToString()
        servers[title] = Server(own, path.pid, "localhost", tls=True)
    await path.push({names.LISTENER_TYPE: {**added}})
    return servers


def _drive_all(servers: dict[str, Server], folder: Path, on: str, rounds: int, seconds: int) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {title: [] for title in servers}
    for server in servers.values():
        drive(server.url, 1, folder, on, {}, host=server.host)
    for turn in range(rounds):
        for title in order(list(servers), turn):
            server = servers[title]
            loads[title].append(drive(server.url, seconds, folder, on, {"proxy": server.pid}, host=server.host))
    return loads


def _result(loads: dict[str, list[Load]], rounds: int, seconds: int) -> Result:
    def cpu(title: str) -> float:
        return statistics.median(load.cpu["proxy"] for load in loads[title])

    def saved(title: str) -> float:
        pairs = zip(loads[WHOLE], loads[title], strict=True)
        return statistics.median(whole.cpu["proxy"] - part.cpu["proxy"] for whole, part in pairs)

    rows: list[list[Value]] = [[title, cpu(title), saved(title), cpu(title) / cpu("nginx")] for title in loads]
    return Result(
        case="profile",
        title="Profile: CPU of an HTTPS keep-alive request, without one thing at a time",
        columns=["listener", "CPU µs/request", "less than as emitted, µs", "ratio to nginx"],
        rows=rows,
        notes=[
            f"median of {rounds} interleaved rounds of {seconds} s over 32 kept-alive connections; differences are of "
            "one round",
            "what is left without all of these is Envoy itself: connections and streams, header maps, statistics, "
            "routing, pools to endpoints",
        ],
        raw={title: [load.cpu["proxy"] for load in each] for title, each in loads.items()},
    )
