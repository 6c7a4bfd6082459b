"""Configuration: from the API's acknowledgement of a change until the last of N sites has acknowledged it.

A real console and two real regions; the sites are real stream clients (`bench.fleet`), each with its own certificate
and with a stream to both regions. The deployment grows from the smallest N to the largest.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from bench.process import cpu_seconds, resident
from bench.report import Result, Target, Value
from bench.world import document
from isthmus.client import Console
from isthmus.demo.deployment import Deployment

REGIONS = ("eu", "us")
SIZES = (100, 1_000, 5_000)
SMALL = (20, 50)
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds and resident bytes of a process."""

    cpu: float
    memory: int

    @classmethod
    def of(cls, pid: int) -> Reading:
        return cls(cpu_seconds(pid), resident(pid))


@dataclass(frozen=True, slots=True)
class Size:
    """What was measured with N sites.

    Seconds per change: for all sites from the API's answer and from the request, for one site from the request (few
    sites often acknowledge before the API's answer has been read). CPU seconds of one change, memory in bytes.
    """

    count: int
    all_sites: list[float]
    all_requests: list[float]
    one_site: list[float]
    console_cpu: float
    region_cpu: float
    console_memory: int
    region_memory: int


class Fleet:
    """The process of the simulated sites."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command, wait for the answer; RuntimeError when the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the simulated sites have ended; their error is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def run(quick: bool) -> Result:
    """Grow, change, measure."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    changes = 3 if quick else 15
    empty, sizes = asyncio.run(_measure(SMALL if quick else SIZES, changes))
    rows: list[list[Value]] = [
        [
            f"{size.count:,} sites",
            1000 * statistics.median(size.all_sites),
            1000 * max(size.all_sites),
            1000 * statistics.median(size.all_requests),
            1000 * statistics.median(size.one_site),
            1e6 * size.console_cpu / size.count,
            1e6 * size.region_cpu / size.count,
            (size.console_memory - empty[0]) / size.count / 1000,
            (size.region_memory - empty[1]) / size.count / 1000,
        ]
        for size in sizes
    ]
    judged = next((size for size in sizes if size.count == 1_000), sizes[-1])
    per_site = (judged.region_memory - empty[1]) / judged.count / 1000
    at = f"at {judged.count:,} sites"
    one = [statistics.median(size.one_site) for size in sizes]
    return Result(
        case="configuration",
        title="Configuration: from the API's acknowledgement until the last site has acknowledged",
        columns=[
            "deployment",
            "all sites, ms",
            "worst, ms",
            "from request",
            "one site, from request",
            "console CPU µs/site",
            "region CPU µs/site",
            "console KB/site",
            "region KB/site",
        ],
        rows=rows,
        targets=[
            Target(f"a change for all {at}", statistics.median(judged.all_sites), 1.0, " s"),
            Target(f"region memory per site {at}", per_site, 200, " KB"),
            Target("a change for one site, largest to smallest deployment", one[-1] / one[0], 1.5, " ×"),
            Target("time for all sites per site, largest to smallest", _growth(sizes), 1.2, " ×"),
        ],
        notes=[
            f"median of {changes} changes; every site has a stream to both regions; CPU is that of a change for all "
            "sites, of the console and of one region; memory is what the process grew by",
            "console, regions and all simulated sites share this machine's cores",
        ],
        raw={str(size.count): [size.all_sites, size.all_requests, size.one_site] for size in sizes},
    )


def _growth(sizes: list[Size]) -> float:
    """Time per site in the largest deployment to that in the smallest: 1 is linear, less is better."""
    first, last = sizes[0], sizes[-1]
    return (statistics.median(last.all_requests) / last.count) / (statistics.median(first.all_requests) / first.count)


async def _measure(counts: tuple[int, ...], changes: int) -> tuple[tuple[int, int], list[Size]]:
    async with Deployment() as deployment, _fleet() as fleet:
        await deployment.start_console()
        with deployment.client() as console:
            await asyncio.to_thread(console.apply, list(_base(deployment)))
            for name in REGIONS:
                await deployment.join("region", name)
            await _connected(console)
            empty = (_reading(deployment, "console").memory, _reading(deployment, REGIONS[0]).memory)
            sizes = []
            for before, count in zip((0, *counts), counts, strict=False):
                await _grow(deployment, console, fleet, before, count)
                sizes.append(await _size(deployment, console, fleet, count, changes))
    return empty, sizes


@contextlib.asynccontextmanager
async def _fleet() -> AsyncIterator[Fleet]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.fleet", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Fleet(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _reading(deployment: Deployment, name: str) -> Reading:
    return Reading.of(deployment.processes[name].pid)


