"""Pages: what the console's pages cost its server, with many virtual hosts and sites that all have reported."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from bench.report import Result, Target, Value
from bench.world import Document, document
from isthmus.console.api.application import create_application
from isthmus.console.process import Console
from isthmus.console.settings import ConsoleSettings
from isthmus.console.web.visit import COOKIE
from isthmus.model.document import parse_documents
from isthmus.protocol import AppliedReport, PresenceReport, StatusReport

SIZE = (1_000, 1_000)
SMALL = (100, 100)
PAGES = (
    ("overview", "/"),
    ("map", "/map"),
    ("map of the world", "/map?view=0,0,1000"),
    ("sites", "/sites"),
    ("sites, worst first", "/sites?sort=state"),
    ("one site", "/sites/s7"),
    ("virtual hosts", "/virtualhosts"),
    ("one virtual host", "/virtualhosts/bench/h7"),
    ("objects of a kind", "/objects/endpoints?q=e-7"),
    ("one object", "/objects/clusters/bench/h7"),
    ("editor", "/objects/virtualhosts/bench/h7/edit"),
    ("search", "/search?q=h77"),
    ("events", "/events"),
    ("one revision", "/events/revisions/1"),
)


def run(quick: bool) -> Result:
    """Every page a number of times, one after the other, through the whole application but not the network."""
    hosts, sites = SMALL if quick else SIZE
    found = asyncio.run(_measure(hosts, sites, 5 if quick else 20))
    rows: list[list[Value]] = [
        [f"{name} ({path})", 1000 * statistics.median(times), 1000 * max(times), size / 1000]
        for name, path, times, size in found
    ]
    worst = max(statistics.median(times) for _, _, times, _ in found)
    return Result(
        case="pages",
        title=f"Pages: {hosts:,} virtual hosts, {sites:,} sites",
        columns=["page", "median ms", "worst ms", "kB"],
        rows=rows,
        targets=[Target("the slowest page", 1000 * worst, 200, " ms")],
        notes=[f"each page {len(found[0][2])} times; kB before compression"],
        raw={path: times for _, path, times, _ in found},
    )


async def _measure(hosts: int, sites: int, times: int) -> list[tuple[str, str, list[float], int]]:
    with tempfile.TemporaryDirectory(prefix="isb") as name:
        console = Console(ConsoleSettings(Path(name) / "console", "127.0.0.1:0", "127.0.0.1:0"))
        await console.start()
        try:
            parsed = parse_documents(_world(hosts, sites))
            await console.deployment.edit("bench", parsed.objects)
            await console.deployment.published()
            _report(console, sites)
            return await _visit(console, times)
        finally:
            await console.stop()


async def _visit(console: Console, times: int) -> list[tuple[str, str, list[float], int]]:
    context, now = console.context, datetime.now(UTC)
    _, secret, _ = context.sessions.open(context.tokens.list()[0], now)
    headers = {"Cookie": f"{COOKIE}={secret}", "Accept": "text/html"}
    transport = httpx.ASGITransport(create_application(context))
    found = []
    async with httpx.AsyncClient(transport=transport, base_url="https://console", headers=headers, timeout=60) as http:
        for name, path in PAGES:
            taken, size = [], 0
            for _ in range(times + 1):
                started = time.perf_counter()
                answer = await http.get(path)
                taken.append(time.perf_counter() - started)
                if answer.status_code != 200:
                    raise RuntimeError(f"{path} answered {answer.status_code}")
                size = len(answer.content)
            found.append((name, path, taken[1:], size))  # the first compiles the template
    return found


def _world(hosts: int, sites: int) -> Iterator[Document]:
    """Virtual hosts with two routes, two clusters and three endpoints each, spread over the sites."""
    yield document("Namespace", "bench")
    for region, longitude in (("eu", 8.7), ("us", -77.0)):
        location = {"latitude": 45.0, "longitude": longitude}
        yield document("Region", region, address="127.0.0.1", location=location)
    for index in range(sites):
        place = {"latitude": -35.0 + index * 7 % 95, "longitude": -170.0 + index * 37 % 340}
        interface = {"name": "eth0", "addresses": [f"10.{index // 250}.{index % 250}.1"]}
        fabric = {"addresses": [{"address": f"10.{index // 250}.{index % 250}.1"}]}
        spec: dict[str, Any] = {"location": place, "regions": ["eu", "us"], "interfaces": [interface], "fabric": fabric}
        yield document("Site", f"s{index}", **spec)
    for index in range(hosts):
        name, site = f"h{index}", f"s{index % sites}"
        for number in range(3):
            where = {"site": f"s{(index + number) % sites}"}
            yield document("Endpoint", f"e-{index}-{number}", "bench", where=where, address="127.0.0.1", port=8080)
        names = [{"name": f"e-{index}-{number}"} for number in range(3)]
        yield document("Cluster", name, "bench", endpoints=names)
        yield document("Cluster", f"{name}-two", "bench", endpoints=names[:1])
        for route, cluster in ((name, name), (f"{name}-two", f"{name}-two")):
            match = [{"path": {"prefix": f"/{route}/"}}]
            yield document("Route", route, "bench", match=match, forward={"clusters": [{"cluster": {"name": cluster}}]})
        yield document("AdvertisePolicy", name, "bench", where={"site": site}, port=8000 + index // sites)
        yield document(
            "VirtualHost",
            name,
            "bench",
            domains=[f"{name}.example"],
            routes=[{"name": f"{name}-two"}, {"name": name}],
            advertisePolicies=[{"name": name}],
        )


def _report(console: Console, sites: int) -> None:
    """Every site is connected and has said what a site says; every twentieth has an endpoint down."""
    context, now = console.context, time.time()
    for index in range(sites):
        subject = f"default/site/s{index}"
        for region in ("default/region/eu", "default/region/us"):
            presence = PresenceReport(subject, True, now)
            context.watch.feed_presence(context.observation, region, presence)
            context.observation.presence(region, presence)
        version = context.deployment.publication.version(subject)
        assert version is not None
        context.observation.applied(AppliedReport(subject, version, ()), version, now)
        for broken in (False, index % 20 == 0):
            report = StatusReport(subject, json.dumps(_status(index, sites, broken)).encode(), now)
            context.watch.feed_status(report)
            context.observation.status(report)


def _status(index: int, sites: int, broken: bool) -> dict[str, Any]:
    endpoints = [
        {
            "cluster": f"default/Cluster/bench/h{(index - number) % sites}",
            "endpoint": f"default/Endpoint/bench/e-{(index - number) % sites}-{number}",
            "address": "127.0.0.1",
            "port": 8080,
            "weight": 1,
            "healthy": not (broken and number == 0),
            "reason": "passes its health checks",
            "since": 1.0,
            "announced": True,
        }
        for number in range(3)
    ]
    sessions = [{"region": name, "state": "live"} for name in ("eu", "us")]
    return {
        "release": "bench",
        "started": 1.0,
        "endpoints": endpoints,
        "remote": {"total": 6, "stale": 0},
        "envoy": {"state": "running", "error": ""},
        "bgp": {"state": "running", "sessions": sessions},
        "certificate": {"validUntil": time.time() + 1e6},
    }
