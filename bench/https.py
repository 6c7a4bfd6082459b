"""HTTPS: keep-alive requests over HTTP/1.1, HTTP/2 and HTTP/3, and new connections, through one site, across two, and
through HAProxy and nginx."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.certificate import issue
from bench.gateway import order
from bench.load import Load, drive, drive_http2, drive_http3
from bench.log_receiver import receiving
from bench.process import cores, free_port
from bench.proxy import Server, haproxy, nginx, origin
from bench.report import Result, Target, Value
from bench.site import data_path
from bench.world import TRUST_DOMAIN, access, objects, service, site
from isthmus.identity import Authority

ONE, TWO = "Isthmus, one site", "Isthmus, across two sites"
NGINX = "nginx"
JOBS = ("HTTP/1.1, kept alive", "HTTP/2, kept alive", "HTTP/3, kept alive", "a new TLS connection for each request")
QUIC = JOBS[2]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server, and the processes that work for it."""

    server: Server
    watch: dict[str, int]


Runs = dict[str, dict[str, list[Load]]]
"""Job -> contestant -> its runs."""


def run(quick: bool) -> Result:
    """Every job in turn, contestants interleaved; all proxies on one core, the load and the origin on the others."""
    rounds, seconds = (1, 2) if quick else (7, 4)
    return _result(asyncio.run(_measure(rounds, seconds)), rounds, seconds)


async def _measure(rounds: int, seconds: int) -> Runs:
    measured, others = cores()
    authority = Authority.create(TRUST_DOMAIN, datetime.now(UTC))
    certificate = issue("localhost")
    with tempfile.TemporaryDirectory(prefix="isb") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        pem = certificate.write(folder / "localhost.pem")
        upstream = stack.enter_context(origin(folder, others))
        near, far = free_port(), free_port()
        tls: dict[str, Any] = {
            "proxy": "HTTPS",
            "domains": ["localhost"],
            "tls": {"certificates": [{"name": "localhost"}], "http3": True},
        }
        known = objects(
            [
                site("ams", fabric=("127.0.0.1", free_port())),
                site("fra", fabric=("127.0.0.1", free_port())),
                certificate.declare("localhost"),
                *service("near", [("fra", "127.0.0.1", upstream.port)], near, "fra", **tls),
                *service("far", [("fra", "127.0.0.1", upstream.port)], far, "ams", **tls),
            ]
        )
        known |= access("far", ["ams"])
        async with (
            data_path(folder / "fra", "fra", known, authority, measured, "service") as egress,
            data_path(folder / "ams", "ams", known, authority, measured, "service") as ingress,
        ):
            for told in ("fra", "ams"):
                await asyncio.to_thread(stack.enter_context, receiving(folder / told, others))
            contestants = {
                ONE: Contestant(Server(near, egress.pid, tls=True), {"site": egress.pid}),
                TWO: Contestant(Server(far, ingress.pid, tls=True), {"ingress": ingress.pid, "egress": egress.pid}),
            }
            for title, start in (("HAProxy", haproxy), (NGINX, nginx)):
                server = stack.enter_context(start(folder, upstream.port, measured, pem))
                contestants[title] = Contestant(server, {"proxy": server.pid})
            return await asyncio.to_thread(_drive_all, contestants, folder, others, rounds, seconds)


def _drive_all(contestants: dict[str, Contestant], folder: Path, on: str, rounds: int, seconds: int) -> Runs:
    def kept(each: Contestant, time: int) -> Load:
        return drive(each.server.url, time, folder, on, each.watch)

    def multiplexed(each: Contestant, time: int) -> Load:
        return drive_http2(each.server.url, time, on, each.watch)

    def fresh(each: Contestant, time: int) -> Load:
        return drive(each.server.url, time, folder, on, each.watch, keep=False)

    def datagrams(each: Contestant, time: int) -> Load:
        return drive_http3(each.server.port, time, on, each.watch)

    drivers: list[Callable[[Contestant, int], Load]] = [kept, multiplexed, datagrams, fresh]
    able = {job: [name for name in contestants if job != QUIC or name in (ONE, TWO)] for job in JOBS}
    runs: Runs = {job: {name: [] for name in names} for job, names in able.items()}
    for each in contestants.values():
        kept(each, 1)
    for job, driver in zip(JOBS, drivers, strict=True):
        for turn in range(rounds):
            for name in order(able[job], turn):
                runs[job][name].append(driver(contestants[name], seconds))
    return runs


def _cpu(load: Load) -> float:
    return sum(load.cpu.values())


def _ratio(runs: dict[str, list[Load]], name: str, baseline: str) -> float:
    """Median over the rounds of CPU per request to the baseline's in the same round."""
    pairs = zip(runs[name], runs[baseline], strict=True)
    return statistics.median(_cpu(one) / _cpu(base) for one, base in pairs)


def _result(runs: Runs, rounds: int, seconds: int) -> Result:
    rows: list[list[Value]] = [
        [
            f"{job}: {name}",
            statistics.median(load.rate for load in loads),
            statistics.median(load.p99 for load in loads) or None,
            statistics.median(_cpu(load) for load in loads),
            _ratio(runs[job], name, NGINX) if NGINX in runs[job] else None,
            _ratio(runs[job], name, ONE),
        ]
        for job in JOBS
        for name, loads in runs[job].items()
    ]
    kept = runs[JOBS[0]]
    return Result(
        case="https",
        title="HTTPS: GET of 1 KiB over 32 connections, proxies on one core",
        columns=["job: proxy", "requests/s", "p99 µs", "CPU µs/request", "ratio to nginx", "ratio to one site"],
        rows=rows,
        targets=[
            Target("CPU per HTTPS keep-alive request, one site to nginx", _ratio(kept, ONE, NGINX), 2.0, " ×"),
            *(Target(f"CPU, two sites to one, {job}", _ratio(runs[job], TWO, ONE), 2.0, " ×") for job in JOBS),
        ],
        notes=[
            "TLS 1.3 towards clients, an ECDSA certificate (P-256), HTTP/1.1 to the origin, access logs everywhere",
            "HTTP/3: the proxies of this machine's distribution have none; its client is Python, so the rate is the "
            "client's, and CPU per request is the number to read",
            f"median of {rounds} interleaved rounds of {seconds} s; of new connections, requests/s are handshakes/s",
        ],
        raw={
            job: {name: [[load.rate, load.p99, load.cpu] for load in loads] for name, loads in each.items()}
            for job, each in runs.items()
        },
    )
