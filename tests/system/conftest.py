"""One deployment for all system tests: a console, two regions, three sites, the demo's shop. Real processes only.

Each test may break what it likes; the fixture `shop` starts again what does not run, and waits until every site answers
as at first. What a test measured is printed at the end of the run.
"""

import asyncio
import contextlib
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from isthmus.cli.error import CommandError
from isthmus.cli.local import ask_site
from isthmus.client import ConsoleError
from isthmus.demo.deployment import CONSOLE, Deployment, wait_until
from isthmus.demo.process import find_processes
from isthmus.demo.shop import Shop
from isthmus.demo.traffic import Record, Traffic, milliseconds_to_last_failure, summarise


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these share one event loop, that of the deployment."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def deployed() -> AsyncIterator[Shop]:
    """The deployment, started once."""
    async with Deployment() as deployment:
        shop = Shop(deployment)
        await shop.start(lambda text: None)
        yield shop
        directory = deployment.directory
    assert list(find_processes(directory)) == []


@pytest_asyncio.fixture(loop_scope="session")
async def shop(deployed: Shop) -> AsyncIterator[Shop]:
    """The deployment, whole before and after the test."""
    yield deployed
    await mend(deployed)


async def mend(shop: Shop) -> None:
    """Make the deployment whole: processes, objects, health."""
    deployment = shop.deployment
    deployment.thaw([running.pid for running in find_processes(deployment.directory)])
    names = [CONSOLE, *shop.regions, *shop.sites]
    for name in names:
        if not deployment.processes[name].running:
            deployment.start(name)
    for name in shop.instances:
        if not deployment.processes[name].running:
            shop.start_instance(name)
    await deployment.wait_for_console()
    await deployment.apply(shop.documents)
    await shop.wait_for_calm(90)
    for site in shop.sites:
        await wait_until(
            lambda site=site: connected(shop, site), 90, f"{site} and its regions are connected", pause=0.3
        )  # type: ignore[misc]
    await wait_until(lambda: len(fresh(shop, "ams")) == 8, 60, "ams hears of every endpoint", pause=0.3)


def report(shop: Shop, site: str) -> dict[str, Any]:
    """What a site's agent says about itself, on its own machine."""
    answer: dict[str, Any] = ask_site(shop.deployment.state(site), "GET", "/status", timeout=60)
    return answer


def sessions(shop: Shop, site: str) -> dict[str, str]:
    """How far a site's exchange of routes with each region is: down, syncing or live."""
    return {each["region"]: each["state"] for each in report(shop, site)["bgp"]["sessions"]}


def connected(shop: Shop, site: str) -> bool:
    """Whether a site's agent runs, is connected to every region, and exchanges routes with it."""
    try:
        streams = {each["region"] for each in report(shop, site)["streams"] if each["connected"]}
        return streams == set(shop.regions) and sessions(shop, site) == dict.fromkeys(shop.regions, "live")
    except CommandError:  # it is starting
        return False


def remote(shop: Shop, site: str) -> set[tuple[str, str, int]]:
    """The remote endpoints that a site knows and may use, as (cluster, site, number); stale ones too."""
    return endpoints(report(shop, site))


def endpoints(told: Mapping[str, Any]) -> set[tuple[str, str, int]]:
    """The same, of a report that is there already."""
    return {(each["cluster"], each["site"], each["number"]) for each in told["remoteEndpoints"]}


def fresh(shop: Shop, site: str) -> set[tuple[str, str, int]]:
    """Those that a region confirms."""
    return {
        (each["cluster"], each["site"], each["number"])
        for each in report(shop, site)["remoteEndpoints"]
        if not each["stale"]
    }


async def console_answers(shop: Shop) -> bool:
    """Whether the console's API answers."""
    try:
        await shop.deployment.status()
    except (ConsoleError, OSError):
        return False
    return True


@dataclass
class Watch:
    """Traffic at a site, and the routes that the site knew meanwhile."""

    shop: Shop
    traffic: Traffic
    site: str
    expected: set[tuple[str, str, int]]
    lost: set[tuple[str, str, int]] = field(default_factory=set)
    looks: int = 0
    fault: float = 0.0

    async def look(self) -> None:
        """Compare the site's remote endpoints with those it had at the start, again and again."""
        while True:
            with contextlib.suppress(CommandError):  # its agent is down: it has nothing to say
                told = await asyncio.to_thread(report, self.shop, self.site)
                if told["manifest"]["applied"] is not None:  # else it has just started, and serves what it adopted
                    self.lost |= self.expected - endpoints(told)
                    self.looks += 1
            await asyncio.sleep(0.2)

    def strike(self) -> None:
        """The moment of the fault."""
        self.fault = asyncio.get_running_loop().time()

    def last(self, seconds: float) -> list[Record]:
        """Requests that ended within the last seconds."""
        return self.traffic.ended_since(asyncio.get_running_loop().time() - seconds)

    @property
    def failed(self) -> int:
        """Failed requests until now."""
        return summarise(self.traffic.records).failed


Measure = Callable[[str], None]


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measure:
    """Record a line about what the test measured."""
    return lambda line: record_property("measured", line)


def verdict(watch: Watch) -> str:
    """The line about a watch."""
    summary = summarise(watch.traffic.records)
    statuses = dict(Counter(record.status for record in watch.traffic.records if record.failed))
    last = milliseconds_to_last_failure(watch.traffic.records, watch.fault)
    return (
        f"{summary.requests} requests, {summary.failed} failed {statuses or ''}, {last:.0f} ms from fault to "
        f"last failure, {len(watch.lost)} routes lost in {watch.looks} looks, answered by {dict(summary.sites)}"
    )


class watching:  # reads as a statement: `async with watching(shop) as watch`
    """Send steady traffic to a site and watch its routes."""

    def __init__(self, shop: Shop, site: str = "ams", rate: float = 150) -> None:
        self._shop, self._site = shop, site
        self._traffic = Traffic(shop.target(site), rate)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Watch:
        expected = await asyncio.to_thread(remote, self._shop, self._site)
        watch = Watch(self._shop, self._traffic, self._site, expected)
        await self._traffic.__aenter__()
        self._task = asyncio.create_task(watch.look())
        await asyncio.sleep(1)
        watch.strike()
        return watch

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._traffic.stop()


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@dataclass(frozen=True)
class Outcome:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


Isthmus = Callable[..., Awaitable[Outcome]]


@pytest.fixture
def isthmus(shop: Shop, tmp_path: Path) -> Isthmus:
    """`await isthmus("get", "sites")`, as administrator of the deployment."""

    async def run(*arguments: str, stdin: str = "", **environment: str) -> Outcome:
        variables = {
            **os.environ,
            "XDG_CONFIG_HOME": str(tmp_path),
            "ISTHMUS_URL": shop.deployment.url,
            "ISTHMUS_TOKEN_FILE": str(shop.deployment.token_file),
            "ISTHMUS_CA": str(shop.deployment.ca_file),
            **environment,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "isthmus", *arguments, env=variables,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return Outcome(process.returncode, out.decode(), err.decode())

    return run
