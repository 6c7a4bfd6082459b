"""The steps of the demo. Each makes something happen, watches requests meanwhile, and checks what they saw."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from isthmus.demo.deployment import CONSOLE
from isthmus.demo.example import load_example
from isthmus.demo.report import Step
from isthmus.demo.shop import NEAREST, SEARCH, Shop
from isthmus.demo.traffic import Record, Traffic, ask_many, milliseconds_to_last_failure, summarise

Tell = Callable[[str], None]
_RATE = 150
"""Requests per second while something is broken."""
_SETTLE = 1.5
"""Seconds of traffic before a fault."""


@asynccontextmanager
async def _traffic(shop: Shop, step: Step, site: str = "ams") -> AsyncIterator[Traffic]:
    """Traffic during a step; every record of it counts for the step."""
    async with Traffic(shop.target(site), _RATE) as traffic:
        await asyncio.sleep(_SETTLE)
        yield traffic
    step.records.extend(traffic.records)


def _last(traffic: Traffic, seconds: float) -> list[Record]:
    """Requests that were answered, or failed, within the last seconds."""
    return traffic.ended_since(time.monotonic() - seconds)


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def _only(records: list[Record], site: str = "", instance: str = "") -> bool:
    """All were answered, and only there."""
    summary = summarise(records)
    return (
        summary.requests > 0
        and not summary.failed
        and (not site or set(summary.sites) == {site})
        and (not instance or set(summary.instances) == {instance})
    )


async def nearest(shop: Shop, tell: Tell) -> Step:
    """Clients at each site are answered by the nearest instance."""
    step = Step("nearest", "pages come from the nearest site")
    for entry, expected in NEAREST.items():
        records = await ask_many(shop.target(entry), 200)
        step.records.extend(records)
        step.check(f"requests at {entry} are answered at {expected}", _only(records, site=expected))
        tell(f"200 requests at {entry}: {dict(summarise(records).sites)}")
    return step


async def weighted(shop: Shop, tell: Tell) -> Step:
    """Searches are spread by weight: 6 to 2."""
    step = Step("weighted", "searches are spread over sites by weight, 75 % to 25 %")
    step.records = await ask_many(shop.target("ams", SEARCH), 800)
    summary = summarise(step.records)
    tell(f"800 searches at ams: {dict(summary.sites)}")
    step.check("no request failed", summary.failed == 0)
    step.check("66 to 84 % are answered at fra", 0.66 <= summary.share("fra") <= 0.84)
    step.check("the rest at nyc", set(summary.sites) == {"fra", "nyc"})
    return step


async def endpoint_killed(shop: Shop, tell: Tell) -> Step:
    """One of two instances dies; the other takes over, and it comes back."""
    step = Step("endpoint-killed", "an instance is killed, the other one at its site takes over")
    async with _traffic(shop, step) as traffic:
        fault = time.monotonic()
        await shop.deployment.kill("fra-1")
        tell("killed fra-1")
        moved = await _until(lambda: _only(_last(traffic, 1), instance="fra-2"), 60)
        step.fault_milliseconds = milliseconds_to_last_failure(traffic.records, fault)
        step.check("all requests move to fra-2", moved)
        step.check("no request failed", summarise(traffic.records).failed == 0)
        shop.start_instance("fra-1")
        back = await _until(lambda: "fra-1" in summarise(_last(traffic, 0.5)).instances, 60)
        tell(f"started fra-1 again: {dict(summarise(_last(traffic, 0.5)).instances)}")
        step.check("fra-1 is used again once it is back", back)
    return step


async def site_cut(shop: Shop, tell: Tell) -> Step:
    """A whole site freezes: agent, Envoy and BGP say nothing any more, as when its link is cut."""
    step = Step("site-cut", "a whole site is cut off, the next one takes over")
    async with _traffic(shop, step) as traffic:
        fault = time.monotonic()
        frozen = shop.deployment.freeze("fra")
        tell(f"cut fra: its agent, Envoy and BGP speaker are frozen ({len(frozen)} processes)")
        try:
            moved = await _until(lambda: _only(_last(traffic, 1), site="nyc"), 60)
            tell(f"requests at ams now: {dict(summarise(_last(traffic, 1)).sites)}")
            step.check("all requests move to nyc", moved)
        finally:
            shop.deployment.thaw(frozen)
        back = await _until(lambda: _only(_last(traffic, 0.5), site="fra"), 60)
        step.fault_milliseconds = milliseconds_to_last_failure(traffic.records, fault)
        tell(f"fra is back: {dict(summarise(_last(traffic, 0.5)).sites)}")
        step.check("requests return to fra once it is back", back)
    summary = summarise(step.records)
    step.check("at most 1 % of the requests failed", summary.failed <= summary.requests / 100)
    return step


async def planes_stopped(shop: Shop, tell: Tell) -> Step:
    """No console, region eu and its reflector dead: traffic flows, and health travels through the other region."""
    step = Step("planes-stopped", "console and region eu are gone: traffic flows, and health still travels")
    async with _traffic(shop, step) as traffic:
        fault = time.monotonic()
        await shop.deployment.stop(CONSOLE)
        await shop.deployment.kill("eu")
        shop.deployment.kill_engine("eu", "gobgpd")
        tell("stopped the console; killed region eu and its route reflector")
        await asyncio.sleep(3)
        step.check("fra goes on answering", _only(traffic.ended_since(fault), site="fra"))
        for name in ("fra-1", "fra-2"):
            await shop.deployment.kill(name)
        moved = await _until(lambda: _only(_last(traffic, 0.5), site="nyc"), 60)
        tell(f"killed both instances at fra: {dict(summarise(_last(traffic, 0.5)).sites)}")
        step.check("nyc takes over when both instances at fra die", moved)
        for name in ("fra-1", "fra-2"):
            shop.start_instance(name)
        back = await _until(lambda: _only(_last(traffic, 0.5), site="fra"), 60)
        tell(f"started them again: {dict(summarise(_last(traffic, 0.5)).sites)}")
        step.check("requests return to fra when they are back", back)
        step.fault_milliseconds = milliseconds_to_last_failure(traffic.records, fault)
        shop.deployment.start("eu")
        shop.deployment.start(CONSOLE)
        await shop.deployment.wait_for_console()
        step.check("regions and sites are connected again", await _connected(shop, 90))
        tell("console and region eu are back")
    step.check("no request failed", summarise(step.records).failed == 0)
    return step


async def _connected(shop: Shop, seconds: float) -> bool:
    """Whether, in time, the console hears every region, and every site through each of its regions."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = await shop.deployment.status()
        regions = all(region["connected"] for region in status["regions"])
        if regions and all(set(site["via"]) >= set(site["regions"]) for site in status["sites"]):
            return True
        await asyncio.sleep(0.2)
    return False


