"""Sites and reflectors of real gobgpds: who hears what."""

from collections import Counter
from functools import partial
from pathlib import Path

import grpc
import pytest
from bgp_deployment import SPACE, Deployment, eventually, eventually_equal

from isthmus.emit.gobgp.address import region_address, router_id, session_address
from isthmus.emit.gobgp.path import MEMBERSHIP, VPN, emit_membership, is_own, parse_membership
from isthmus.engine.gobgp.client import GobgpClient
from isthmus.engine.gobgp.reflector import ReflectorConfig
from isthmus.engine.gobgp.speaker import Speaker
from isthmus.health.announcer import AnnouncementPlan
from isthmus.health.event import EndOfRib, SessionUp, Withdrawn
from isthmus.health.route import EndpointKey, EndpointRoute


async def test_a_route_arrives_as_it_was_sent(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: [], 4_194_303: [2**32 - 1]}))
    egress = await deployment.site(4_194_303, [region], set())
    ingress = await deployment.site(1, [region], set())
    await region.reflector.apply(ReflectorConfig(sites={1: [2**32 - 1], 4_194_303: []}))
    await ingress.speaker.set_clusters({2**32 - 1})
    route = EndpointRoute(
        4_194_303, 2**48 - 1, 2**32 - 1, 1_000_000, 1_795_176_666_209, draining=True, subsets=frozenset({1, 2**32 - 1})
    )
    await egress.announce(route)
    await eventually(lambda: [e.route for e in ingress.table.entries(2**32 - 1)] == [route], "the same route")
    await eventually(lambda: EndOfRib("region1") in ingress.history, "End-of-RIB")
    assert ingress.history.index(SessionUp("region1")) < ingress.history.index(EndOfRib("region1"))
    assert ingress.speaker.refused == 0


async def test_joining_a_cluster_brings_its_routes_and_leaving_removes_them(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: [10, 20], 2: []}))
    egress = await deployment.site(2, [region], set())
    ingress = await deployment.site(1, [region], {10})
    await egress.announce(egress.route(1, 10), egress.route(2, 20), egress.route(3, 20))
    await eventually(lambda: ingress.seen(10) == {(2, 1)}, "the cluster it uses")
    await ingress.speaker.set_clusters({10, 20})
    await eventually(lambda: ingress.seen(20) == {(2, 2), (2, 3)}, "the cluster it joined")
    await ingress.speaker.set_clusters({10})
    await eventually(lambda: not ingress.seen(20), "the cluster it left is gone")
    await egress.withdraw(1)
    await eventually(lambda: not ingress.seen(10), "a withdrawal")


async def test_a_site_hears_of_its_own_clusters_that_it_imports(deployment: Deployment) -> None:
    # Both sites host and use the cluster: neither's membership may hide the other's routes.
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: [10], 3: [10]}))
    sites = [await deployment.site(number, [region], {10}) for number in (1, 2, 3)]
    for site in sites:
        await site.announce(site.route(1, 10))
    for site in sites:
        others = {(other.number, 1) for other in sites if other is not site}
        await eventually(
            lambda site=site, others=others: site.seen(10) == others, f"site {site.number} sees the others"
        )


async def test_a_site_cannot_announce_another_sites_endpoint(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: [], 3: []}))
    ingress = await deployment.site(1, [region], {10})
    honest = await deployment.site(2, [region], set())
    liar = await deployment.site(3, [region], set())
    await honest.announce(honest.route(1, 10))
    await eventually(lambda: ingress.seen(10) == {(2, 1)}, "the honest route")
    await liar.announce(EndpointRoute(2, 1, 10, 99, 0), EndpointRoute(2, 7, 10, 99, 0), EndpointRoute(3, 1, 10, 1, 0))
    await eventually(lambda: (3, 1) in ingress.seen(10), "its own route, which it sent last")
    assert ingress.seen(10) == {(2, 1), (3, 1)}
    assert [e.route.weight for e in ingress.table.entries(10)] == [1, 1]
    await liar.withdraw(1)
    await liar.speaker.apply(AnnouncementPlan(withdraw=(EndpointKey(2, 1),)))
    await eventually(lambda: (3, 1) not in ingress.seen(10), "its own withdrawal")
    assert ingress.seen(10) == {(2, 1)}


