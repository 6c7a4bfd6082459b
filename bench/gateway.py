"""Gateway overhead: a compiled virtual host against hand-written proxies, same origin, one core each."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from bench.load import Load, drive
from bench.process import cores, free_port
from bench.proxy import Server, haproxy, minimal_envoy, nginx, origin
from bench.report import Result, Target, Value
from bench.site import data_path
from bench.world import TRUST_DOMAIN, objects, service, site
from isthmus.identity import Authority

T = TypeVar("T")
Proxy = Callable[[Path, int, str], AbstractContextManager[Server]]
COMPILED = "Isthmus, compiled virtual host"
BASELINE = "Envoy, minimal, by hand"
PROXIES: dict[str, Proxy] = {
    BASELINE: minimal_envoy,
    "HAProxy": haproxy,
    "nginx": nginx,
}


def run(quick: bool) -> Result:
    """Drive every proxy in turn, several rounds, so that what disturbs the machine disturbs all of them."""
    rounds, seconds = (2, 2) if quick else (9, 5)
    return _result(asyncio.run(_measure(rounds, seconds)), rounds, seconds)


async def _measure(rounds: int, seconds: int) -> dict[str, list[Load]]:
    measured, others = cores()
    loads: dict[str, list[Load]] = {name: [] for name in (COMPILED, *PROXIES)}
    authority = Authority.create(TRUST_DOMAIN, datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="isb") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(origin(folder, others))
        servers = {name: stack.enter_context(start(folder, upstream.port, measured)) for name, start in PROXIES.items()}
        port = free_port()
        known = objects(
            [
                site("own", fabric=("127.0.0.1", free_port())),
                *service("web", [("own", "127.0.0.1", upstream.port)], port, "own"),
            ]
        )
        async with data_path(folder / "own", "own", known, authority, measured) as path:
            servers = {COMPILED: Server(port, path.pid, "web.example"), **servers}
            for server in servers.values():
                await asyncio.to_thread(drive, server.url, 1, folder, others, {}, host=server.host)
            for turn in range(rounds):
                for name in order(list(servers), turn):
                    server = servers[name]
                    load = await asyncio.to_thread(
                        drive, server.url, seconds, folder, others, {"proxy": server.pid}, host=server.host
                    )
                    loads[name].append(load)
    return loads


def order(names: list[T], turn: int) -> list[T]:
    """Another first in each round, and every other round backwards: nobody always follows the same neighbour."""
    turned = names[turn % len(names) :] + names[: turn % len(names)]
    return turned[::-1] if turn % 2 else turned


def _ratio(loads: dict[str, list[Load]], name: str) -> float:
    """Median over the rounds of this proxy's CPU per request to the baseline's in the same round."""
    pairs = zip(loads[name], loads[BASELINE], strict=True)
    return statistics.median(one.cpu["proxy"] / base.cpu["proxy"] for one, base in pairs)


def _result(loads: dict[str, list[Load]], rounds: int, seconds: int) -> Result:
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
    return Result(
        case="gateway",
        title="Gateway overhead: GET of 1 KiB over 32 kept-alive connections, proxy on one core",
        columns=["proxy", "requests/s", "p50 µs", "p99 µs", "CPU µs/request", "ratio to minimal Envoy"],
        rows=rows,
        targets=[Target("CPU per request, compiled to minimal Envoy", _ratio(loads, COMPILED), 1.15, " ×")],
        notes=[
            "statistics and access log are on in the compiled one, the access log in HAProxy and nginx, and no log in "
            "the minimal Envoy",
            f"median of {rounds} interleaved rounds of {seconds} s; the load and the origin share the other cores, so "
            "where a proxy is cheaper than they are, requests/s is theirs, and CPU per request is the number to read",
        ],
        raw={
            name: [[load.rate, load.p50, load.p99, load.cpu["proxy"]] for load in runs] for name, runs in loads.items()
        },
    )