async def canary(shop: Shop, tell: Tell) -> Step:
    """An edit of one route sends 5 % of the requests to the next version."""
    step = Step("canary", "5 % of the pages come from the next version")
    await shop.deployment.apply(load_example("canary", shop.deployment.plan))
    async with _traffic(shop, step) as traffic:
        seen = await _until(lambda: "v2" in summarise(_last(traffic, 1)).versions, 60)
    step.check("the next version is seen", seen)
    records = await ask_many(shop.target("ams"), 2000)
    step.records.extend(records)
    summary = summarise(records)
    tell(f"2000 requests at ams: {dict(summary.versions)}")
    step.check("2 to 8 % are answered by v2", 0.02 <= summary.version_share("v2") <= 0.08)
    step.check("no request failed", summarise(step.records).failed == 0)
    return step


STEPS: tuple[Callable[[Shop, Tell], Awaitable[Step]], ...] = (
    nearest,
    weighted,
    endpoint_killed,
    site_cut,
    planes_stopped,
    canary,
)
"""In order. Each leaves the deployment whole for the next."""


async def run_steps(shop: Shop, tell: Tell, done: Callable[[Step], None]) -> None:
    """Run every step and hand it to `done`; a step that fails does not keep the next from running."""
    for number, run in enumerate(STEPS, 1):
        tell("")
        tell(f"{number}. {(run.__doc__ or '').strip()}")
        step = await run(shop, tell)
        for text, held in step.checks:
            tell(f"   {'ok  ' if held else 'FAIL'} {text}")
        summary = summarise(step.records)
        fault = step.fault_milliseconds
        last = "" if fault is None else f", {fault:.0f} ms from fault to last failure"
        tell(f"   {summary.requests} requests, {summary.failed} failed{last}")
        done(step)


INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end the demo in order."""
