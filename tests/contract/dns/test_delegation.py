"""The site's own DNS server, asked over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import dns.asyncquery
import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import pytest

from isthmus.discovery.dns.delegation import DelegationPublisher
from isthmus.discovery.dns.limit import Limit, Verdict
from isthmus.discovery.dns.responder import Responder
from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import DnsDelegation, Server
from isthmus.model.key import ObjectKey

from ...port import free_port
from .knot import until

HOST = ObjectKey("default", "VirtualHost", "shop", "web")


def record(domain: str, *addresses: str) -> VipRecord:
    return VipRecord(domain, 80, addresses, "outside", HOST)


def free_server(address: str = "127.0.0.1") -> Server:
    return Server(address, free_port(address))


def delegation(*listen: Server, zone: str = "apps.test") -> DnsDelegation:
    return DnsDelegation(zone, listen, (f"ns.{zone}",), f"hostmaster.{zone}", 30_000, 10_000)


@pytest.fixture
async def responder() -> AsyncIterator[Responder]:
    found = Responder()
    yield found
    await found.stop()


class Published:
    """A publisher with what it reported."""

    def __init__(self, settings: DnsDelegation, responder: Responder) -> None:
        self.told: dict[VipRecord, str] = {}
        self.publisher = DelegationPublisher(settings, responder, self.told.__setitem__)

    async def publish(self, *records: VipRecord) -> None:
        self.publisher.publish(frozenset(records))
        await self.publisher.start()
        await until(lambda: self.told.keys() == set(records))


async def ask(server: Server, name: str, record: str = "A", *, tcp: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, record)
    exchange = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
    return await exchange(query, server.address, 30, server.port)


async def test_a_resolver_finds_virtual_hosts(responder: Responder) -> None:
    server = free_server()
    shop, wild = record("shop.apps.test", "192.0.2.1", "2001:db8::1"), record("*.w.apps.test", "192.0.2.2")
    published = Published(delegation(server), responder)
    await published.publish(shop, wild)
    assert published.told == {shop: "", wild: ""}
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.lifetime = 30
    resolver.nameservers, resolver.port = [server.address], server.port
    for tcp in (False, True):
        answer = await resolver.resolve("shop.apps.test", "A", tcp=tcp)
        assert [item.address for item in answer] == ["192.0.2.1"]
        answer = await resolver.resolve("any.w.apps.test", "A", tcp=tcp)
        assert [item.address for item in answer] == ["192.0.2.2"]
    with pytest.raises(dns.asyncresolver.NXDOMAIN):
        await resolver.resolve("none.apps.test", "A")
    with pytest.raises(dns.asyncresolver.NoAnswer):
        await resolver.resolve("any.w.apps.test", "AAAA")
    published.publisher.publish(frozenset((wild,)))
    with pytest.raises(dns.asyncresolver.NXDOMAIN):
        await resolver.resolve("shop.apps.test", "A")
    await published.publisher.stop(withdraw=True)
    with pytest.raises((OSError, dns.exception.Timeout, EOFError)):
        await ask(server, "any.w.apps.test", tcp=True)


async def test_two_zones_share_an_address_and_the_serial_rises(responder: Responder) -> None:
    server = free_server()
    one, two = Published(delegation(server), responder), Published(delegation(server, zone="other.test"), responder)
    await one.publish(record("a.apps.test", "192.0.2.1"))
    await two.publish(record("a.other.test", "192.0.2.2"))
    assert [i.to_text() for i in (await ask(server, "a.other.test")).answer[0]] == ["192.0.2.2"]
    before = (await ask(server, "apps.test", "SOA")).answer[0][0].serial
    one.publisher.publish(frozenset((record("a.apps.test", "192.0.2.3"),)))
    assert (await ask(server, "apps.test", "SOA")).answer[0][0].serial > before
    await two.publisher.stop(withdraw=True)
    assert (await ask(server, "a.other.test")).rcode() == dns.rcode.REFUSED
    assert [i.to_text() for i in (await ask(server, "a.apps.test")).answer[0]] == ["192.0.2.3"]


async def test_large_answers_are_truncated_and_fetched_over_tcp(responder: Responder) -> None:
    server = free_server()
    addresses = [f"10.1.{index // 200}.{1 + index % 200}" for index in range(300)]
    await Published(delegation(server), responder).publish(record("many.apps.test", *addresses))
    assert (await ask(server, "many.apps.test")).flags & dns.flags.TC
    query = dns.message.make_query("many.apps.test", "A")
    whole, tcp = await dns.asyncquery.udp_with_fallback(query, server.address, 30, server.port)
    assert tcp
    assert {item.address for item in whole.answer[0]} == set(addresses)


async def test_a_flood_is_sent_to_tcp_where_answers_go_on() -> None:
    """Nobody can make this server flood another: beyond the limit half of the questions get a short answer at most."""
    responder, server = Responder(Limit(rate=1e-6, burst=5)), free_server()
    try:
        await Published(delegation(server), responder).publish(record("shop.apps.test", "192.0.2.1"))
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect((server.address, server.port))
            wire = dns.message.make_query("shop.apps.test", "A").to_wire()
            for _ in range(25):
                await loop.sock_sendall(client, wire)
            await until(lambda: sum(responder.verdicts.values()) == 25)
            assert responder.verdicts[Verdict.TRUNCATED] >= 9
            got = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    got.append(dns.message.from_wire(client.recv(4096)))
        short = [each for each in got if each.flags & dns.flags.TC]
        assert (len(got) - len(short), len(short)) == (
            responder.verdicts[Verdict.ANSWERED],
            responder.verdicts[Verdict.TRUNCATED],
        )
        assert (await ask(server, "shop.apps.test", tcp=True)).answer
    finally:
        await responder.stop()


async def test_an_address_in_use_is_reported_and_tried_again(
    responder: Responder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.discovery.dns.responder.RETRY", 0.05)
    server, own = free_server(), record("a.apps.test", "192.0.2.1")
    holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    holder.bind((server.address, server.port))
    published = Published(delegation(server), responder)
    await published.publish(own)
    assert published.told[own] == f"{server} cannot be listened on: Address already in use"
    holder.close()
    await until(lambda: published.told[own] == "")
    assert (await ask(server, "a.apps.test")).rcode() == dns.rcode.NOERROR


async def test_bad_tcp_askers_do_not_hold_up_others(responder: Responder) -> None:
    """Half a message, nonsense, and two questions in one segment."""
    server = free_server()
    await Published(delegation(server), responder).publish(record("a.apps.test", "192.0.2.1"))
    silent = await asyncio.open_connection(server.address, server.port)
    silent[1].write(b"\x00")
    reader, writer = await asyncio.open_connection(server.address, server.port)
    writer.write(b"\x00\x03abc")
    assert await asyncio.wait_for(reader.read(), 30) == b""
    wire = dns.message.make_query("a.apps.test", "A").to_wire(prepend_length=True)
    reader, writer = await asyncio.open_connection(server.address, server.port)
    writer.write(wire + wire)
    for _ in range(2):
        length = int.from_bytes(await reader.readexactly(2))
        response = dns.message.from_wire(await reader.readexactly(length))
        assert response.answer[0][0].address == "192.0.2.1"
    for stream in (silent[1], writer):
        stream.close()
        with contextlib.suppress(ConnectionError):
            await stream.wait_closed()