async def test_a_site_cannot_hear_a_cluster_that_its_manifest_does_not_import(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: []}))
    egress = await deployment.site(2, [region], set())
    curious = await deployment.site(1, [region], {10, 20})
    await egress.announce(egress.route(2, 20), egress.route(1, 10))
    await eventually(lambda: curious.seen(10) == {(2, 1)}, "what it may hear")
    assert not curious.seen(20)
    # The manifest changes while the site has joined already: nobody has to ask twice.
    await region.reflector.apply(ReflectorConfig(sites={1: [10, 20], 2: []}))
    await eventually(lambda: curious.seen(20) == {(2, 2)}, "what it may hear now")


async def test_the_default_membership_ends_the_session_before_it_ends_the_reflector(deployment: Deployment) -> None:
    # GoBGP 3.10 stops when it loses a session that had announced it.
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: [], 3: [10]}))
    egress = await deployment.site(2, [region], set())
    attacker = await deployment.site(1, [region], {10})
    await egress.announce(egress.route(1, 10))
    await eventually(lambda: attacker.seen(10) == {(2, 1)}, "a session")
    pid = region.reflector.pid
    everything = emit_membership(SPACE, 1)
    everything.ClearField("nlri")
    everything.nlri_binary = b"\0"
    client = GobgpClient(attacker.directory / "api.sock")
    await client.send([everything])
    await client.close()
    await eventually(lambda: not attacker.fresh(10), "the session ends")
    await egress.announce(egress.route(2, 10))
    bystander = await deployment.site(3, [region], {10})
    await eventually(lambda: bystander.fresh(10) == {(2, 1), (2, 2)}, "the others go on")
    assert (region.reflector.pid, region.reflector.restarts) == (pid, 0)


async def test_a_site_learns_only_that_somebody_uses_a_cluster(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: [20]}))
    first = await deployment.site(1, [region], {10})
    second = await deployment.site(2, [region], {20})
    await first.announce(first.route(1, 20))
    await eventually(lambda: second.seen(20) == {(1, 1)}, "a route, so memberships have arrived")
    client = GobgpClient(second.directory / "api.sock")
    heard = {parse_membership(path): path for path in await client.paths(MEMBERSHIP) if not is_own(path)}
    await client.close()
    assert heard.keys() == {10, 20}
    assert {path.neighbor_ip for path in heard.values()} == {region_address(1)}
    said = b"".join(attribute.value for path in heard.values() for attribute in path.pattrs)
    assert router_id(session_address(1)).encode() not in said


async def test_a_removed_site_is_no_longer_a_neighbour(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: []}))
    ingress = await deployment.site(1, [region], {10})
    egress = await deployment.site(2, [region], set())
    await egress.announce(egress.route(1, 10))
    await eventually(lambda: ingress.seen(10) == {(2, 1)}, "the route")
    await region.reflector.apply(ReflectorConfig(sites={1: [10]}))
    await eventually(lambda: not ingress.seen(10), "its routes go with it")
    status = await region.reflector.status()
    assert (status.sites, status.routes) == (frozenset({1}), 0)


async def test_regions_exchange_first_hand_routes_and_forget_them(deployment: Deployment) -> None:
    # Site 1 is with both regions, site 2 with the first, site 3 with the second.
    sites = {1: [10], 2: [10], 3: [10]}
    first = await deployment.region(1, ReflectorConfig(sites=sites, regions=[2]))
    second = await deployment.region(2, ReflectorConfig(sites=sites, regions=[1]))
    await deployment.connect(first, second)
    both = await deployment.site(1, [first, second], {10})
    one = await deployment.site(2, [first], {10})
    two = await deployment.site(3, [second], {10})
    for site in (both, one, two):
        await site.announce(site.route(1, 10))
    await eventually(lambda: one.seen(10) == {(1, 1), (3, 1)}, "one hears of two through both regions")
    await eventually(lambda: two.seen(10) == {(1, 1), (2, 1)}, "two hears of one through both regions")
    for _ in range(10):
        await both.withdraw(1)
        for site in (one, two):
            await eventually(lambda site=site: (1, 1) not in site.seen(10), "no region keeps the route alive")
        await both.announce(both.route(1, 10))
        for site in (one, two):
            await eventually(lambda site=site: (1, 1) in site.seen(10), "back again")


