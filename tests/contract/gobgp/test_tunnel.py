"""Who gets a tunnel, and whose it is."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from bgp_deployment import CertificateAuthority, Deployment, eventually

from isthmus.emit.gobgp.address import session_address
from isthmus.engine.gobgp.process import md5_signatures
from isthmus.engine.gobgp.reflector import ReflectorConfig


async def _is_refused(port: int, context: ssl.SSLContext, name: str = "region1") -> bool:
    """TLS 1.3: a client hears of the refusal of its certificate when it reads."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
        data = await asyncio.wait_for(reader.read(1), 60)
        writer.transport.abort()
    except TimeoutError:
        return False
    except (OSError, ssl.SSLError):
        return True
    return data == b""


async def test_a_client_without_a_certificate_is_refused(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: []}))
    assert await _is_refused(region.port, deployment.authority.client(None))
    assert region.server.neighbours == frozenset()


async def test_a_certificate_of_another_authority_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: []}))
    forger = CertificateAuthority(tmp_path)
    context = ssl.create_default_context(cafile=str(deployment.authority.bundle))
    context.load_cert_chain(forger.issue("site1", "spiffe://test/site/1"))
    assert await _is_refused(region.port, context)


async def test_a_name_that_is_nobodys_is_refused(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: []}))
    region.known = {1}
    chain = deployment.authority.issue("site9", "spiffe://test/site/9")
    assert await _is_refused(region.port, deployment.authority.client(chain))
    chain = deployment.authority.issue("console", "spiffe://test/console/node/0")
    assert await _is_refused(region.port, deployment.authority.client(chain))


async def test_a_site_does_not_talk_to_an_impostor(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: []}))
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(
            "127.0.0.1", region.port, ssl=deployment.authority.client(None), server_hostname="region2"
        )


async def test_the_certificate_is_the_neighbour(deployment: Deployment) -> None:
    # Site 2's speaker with site 3's certificate: to the region it is site 3, and may say only what site 3 may.
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: [], 3: []}))
    ingress = await deployment.site(1, [region], {10})
    thief = await deployment.site(2, [region], set(), uri="spiffe://test/site/3")
    await thief.announce(thief.route(1, 10))
    honest = await deployment.site(3, [], set())
    del honest
    await eventually(lambda: session_address(3) in region.server.neighbours, "a tunnel as site 3")
    status = await region.reflector.status()
    assert 2 not in status.sites
    assert not ingress.seen(10)


async def test_the_newest_tunnel_counts(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: []}))
    ingress = await deployment.site(1, [region], {10})
    egress = await deployment.site(2, [region], set())
    await egress.announce(egress.route(1, 10))
    await eventually(lambda: ingress.fresh(10) == {(2, 1)}, "heard")
    # Another connection with the same certificate takes the place, and says nothing; the site dials again.
    chain = deployment.authority.issue("site1", "spiffe://test/site/1")
    _, writer = await asyncio.open_connection(
        "127.0.0.1", region.port, ssl=deployment.authority.client(chain), server_hostname="region1"
    )
    await eventually(lambda: not ingress.fresh(10), "the old tunnel is closed")
    await eventually(lambda: ingress.fresh(10) == {(2, 1)}, "the site has the place again")
    writer.transport.abort()


async def test_a_neighbour_can_be_hung_up_on(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: [10], 2: []}))
    ingress = await deployment.site(1, [region], {10})
    egress = await deployment.site(2, [region], set())
    await egress.announce(egress.route(1, 10))
    await eventually(lambda: ingress.fresh(10) == {(2, 1)}, "heard")
    region.known = {2}
    region.server.hang_up(session_address(1))
    await eventually(lambda: not ingress.fresh(10), "no tunnel, and none again")
    await eventually(lambda: region.server.neighbours == {session_address(2)}, "only the other one is left")


async def test_another_user_of_the_machine_cannot_pose_as_a_neighbour(deployment: Deployment) -> None:
    region = await deployment.region(1, ReflectorConfig(sites={1: []}))
    door = region.reflector.door
    assert door is not None
    assert bool(door.password) == md5_signatures()
    if door.password:
        with socket.socket() as stranger:
            stranger.settimeout(1)
            stranger.bind((session_address(1), 0))
            with pytest.raises(TimeoutError):
                stranger.connect((door.host, door.port))


async def test_two_deployments_share_a_machine(deployment: Deployment, tmp_path: Path) -> None:
    other = Deployment(tmp_path)
    try:
        seen = []
        for each in (deployment, other):
            region = await each.region(1, ReflectorConfig(sites={1: [10], 2: []}))
            ingress = await each.site(1, [region], {10})
            egress = await each.site(2, [region], set())
            await egress.announce(egress.route(len(seen) + 1, 10))
            seen.append(ingress)
        await eventually(lambda: [site.seen(10) for site in seen] == [{(2, 1)}, {(2, 2)}], "each hears its own")
    finally:
        await other.stop()
