"""What is left when a gobgpd, a tunnel or a region is gone: no healthy route vanishes."""

import asyncio
import os
import signal
import time

from bgp_deployment import Deployment, SiteUnderTest, eventually

from isthmus.engine.gobgp.reflector import ReflectorConfig
from isthmus.health.event import Announced, EndOfRib, SessionDown, Withdrawn
from isthmus.health.table import SessionState


def _ends_of_rib(site: SiteUnderTest) -> int:
    return sum(isinstance(event, EndOfRib) for event in site.history)


def _kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


async def test_reflector_killed_and_restarted(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: [10], 3: []}))
    one = await deployment.site(1, [region], {10})
    two = await deployment.site(2, [region], {10})
    await one.announce(one.route(1, 10), one.route(2, 10))
    await two.announce(two.route(1, 10))
    await eventually(lambda: one.fresh(10) == {(2, 1)} and two.fresh(10) == {(1, 1), (1, 2)}, "both hear")
    await eventually(lambda: _ends_of_rib(one) == _ends_of_rib(two) == 1, "both are in accord")
    _kill(region.reflector.pid)
    await eventually(lambda: not one.fresh(10) and not two.fresh(10), "both know that nothing is confirmed")
    assert (one.seen(10), two.seen(10)) == ({(2, 1)}, {(1, 1), (1, 2)})
    await one.withdraw(2)  # while nobody hears it
    await eventually(lambda: one.fresh(10) == {(2, 1)} and two.fresh(10) == {(1, 1)}, "confirmed again")
    await eventually(lambda: min(_ends_of_rib(one), _ends_of_rib(two)) >= 2, "in accord again")
    assert region.reflector.restarts == 1
    assert one.seen(10) == {(2, 1)}
    assert not [e for e in one.history if isinstance(e, Withdrawn)]
    # What was withdrawn meanwhile goes after its time.
    now = time.time()
    two.table.expire(now, {})
    assert (1, 2) in two.seen(10)
    two.table.expire(now + 60, {})
    assert two.seen(10) == {(1, 1)}


async def test_site_gobgpd_killed(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: [10]}))
    ingress = await deployment.site(1, [region], {10})
    egress = await deployment.site(2, [region], {10})
    await egress.announce(egress.route(1, 10), egress.route(2, 10))
    await ingress.announce(ingress.route(1, 10))
    await eventually(lambda: ingress.fresh(10) == {(2, 1), (2, 2)} and egress.fresh(10) == {(1, 1)}, "both hear")
    before = len(ingress.history)
    _kill(egress.speaker.pid)
    await eventually(lambda: SessionDown("region1") in egress.history[2:], "the site notices")
    await egress.withdraw(2)
    await egress.announce(egress.route(3, 10))
    await eventually(lambda: ingress.seen(10) == {(2, 1), (2, 3)}, "the new gobgpd says what holds now")
    assert [e for e in ingress.history[before:] if isinstance(e, Withdrawn) and e.key.endpoint != 2] == []
    assert ingress.fresh(10) == {(2, 1), (2, 3)}
    await eventually(lambda: egress.fresh(10) == {(1, 1)}, "and hears again")
    assert egress.speaker.restarts == 1


async def test_a_region_gone_for_good(deployment: Deployment) -> None:
    sites = {1: [10], 2: [10]}
    first = await deployment.region(1, ReflectorConfig(sites=sites))
    second = await deployment.region(2, ReflectorConfig(sites=sites))
    ingress = await deployment.site(1, [first, second], {10})
    egress = await deployment.site(2, [first, second], {10})
    await egress.announce(egress.route(1, 10), egress.route(2, 10))
    await eventually(
        lambda: [e.sessions for e in ingress.table.entries(10)] == [("region1", "region2")] * 2, "heard from both"
    )
    await first.stop()
    await eventually(lambda: ingress.table.sessions()["region1"] is SessionState.DOWN, "the session is down")
    assert ingress.fresh(10) == {(2, 1), (2, 2)}, "the other region confirms them"
    await egress.withdraw(1)
    await eventually(lambda: ingress.seen(10) == {(2, 2)}, "the other region's word counts")
    await second.stop()
    await eventually(lambda: not ingress.fresh(10), "nobody confirms it")
    assert ingress.seen(10) == {(2, 2)}


async def test_a_tunnel_cut_and_mended(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: [10]}))
    ingress = await deployment.site(1, [region], {10})
    egress = await deployment.site(2, [region], {10})
    await egress.announce(egress.route(1, 10))
    await eventually(lambda: ingress.fresh(10) == {(2, 1)}, "heard")
    await region.cut()
    await eventually(lambda: not ingress.fresh(10), "stale")
    assert ingress.seen(10) == {(2, 1)}
    await region.mend()
    await eventually(lambda: ingress.fresh(10) == {(2, 1)}, "fresh again")
    assert not [e for e in ingress.history if isinstance(e, Withdrawn)]
    await egress.announce(egress.route(2, 10))
    await eventually(lambda: ingress.fresh(10) == {(2, 1), (2, 2)}, "and it goes on")


async def test_a_site_that_went_silent_is_called_stale(deployment: Deployment) -> None:
    # Its processes are frozen: no connection is closed, nothing is withdrawn.
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: [10]}))
    ingress = await deployment.site(1, [region], {10})
    egress = await deployment.site(2, [region], {10})
    await egress.announce(egress.route(1, 10))
    await eventually(lambda: ingress.fresh(10) == {(2, 1)}, "heard")
    pid = egress.speaker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await eventually(
            lambda: any(isinstance(e, Announced) and e.origin_stale for e in ingress.history),
            "the region says that it has lost the site",
            within=90,
        )
        assert ingress.seen(10) == {(2, 1)}
        assert not ingress.fresh(10)
    finally:
        os.kill(pid, signal.SIGCONT)
    await eventually(lambda: ingress.fresh(10) == {(2, 1)}, "it is back")


async def test_a_region_restarted_beside_its_gobgpd(deployment: Deployment) -> None:
    config = ReflectorConfig(sites={1: [10], 2: [10]})
    region = await deployment.region(1, config)
    ingress = await deployment.site(1, [region], {10})
    egress = await deployment.site(2, [region], {10})
    await egress.announce(egress.route(1, 10))
    await eventually(lambda: ingress.fresh(10) == {(2, 1)}, "heard")
    pid = region.reflector.pid
    await region.cut()
    await region.reflector.detach()
    region.renew()
    await region.reflector.apply(config)
    assert await region.reflector.start()
    assert region.reflector.pid == pid
    await region.mend()
    await eventually(lambda: ingress.fresh(10) == {(2, 1)}, "fresh again")
    assert not [e for e in ingress.history if isinstance(e, Withdrawn)]


async def test_everything_killed_at_once(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: [10]}))
    ingress = await deployment.site(1, [region], {10})
    egress = await deployment.site(2, [region], {10})
    await egress.announce(egress.route(1, 10))
    await eventually(lambda: ingress.fresh(10) == {(2, 1)}, "heard")
    for pid in (region.reflector.pid, ingress.speaker.pid, egress.speaker.pid):
        _kill(pid)
    await eventually(lambda: not ingress.fresh(10), "stale")
    assert ingress.seen(10) == {(2, 1)}
    await eventually(lambda: ingress.fresh(10) == {(2, 1)}, "fresh again")
    await asyncio.sleep(0)
    assert not [e for e in ingress.history if isinstance(e, Withdrawn)]