async def _connected(console: Console) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = await asyncio.to_thread(console.get, "/status", reports="false")
        if all(region["connected"] for region in status["regions"]):
            return
        await asyncio.sleep(0.2)
    raise TimeoutError("the regions do not connect to the console within 60 s")


async def _grow(deployment: Deployment, console: Console, fleet: Fleet, before: int, count: int) -> None:
    """Declare, join and connect sites until there are `count`."""
    for start in range(before, count, _BATCH):
        names = [_name(index) for index in range(start, min(count, start + _BATCH))]
        answer = await asyncio.to_thread(console.apply, [_site(deployment, name) for name in names])
        tokens = await asyncio.to_thread(_tokens, console, names)
        await fleet.ask(join=tokens)
        async with asyncio.timeout(300):
            await fleet.ask(wait=answer["revision"], sites=names)
    async with asyncio.timeout(300):
        await fleet.ask(wait=1, sites=None)
    await asyncio.sleep(3)


def _tokens(console: Console, names: list[str]) -> list[str]:
    body = {"role": "site", "ttlSeconds": 3600}
    return [console.request("POST", "/tokens", {**body, "name": name})["token"] for name in names]


async def _size(deployment: Deployment, console: Console, fleet: Fleet, count: int, changes: int) -> Size:
    await _change(console, fleet, _route(-1), None)
    before = {name: _reading(deployment, name) for name in ("console", *REGIONS)}
    everyone = [await _change(console, fleet, _route(index), None) for index in range(changes)]
    await asyncio.sleep(2)  # what was put off (saving, status) counts, too
    after = {name: _reading(deployment, name) for name in ("console", *REGIONS)}
    one = []
    for index in range(changes):
        name = _name(1 + index % (count - 1))
        one.append((await _change(console, fleet, _site(deployment, name, f"v{count}-{index}"), [name]))[0])
    region = max(REGIONS, key=lambda name: after[name].memory)
    return Size(
        count=count,
        all_sites=[answered for _, answered in everyone],
        all_requests=[asked for asked, _ in everyone],
        one_site=one,
        console_cpu=(after["console"].cpu - before["console"].cpu) / changes,
        region_cpu=max(after[name].cpu - before[name].cpu for name in REGIONS) / changes,
        console_memory=after["console"].memory,
        region_memory=after[region].memory,
    )


async def _change(
    console: Console, fleet: Fleet, changed: dict[str, Any], sites: list[str] | None
) -> tuple[float, float]:
    """Apply one object. Seconds until the last of the sites has acknowledged: from the request, from the answer."""
    asked = time.monotonic()
    answer = await asyncio.to_thread(console.apply, [changed])
    answered = time.monotonic()
    async with asyncio.timeout(300):
        done = float((await fleet.ask(wait=answer["revision"], sites=sites))["at"])
    return done - asked, max(0.0, done - answered)


def _name(index: int) -> str:
    return f"site-{index}"


def _site(deployment: Deployment, name: str, release: str = "v") -> dict[str, Any]:
    index = int(name.rpartition("-")[2])
    fabric = {"addresses": [{"address": deployment.plan.host(20), "port": 7400}]} if index == 0 else {}
    made = document(
        "Site",
        name,
        regions=list(REGIONS),
        interfaces=[{"name": "lo", "addresses": [f"127.200.{index // 250}.{index % 250 + 1}"]}],
        fabric=fabric,
    )
    made["metadata"]["labels"] = {"release": release}
    return made


def _route(index: int) -> dict[str, Any]:
    match = [{"path": {"prefix": f"/part-{index + 1}/"}}]
    return document("Route", "web", "bench", match=match, forward={"clusters": [{"cluster": {"name": "web"}}]})


def _base(deployment: Deployment) -> Iterator[dict[str, Any]]:
    plan = deployment.plan
    for index, name in enumerate(REGIONS):
        yield document("Region", name, address=plan.host(10 + index), port=plan.port(7443), bgpPort=plan.port(7179))
    yield document("Namespace", "bench")
    yield _site(deployment, _name(0))
    yield document("VirtualSite", "all", selector=[])
    yield document("Endpoint", "web", "bench", where={"site": _name(0)}, address=plan.host(200), port=8000)
    yield document("Cluster", "web", "bench", endpoints=[{"name": "web"}])
    yield _route(-1)
    yield document("AdvertisePolicy", "everywhere", "bench", where={"virtualSite": "all"}, port=8080)
    yield document(
        "VirtualHost",
        "web",
        "bench",
        domains=["web.example"],
        routes=[{"name": "web"}],
        advertisePolicies=[{"name": "everywhere"}],
    )
