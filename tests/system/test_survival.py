"""What still works when something is gone: how many requests fail, and that no healthy route vanishes."""

import asyncio

from isthmus.demo.deployment import CONSOLE, wait_until
from isthmus.demo.shop import Shop
from isthmus.demo.traffic import summarise

from .conftest import Measure, Watch, alive, console_answers, fresh, report, sessions, verdict, watching


def only(watch: Watch, site: str, seconds: float = 0.5) -> bool:
    """Whether all requests of the last moment were answered, at one site."""
    summary = summarise(watch.last(seconds))
    return summary.requests > 10 and not summary.failed and set(summary.sites) == {site}


async def lose_region(shop: Shop, name: str) -> None:
    """Kill a region and its route reflector."""
    await shop.deployment.kill(name)
    shop.deployment.kill_engine(name, "gobgpd")


async def test_endpoint_killed(shop: Shop, measured: Measure) -> None:
    async with watching(shop) as watch:
        await shop.deployment.kill("fra-1")
        await wait_until(lambda: "fra-1" not in summarise(watch.last(0.5)).instances, 60, "requests leave fra-1")
        await wait_until(lambda: only(watch, "fra"), 60, "requests stay at fra")
    measured(verdict(watch))
    assert watch.failed == 0
    assert {site for _, site, _ in watch.lost} <= {"fra"}, "only routes of the dead endpoint were withdrawn"


async def test_all_endpoints_of_a_site_killed(shop: Shop, measured: Measure) -> None:
    async with watching(shop) as watch:
        await asyncio.gather(shop.deployment.kill("fra-1"), shop.deployment.kill("fra-2"))
        await wait_until(lambda: only(watch, "nyc"), 60, "nyc takes over")
        shop.start_instance("fra-1")
        await wait_until(lambda: only(watch, "fra"), 60, "requests return to fra")
    measured(verdict(watch))
    assert watch.failed == 0
    assert {site for _, site, _ in watch.lost} <= {"fra"}


async def test_console_down(shop: Shop, measured: Measure) -> None:
    async with watching(shop) as watch:
        await shop.deployment.kill(CONSOLE)
        await asyncio.sleep(1.5)
        assert not await console_answers(shop)
        await shop.deployment.kill("fra-2")
        await wait_until(lambda: "fra-2" not in summarise(watch.last(0.5)).instances, 60, "requests leave fra-2")
        shop.start_instance("fra-2")
        await wait_until(lambda: "fra-2" in summarise(watch.last(0.5)).instances, 60, "fra-2 is used again")
    measured(verdict(watch))
    assert watch.failed == 0
    assert {site for _, site, _ in watch.lost} <= {"fra"}


async def test_region_down_with_its_reflector(shop: Shop, measured: Measure) -> None:
    async with watching(shop) as watch:
        await lose_region(shop, "eu")
        await asyncio.sleep(3)
        assert watch.lost == set()
        await asyncio.gather(shop.deployment.kill("fra-1"), shop.deployment.kill("fra-2"))
        await wait_until(lambda: only(watch, "nyc"), 60, "health still travels, through the other region")
        shop.start_instance("fra-1")
        shop.start_instance("fra-2")
        await wait_until(lambda: only(watch, "fra"), 60, "requests return to fra")
    measured(verdict(watch))
    assert watch.failed == 0
    assert {site for _, site, _ in watch.lost} <= {"fra"}


async def test_region_comes_back(shop: Shop, measured: Measure) -> None:
    """A region that restarts empty of routes makes none vanish."""
    async with watching(shop) as watch:
        await lose_region(shop, "eu")
        await asyncio.sleep(0.5)
        shop.deployment.start("eu")
        await wait_until(lambda: sessions(shop, "ams").get("eu") == "live", 60, "ams and eu exchange routes again")
        await asyncio.sleep(2)
    measured(verdict(watch))
    assert (watch.failed, watch.lost) == (0, set())


async def test_all_regions_down(shop: Shop, measured: Measure) -> None:
    async with watching(shop) as watch:
        await lose_region(shop, "eu")
        await lose_region(shop, "us")
        await wait_until(lambda: not fresh(shop, "ams"), 60, "every remote endpoint is stale", pause=0.3)
        await asyncio.sleep(2)
        await wait_until(lambda: only(watch, "fra"), 60, "stale endpoints stay in use")
        await shop.deployment.kill("fra-1")
        await wait_until(lambda: "fra-1" not in summarise(watch.last(0.5)).instances, 60, "fra leaves fra-1 alone")
        await wait_until(lambda: only(watch, "fra"), 60, "fra-2 answers alone")
    measured(verdict(watch))
    assert (watch.failed, watch.lost) == (0, set())


