"""Across sites: ingress, mTLS, egress, endpoint, against one hop through one site."""

from __future__ import annotations

import asyncio
import contextlib
import re
import statistics
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.load import Load, drive
from bench.log_receiver import receiving
from bench.process import cores, free_port
from bench.proxy import Server, origin
from bench.report import Result, Target, Value
from bench.site import DataPath, data_path
from bench.world import TRUST_DOMAIN, access, objects, service, site
from isthmus.identity import Authority

ONE, TWO = "one hop (site to endpoint)", "two hops (ingress, mTLS, egress)"


@dataclass(slots=True)
class Series:
    """The runs of one path: loaded for CPU and rate, with one connection for latency."""

    loaded: list[Load] = field(default_factory=list)
    single: list[Load] = field(default_factory=list)

    def cpu(self, index: int) -> float:
        return sum(self.loaded[index].cpu.values())


def run(quick: bool) -> Result:
    """Drive both paths in turn; all Envoys share one core, the load and the origin the others."""
    rounds, seconds = (2, 2) if quick else (7, 5)
    one, two, handshakes, requests = asyncio.run(_measure(rounds, seconds))
    ratio = statistics.median(two.cpu(index) / one.cpu(index) for index in range(rounds))
    rows = [_row(name, series) for name, series in ((ONE, one), (TWO, two))]
    return Result(
        case="across",
        title="Across sites: GET of 1 KiB through two sites against one",
        columns=["path", "requests/s", "p99 µs", "p50 µs, 1 conn.", "p99 µs, 1 conn.", "CPU µs/request", "of which"],
        rows=rows,
        targets=[Target("CPU per request, two hops to one", ratio, 2.0, " ×")],
        notes=[
            f"{handshakes} TLS handshakes between the sites for {requests:,} requests",
            f"median of {rounds} interleaved rounds of {seconds} s over 32 kept-alive connections, and over one; "
            "all Envoys share one core, so requests/s of two hops is that of one core for both",
        ],
        raw={
            name: [[load.rate, load.p50, load.p99, load.cpu] for load in (*series.loaded, *series.single)]
            for name, series in ((ONE, one), (TWO, two))
        }
        | {"handshakes": handshakes, "requests": requests},
    )


def _row(name: str, series: Series) -> list[Value]:
    parts = [statistics.median(load.cpu[part] for load in series.loaded) for part in series.loaded[0].cpu]
    return [
        name,
        statistics.median(load.rate for load in series.loaded),
        statistics.median(load.p99 for load in series.loaded),
        statistics.median(load.p50 for load in series.single),
        statistics.median(load.p99 for load in series.single),
        statistics.median(series.cpu(index) for index in range(len(series.loaded))),
        " + ".join(f"{part:.1f}" for part in parts),
    ]


async def _measure(rounds: int, seconds: int) -> tuple[Series, Series, int, int]:
    measured, others = cores()
    authority = Authority.create(TRUST_DOMAIN, datetime.now(UTC))
    one, two = Series(), Series()
    with tempfile.TemporaryDirectory(prefix="isb") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(origin(folder, others))
        near, far = free_port(), free_port()
        known = objects(
            [
                site("ams", fabric=("127.0.0.1", free_port())),
                site("fra", fabric=("127.0.0.1", free_port())),
                *service("near", [("fra", "127.0.0.1", upstream.port)], near, "fra"),
                *service("far", [("fra", "127.0.0.1", upstream.port)], far, "ams"),
            ]
        )
        known |= access("far", ["ams"])
        async with (
            data_path(folder / "fra", "fra", known, authority, measured, "service") as egress,
            data_path(folder / "ams", "ams", known, authority, measured, "service") as ingress,
        ):
            for told in ("fra", "ams"):
                await asyncio.to_thread(stack.enter_context, receiving(folder / told, others))
            paths = [
                (one, Server(near, egress.pid, "near.example"), {"egress": egress.pid}),
                (two, Server(far, ingress.pid, "far.example"), {"ingress": ingress.pid, "egress": egress.pid}),
            ]

            async def load(server: Server, time: int, watch: dict[str, int], connections: int) -> Load:
                return await asyncio.to_thread(
                    drive, server.url, time, folder, others, watch, connections=connections, host=server.host
                )

            for _, server, _ in paths:
                await load(server, 1, {}, 32)
            before = await _handshakes(egress)
            for _ in range(rounds):
                for series, server, watch in paths:
                    series.loaded.append(await load(server, seconds, watch, 32))
                    series.single.append(await load(server, max(1, seconds // 2), {}, 1))
            handshakes = await _handshakes(egress) - before
    return one, two, handshakes, sum(load.requests for load in (*two.loaded, *two.single))


async def _handshakes(path: DataPath) -> int:
    """Handshakes that the site's listeners have completed since Envoy started."""
    text = (await path.admin.statistics()).decode()
    found = re.findall(r"^envoy_listener_ssl_handshake\{[^}]*\} (\d+)$", text, re.MULTILINE)
    if not found:
        raise RuntimeError("Envoy counts no handshakes on its listeners")
    return sum(map(int, found))