async def test_regions_prefer_what_a_site_says_itself(deployment: Deployment) -> None:
    # With the other region's route as the best, each would take back its own, and both would circle.
    first = await deployment.region(1, ReflectorConfig(sites={1: [], 2: [10]}, regions=[2]))
    second = await deployment.region(2, ReflectorConfig(sites={1: [], 2: [10]}, regions=[1]))
    await deployment.connect(first, second)
    ingress = await deployment.site(2, [first, second], {10})
    both = await deployment.site(1, [first, second], set())
    await both.announce(*(both.route(endpoint, 10) for endpoint in range(1, 51)))
    for region, other in ((first, second), (second, first)):
        await eventually_equal(
            partial(_sources, region.directory, count=50),
            {(session_address(1), True), (region_address(other.number), False)},
        )
    heard = len(ingress.history)
    await both.announce(both.route(51, 10))
    await eventually(lambda: (1, 51) in ingress.seen(10), "one more route")
    assert len(ingress.history) - heard <= 4, "one route is news of one route"


async def _sources(directory: Path, count: int) -> set[tuple[str, bool]]:
    """Where a reflector has its routes from, and which are the best; empty until each source gave `count`."""
    client = GobgpClient(directory / "api.sock")
    try:
        found = Counter((path.neighbor_ip, path.best) for path in await client.paths(VPN))
    finally:
        await client.close()
    return set(found) if set(found.values()) == {count} else set()


async def test_gobgpd_is_adopted_with_what_it_announces(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: []}))
    ingress = await deployment.site(1, [region], {10})
    egress = await deployment.site(2, [region], set())
    route = egress.route(1, 10)
    await egress.announce(route)
    await eventually(lambda: ingress.seen(10) == {(2, 1)}, "the route")
    pid = egress.speaker.pid
    await egress.stop(detach=True)
    egress.speaker = Speaker(egress.directory, SPACE, 2)
    assert await egress.speaker.start() == (route,)
    assert egress.speaker.pid == pid
    # Nothing was withdrawn meanwhile.
    assert not [e for e in ingress.history if isinstance(e, Withdrawn)]


async def test_another_identity_replaces_the_process(deployment: Deployment) -> None:
    directory = deployment.directory / "other"
    first = Speaker(directory, SPACE, 1)
    await first.start()
    pid = first.pid
    await first.detach()
    second = Speaker(directory, SPACE, 2)
    try:
        assert await second.start() == ()
        assert second.pid != pid
        assert pid is not None
        await eventually(lambda: not _is_running(pid), "the first process is gone")
    finally:
        await second.stop()


async def test_a_gobgpd_that_nobody_remembers_is_replaced(deployment: Deployment) -> None:
    directory = deployment.directory / "lost"
    first = Speaker(directory, SPACE, 1)
    await first.start()
    pid = first.pid
    await first.detach()
    (directory / "process.json").unlink()
    second = Speaker(directory, SPACE, 1)
    try:
        await second.start()
        assert pid is not None
        await eventually(lambda: not _is_running(pid), "the first process is gone")
        assert second.pid != pid
    finally:
        await second.stop()


def _is_running(pid: int) -> bool:
    """Not even as a zombie, which a child is until it is waited for."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_the_api_and_its_state_are_the_owners_alone(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig())
    for path in (region.directory, region.directory / "api.sock", region.directory / "process.json"):
        assert path.stat().st_mode & 0o077 == 0, path


async def test_a_refused_call_says_why(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: []}))
    client = GobgpClient(region.directory / "api.sock")
    with pytest.raises(grpc.aio.AioRpcError, match="can't delete a peer configuration"):
        await client.delete_neighbour("127.64.0.9")
    await client.close()
