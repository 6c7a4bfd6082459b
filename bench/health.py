"""Health: from the egress Envoy's health event until the last ingress Envoy has acknowledged the endpoints.

A real deployment (console, two regions, four sites) on this machine; the agents write down when things happened
(`bench.observed_site`). Once at rest, once while the reflectors hold 20,000 more routes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.bulk import announcing
from bench.report import Result, Target, Value, spread
from bench.world import document
from isthmus.demo.deployment import Deployment

INGRESS = ("ams", "lon", "nyc")
REGIONS = ("eu", "us")
SITES = ("ams", "fra", "lon", "nyc")
CROWDED, SINK = "bulk", "sink"
"""A site that announces the crowd of endpoints, and one that uses them (it is declared only)."""
EGRESS = "fra"
ASSIGNMENT = "default/bench/flip"
CROWD, CROWD_CLUSTERS = 20_000, 200
_CALM = 0.25
"""Seconds after which nothing more is expected to change because of a flip."""


class Application:
    """Answers every request with 200, or 503 while it is not `healthy`."""

    def __init__(self) -> None:
        self.healthy = True

    async def serve(self, address: str, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._answer, address, port)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                status = "200 OK" if self.healthy else "503 Service Unavailable"
                writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        writer.close()


class Diary:
    """What one observed site wrote down, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.entries: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        with self._path.open() as lines:
            lines.seek(self._offset)
            for line in iter(lines.readline, ""):
                if not line.endswith("\n"):
                    break
                self._offset = lines.tell()
                self.entries.append(json.loads(line))
        return self.entries

    def event(self, healthy: bool, after: float) -> float | None:
        """When Envoy found the endpoint (un)healthy."""
        found = (entry["event"] for entry in self.read() if "event" in entry and entry["healthy"] is healthy)
        return next((at for at in found if at > after), None)

    def answers(self) -> int:
        """How many assignments of the cluster Envoy has acknowledged."""
        return sum(any(name.startswith(ASSIGNMENT) for name in entry.get("hosts", {})) for entry in self.read())

    def acked(self, used: bool) -> float | None:
        """When Envoy acknowledged, for good as far as is known, that the egress site is (not) used; None if it has not.

        Two reflectors may contradict each other for a moment: what counts is the end of that.
        """
        moment = None
        for entry in reversed(self.read()):
            for name, hosts in entry.get("hosts", {}).items():
                if name.startswith(ASSIGNMENT):
                    if any(host.startswith(f"0.{EGRESS}.") for host in hosts) is not used:
                        return moment
                    moment = float(entry["acked"])
        return moment


@dataclass(frozen=True, slots=True)
class Flip:
    """Seconds from Envoy's event to the last acknowledgement, and whether a site changed its mind on the way."""

    seconds: float
    contradicted: bool


def run(quick: bool) -> Result:
    """Flip one endpoint again and again, at rest and in a crowd."""
    flips, crowd = (10, 2_000) if quick else (100, CROWD)
    rest, busy, crowded = asyncio.run(_measure(flips, crowd))
    rows: list[list[Value]] = []
    for name, values in (("at rest", rest), (f"with {crowded:,} routes in each reflector", busy)):
        found = spread([1000 * flip.seconds for flip in values])
        rows.append([name, found["count"], found["median"], found["p99"], found["min"], found["max"]])
    worst = [max(float(row[index] or 0) for row in rows) for index in (2, 3)]
    return Result(
        case="health",
        title="Health: from the egress Envoy's event to the EDS ACK of the last of three ingress Envoys",
        columns=["when", "flips", "median ms", "p99 ms", "min ms", "max ms"],
        rows=rows,
        targets=[Target("median", worst[0], 50, " ms"), Target("p99", worst[1], 250, " ms")],
        notes=[
            "console, two regions, four sites with their Envoys and GoBGPs on this machine; Envoy stamps its event in "
            "whole milliseconds",
            f"in {sum(flip.contradicted for flip in (*rest, *busy))} flips the reflectors contradicted each other for "
            "a moment; the time is until the end of that",
        ],
        raw={"rest": [flip.seconds for flip in rest], "crowd": [flip.seconds for flip in busy]},
    )


async def _measure(flips: int, crowd: int) -> tuple[list[Flip], list[Flip], int]:
    application, steady = Application(), Application()
    async with Deployment() as deployment:
        host, port = deployment.plan.host(200), deployment.plan.free_port()
        servers = [await application.serve(host, port), await steady.serve(deployment.plan.host(201), port)]
        diaries = await _start(deployment, port)
        rest = [await _flip(application, diaries, index) for index in range(flips)]
        numbers = {name: (await deployment.ask("GET", f"/regions/{name}"))["system"]["number"] for name in REGIONS}
        await deployment.apply(list(_crowd(deployment)))
        own = (await deployment.ask("GET", f"/sites/{CROWDED}"))["system"]["number"]
        listed = (await deployment.ask("GET", "/namespaces/crowd/clusters?limit=1000"))["items"]
        clusters = [each["system"]["number"] for each in listed]
        body = {"role": "site", "name": CROWDED, "ttlSeconds": 600}
        token = (await deployment.ask("POST", "/tokens", body))["token"]
        async with announcing(deployment.directory / CROWDED, token, own, numbers, clusters, crowd):
            crowded = await _wait_routes(deployment, crowd)
            busy = [await _flip(application, diaries, index) for index in range(flips)]
        for server in servers:
            server.close()
    return rest, busy, crowded