async def test_agents_killed_and_engines_adopted(shop: Shop, measured: Measure) -> None:
    deployment = shop.deployment
    before = {site: deployment.engine(site, "envoy") for site in shop.sites}
    async with watching(shop) as watch:
        for site in ("ams", "fra"):
            await deployment.kill(site)
        await asyncio.sleep(2)
        await wait_until(lambda: only(watch, "fra"), 60, "Envoys serve without their agents")
        for site in ("ams", "fra"):
            deployment.start(site)
        for site in ("ams", "fra"):
            await wait_until(lambda site=site: _running(shop, site), 60, f"the agent of {site} is back")  # type: ignore[misc]
        await asyncio.sleep(2)
    measured(verdict(watch))
    assert {site: deployment.engine(site, "envoy") for site in shop.sites} == before
    assert report(shop, "ams")["envoy"]["adopted"]
    assert report(shop, "fra")["envoy"]["adopted"]
    assert (watch.failed, watch.lost) == (0, set())


async def test_agent_restarted_in_order(shop: Shop, measured: Measure) -> None:
    """As an upgrade does: not one request is lost."""
    async with watching(shop) as watch:
        for site in ("ams", "fra", "nyc"):
            await shop.deployment.stop(site)
            shop.deployment.start(site)
            await wait_until(lambda site=site: _running(shop, site), 60, f"the agent of {site} is back")  # type: ignore[misc]
        await asyncio.sleep(1)
    measured(verdict(watch))
    assert (watch.failed, watch.lost) == (0, set())


async def test_egress_envoy_killed(shop: Shop, measured: Measure) -> None:
    async with watching(shop) as watch:
        pid = shop.deployment.kill_engine("fra", "envoy")
        await wait_until(
            lambda: shop.deployment.engine("fra", "envoy") not in (None, pid), 60, "Envoy is started again"
        )
        await wait_until(lambda: only(watch, "fra"), 60, "requests are answered at fra again")
    measured(verdict(watch))
    assert watch.failed <= 0.01 * len(watch.traffic.records)


async def test_ingress_envoy_killed(shop: Shop, measured: Measure) -> None:
    """Its own clients notice; with the last acknowledged resources it is back without any plane's help."""
    async with watching(shop) as watch:
        pid = shop.deployment.kill_engine("ams", "envoy")
        await wait_until(
            lambda: shop.deployment.engine("ams", "envoy") not in (None, pid), 60, "Envoy is started again"
        )
        await wait_until(lambda: only(watch, "fra"), 60, "requests are answered again")
    measured(verdict(watch))
    assert watch.lost == set()


async def test_site_bgp_speaker_killed(shop: Shop, measured: Measure) -> None:
    async with watching(shop) as watch:
        for site in ("ams", "fra"):
            shop.deployment.kill_engine(site, "gobgpd")
        await wait_until(
            lambda: len(fresh(shop, "ams")) == len(watch.expected), 60, "routes are confirmed again", pause=0.3
        )
        await wait_until(lambda: only(watch, "fra"), 60, "requests stay at fra")
    measured(verdict(watch))
    assert (watch.failed, watch.lost) == (0, set())


async def test_site_restarts_alone_in_the_world(shop: Shop, measured: Measure) -> None:
    """Console and regions are gone; a site's agent and both engines die too: it serves again from its own disk."""
    deployment = shop.deployment
    async with watching(shop) as watch:
        await deployment.kill(CONSOLE)
        for region in shop.regions:
            await lose_region(shop, region)
        await asyncio.sleep(1)
        await wait_until(lambda: only(watch, "fra"), 60, "requests stay at fra")
        assert watch.failed == 0
        await deployment.kill("ams")
        dead = [deployment.kill_engine("ams", program) for program in ("envoy", "gobgpd")]
        watch.strike()
        deployment.start("ams")
        await wait_until(lambda: only(watch, "fra"), 60, "ams serves from its disk")
        assert not any(alive(pid) for pid in dead)
    measured(verdict(watch))
    assert watch.lost == set()


async def test_agent_restarts_while_all_else_is_down(shop: Shop, measured: Measure) -> None:
    """With console and regions gone, a restarted agent adopts its Envoy: no request is lost."""
    deployment = shop.deployment
    async with watching(shop) as watch:
        await deployment.kill(CONSOLE)
        for region in shop.regions:
            await lose_region(shop, region)
        await deployment.kill("ams")
        await asyncio.sleep(0.5)
        deployment.start("ams")
        await wait_until(lambda: _running(shop, "ams"), 60, "the agent of ams is back")
        await asyncio.sleep(2)
        await wait_until(lambda: only(watch, "fra"), 60, "requests stay at fra")
    measured(verdict(watch))
    assert (watch.failed, watch.lost) == (0, set())


async def test_site_cut_off(shop: Shop, measured: Measure) -> None:
    """A whole site says nothing any more, as when its link is cut; then it comes back."""
    async with watching(shop) as watch:
        frozen = shop.deployment.freeze("fra")
        await wait_until(lambda: only(watch, "nyc"), 60, "nyc takes over")
        shop.deployment.thaw(frozen)
        await wait_until(lambda: only(watch, "fra"), 60, "requests return to fra")
    measured(verdict(watch))
    assert watch.failed <= 0.01 * len(watch.traffic.records)


def _running(shop: Shop, site: str) -> bool:
    """Whether a site's agent answers and its Envoy serves."""
    try:
        return bool(report(shop, site)["envoy"]["state"] == "running" and report(shop, site)["envoy"]["connected"])
    except Exception:  # not there yet
        return False
