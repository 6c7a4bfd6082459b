"""Gateway overhead: a compiled virtual host against hand-written proxies, same origin, one core each."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from bench.load import Load, drive
from bench.log_receiver import receiving
from bench.process import cores, free_port
from bench.proxy import Server, haproxy, minimal_envoy, nginx, origin
from bench.report import Result, Target, Value
from bench.site import Log, data_path
from bench.world import TRUST_DOMAIN, objects, service, site
from isthmus.identity import Authority

T = TypeVar("T")
Loads = dict[str, list[Load]]
Proxy = Callable[[Path, int, str], AbstractContextManager[Server]]
COMPILED = "Isthmus, compiled virtual host"
FILE = "the same, each request a line of JSON in a file"
BASELINE = "Envoy, minimal, by hand"
_COMPILED: dict[str, Log] = {COMPILED: "service", FILE: "file"}
PROXIES: dict[str, Proxy] = {
    BASELINE: minimal_envoy,
    "HAProxy": haproxy,
    "nginx": nginx,
}


def run(quick: bool) -> Result:
    """Drive every proxy in turn, several rounds, so that what disturbs the machine disturbs all of them."""
    rounds, seconds = (2, 2) if quick else (9, 5)
    return _result(asyncio.run(_measure(rounds, seconds)), rounds, seconds)


async def _measure(rounds: int, seconds: int) -> Loads:
    measured, others = cores()
    authority = Authority.create(TRUST_DOMAIN, datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="isb") as name:
        folder = Path(name)
        async with contextlib.AsyncExitStack() as stack:
            upstream = stack.enter_context(origin(folder, others))
            servers: dict[str, Server] = {}
            for title, log in _COMPILED.items():
                port = free_port()
                known = objects(
                    [
                        site("own", fabric=("127.0.0.1", free_port())),
                        *service("web", [("own", "127.0.0.1", upstream.port)], port, "own"),
                    ]
                )
                own = folder / log
                path = await stack.enter_async_context(data_path(own, "own", known, authority, measured, log))
                servers[title] = Server(port, path.pid, "web.example")
            watch = {
                COMPILED: {"agent": await asyncio.to_thread(stack.enter_context, receiving(folder / "service", others))}
            }
            for title, start in PROXIES.items():
                servers[title] = stack.enter_context(start(folder, upstream.port, measured))
            return await asyncio.to_thread(drive_all, servers, folder, others, rounds, seconds, watch)


def drive_all(
    servers: Mapping[T, Server],
    folder: Path,
    on: str,
    rounds: int,
    seconds: int,
    watch: Mapping[T, dict[str, int]] | None = None,
) -> dict[T, list[Load]]:
    """Drive each server in turn, after a second for warmth, in an order that changes every round.

    The CPU of its process is that of "proxy"; `watch` names more processes of some.
    """
    loads: dict[T, list[Load]] = {name: [] for name in servers}
    for server in servers.values():
        drive(server.url, 1, folder, on, {}, host=server.host)
    for turn in range(rounds):
        for name in order(list(servers), turn):
            server = servers[name]
            watched = {"proxy": server.pid, **(watch or {}).get(name, {})}
            loads[name].append(drive(server.url, seconds, folder, on, watched, host=server.host))
    return loads


def order(names: list[T], turn: int) -> list[T]:
    """Another first in each round, and every other round backwards: nobody always follows the same neighbour."""
    turned = names[turn % len(names) :] + names[: turn % len(names)]
    return turned[::-1] if turn % 2 else turned


def _ratio(loads: Loads, name: str) -> float:
    """Median over the rounds of this proxy's CPU per request to the baseline's in the same round."""
    pairs = zip(loads[name], loads[BASELINE], strict=True)
    return statistics.median(one.cpu["proxy"] / base.cpu["proxy"] for one, base in pairs)


def _result(loads: Loads, rounds: int, seconds: int) -> Result:
    rows: list[list[Value]] = [
        [
            name,
            statistics.median(load.rate for load in runs),
            statistics.median(load.p50 for load in runs),
            statistics.median(load.p99 for load in runs),
            statistics.median(load.cpu["proxy"] for load in runs),
            _ratio(loads, name),
        ]
        for name, runs in loads.items()
    ]
    told = statistics.median(load.cpu["agent"] for load in loads[COMPILED])
    return Result(
        case="gateway",
        title="Gateway overhead: GET of 1 KiB over 32 kept-alive connections, proxy on one core",
        columns=["proxy", "requests/s", "p50 µs", "p99 µs", "CPU µs/request", "ratio to minimal Envoy"],
        rows=rows,
        targets=[Target("CPU per request, compiled to minimal Envoy", _ratio(loads, COMPILED), 1.15, " ×")],
        notes=[
            "statistics and access log are on in the compiled one, as a site has them: each request is told to the "
            f"agent, which spends {told:.1f} µs on it, on another core; HAProxy and nginx log to a file, the minimal "
            "Envoy does not log",
            f"median of {rounds} interleaved rounds of {seconds} s; the load and the origin share the other cores, so "
            "where a proxy is cheaper than they are, requests/s is theirs, and CPU per request is the number to read",
        ],
        raw={
            name: [[load.rate, load.p50, load.p99, load.cpu["proxy"]] for load in runs] for name, runs in loads.items()
        },
    )