async def _start(deployment: Deployment, port: int) -> dict[str, Diary]:
    plan = deployment.plan
    await deployment.start_console()
    await deployment.apply(list(_documents(deployment, port)))
    for name in REGIONS:
        await deployment.join("region", name, "--metrics", f"127.0.0.1:{plan.port(9000 + REGIONS.index(name))}")
    diaries = {}
    for name in SITES:
        answer = await deployment.ask("POST", "/tokens", {"role": "site", "name": name, "ttlSeconds": 600})
        token, diary = deployment.directory / f"{name}.token", deployment.directory / f"{name}.jsonl"
        token.touch(mode=0o600)
        token.write_text(answer["token"])
        diary.touch()
        state = str(deployment.state(name))
        deployment.start(name, [sys.executable, "-m", "bench.observed_site", state, str(token), str(diary)])
        diaries[name] = Diary(diary)
    await _wait(lambda: diaries[EGRESS].event(True, 0.0), 60, "the egress site finds its endpoint healthy")
    for name in INGRESS:
        await _wait(lambda name=name: diaries[name].acked(True), 60, f"{name} uses {EGRESS}")
    await asyncio.sleep(2)  # first sessions with the second region settle
    return diaries


def _documents(deployment: Deployment, port: int) -> Iterator[dict[str, Any]]:
    plan = deployment.plan
    for index, name in enumerate(REGIONS):
        yield document("Region", name, address=plan.host(10 + index), port=plan.port(7443), bgpPort=plan.port(7179))
    for index, name in enumerate(SITES):
        yield _site(deployment, name, plan.host(20 + index))
    yield document("Namespace", "bench")
    yield document(
        "HealthCheck",
        "quick",
        "bench",
        http={"path": "/"},
        interval="100ms",
        timeout="1s",
        healthyThreshold=1,
        unhealthyThreshold=1,
        jitterPercent=0,
    )
    for index, name in enumerate((EGRESS, "nyc")):
        where = {"site": name}
        yield document("Endpoint", f"at-{name}", "bench", where=where, address=plan.host(200 + index), port=port)
    endpoints = [{"name": f"at-{EGRESS}"}, {"name": "at-nyc"}]
    yield document("Cluster", "flip", "bench", endpoints=endpoints, healthChecks=[{"name": "quick"}])
    yield document("Route", "flip", "bench", forward={"clusters": [{"cluster": {"name": "flip"}}]})
    policies = []
    for name in INGRESS:
        yield document("AdvertisePolicy", name, "bench", where={"site": name}, port=plan.port(80))
        policies.append({"name": name})
    yield document("VirtualHost", "flip", "bench", domains=["*"], routes=[{"name": "flip"}], advertisePolicies=policies)


def _site(deployment: Deployment, name: str, address: str) -> dict[str, Any]:
    return document(
        "Site",
        name,
        regions=list(REGIONS),
        interfaces=[{"name": "lo", "addresses": [address]}],
        fabric={"addresses": [{"address": address, "port": deployment.plan.port(7400)}]},
    )


def _crowd(deployment: Deployment) -> Iterator[dict[str, Any]]:
    """Clusters whose endpoints crowd the reflectors: a reflector takes only routes that some site uses."""
    for index, name in enumerate((CROWDED, SINK)):
        yield _site(deployment, name, deployment.plan.host(40 + index))
    yield document("Namespace", "crowd")
    yield document("Endpoint", "any", "crowd", where={"site": CROWDED}, address="127.0.0.1", port=9)
    routes = [{"name": f"c-{index}"} for index in range(CROWD_CLUSTERS)]
    for index, route in enumerate(routes):
        yield document("Cluster", route["name"], "crowd", endpoints=[{"name": "any"}])
        match = [{"path": {"prefix": f"/{index}/"}}]
        yield document(
            "Route", route["name"], "crowd", match=match, forward={"clusters": [{"cluster": {"name": route["name"]}}]}
        )
    yield document("AdvertisePolicy", "sink", "crowd", where={"site": SINK})
    yield document("VirtualHost", "crowd", "crowd", domains=["*"], routes=routes, advertisePolicies=[{"name": "sink"}])


async def _flip(application: Application, diaries: dict[str, Diary], index: int) -> Flip:
    """Change the endpoint's health once."""
    before = {name: diaries[name].answers() for name in INGRESS}
    asked = time.time()
    wanted = application.healthy = not application.healthy
    event = await _wait(lambda: diaries[EGRESS].event(wanted, asked - 0.001), 30, f"flip {index}: Envoy sees it")
    for name in INGRESS:
        await _wait(lambda name=name: diaries[name].acked(wanted), 30, f"flip {index}: {name} acknowledges")
    await asyncio.sleep(_CALM)
    last = [
        await _wait(lambda name=name: diaries[name].acked(wanted), 30, f"flip {index}: {name} keeps it")
        for name in INGRESS
    ]
    contradicted = any(diaries[name].answers() > before[name] + 1 for name in INGRESS)
    return Flip(max(last) - event, contradicted)


async def _wait_routes(deployment: Deployment, count: int) -> int:
    """Wait until each region's reflector holds this many routes; how many the emptiest holds."""
    import httpx

    async with httpx.AsyncClient() as client:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found = []
            for index in range(len(REGIONS)):
                text = (await client.get(f"http://127.0.0.1:{deployment.plan.port(9000 + index)}/metrics")).text
                lines = (line for line in text.splitlines() if line.startswith("isthmus_region_routes "))
                found.append(int(float(next(lines, "x 0").split()[1])))
            if min(found) >= count:
                return min(found)
            await asyncio.sleep(0.5)
    raise TimeoutError(f"the reflectors hold {found} routes after 120 s, not {count}")


async def _wait(ask: Any, seconds: float, what: str) -> float:
    deadline = time.monotonic() + seconds
    while (found := ask()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        await asyncio.sleep(0.01)
    return float(found)
