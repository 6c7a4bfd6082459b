"""Discovery by DNS against a real authoritative server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from isthmus.discovery.dns.source import DnsSource
from isthmus.discovery.found import Answer, Found
from isthmus.discovery.query import DnsQuery, Query
from isthmus.discovery.setting import DnsSettings, Server

from .knot import ZONE, Knot, until


class Heard:
    """What a source has told, last and in all."""

    def __init__(self) -> None:
        self.last: dict[Query, Answer] = {}
        self.times: list[tuple[Query, Answer]] = []

    def __call__(self, query: Query, answer: Answer) -> None:
        self.last[query] = answer
        self.times.append((query, answer))

    def found(self, query: Query) -> tuple[Found, ...] | None:
        return self.last[query].found if query in self.last else None

    def addresses(self, query: Query) -> list[str]:
        return [each.address for each in self.found(query) or ()]


def settings(knot: Knot, **more: object) -> DnsSettings:
    return replace(DnsSettings((knot.server,), timeout=1000, min_ttl=50, max_ttl=2000), **more)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def running(settings: DnsSettings, *queries: Query) -> AsyncIterator[tuple[DnsSource, Heard]]:
    heard = Heard()
    source = DnsSource(settings, heard)
    source.watch(frozenset(queries))
    await source.start()
    try:
        yield source, heard
    finally:
        await source.stop()


def name(label: str) -> str:
    return f"{label}.{ZONE}"


async def test_addresses_of_both_families_are_found_and_followed(knot: Knot) -> None:
    knot.replace("web", "A", "192.0.2.1", "192.0.2.2", ttl=0)
    knot.replace("web", "AAAA", "2001:db8::1", ttl=0)
    four, six = DnsQuery(name("web"), "A", 80), DnsQuery(name("web"), "AAAA", 80)
    async with running(settings(knot), four, six) as (_, heard):
        await until(lambda: {four, six} <= heard.last.keys())
        assert heard.found(four) == (Found("192.0.2.1", 80), Found("192.0.2.2", 80))
        assert heard.found(six) == (Found("2001:db8::1", 80),)
        knot.replace("web", "A", "192.0.2.2", "192.0.2.3", ttl=0)
        await until(lambda: heard.addresses(four) == ["192.0.2.2", "192.0.2.3"])
        assert heard.last[four].error == ""


async def test_ttl_is_honoured(knot: Knot) -> None:
    """While a TTL of an hour lasts (bounded to 2 s here) nothing is asked; with one of 0 it is asked all the time."""
    knot.replace("slow", "A", "192.0.2.1", ttl=3600)
    knot.replace("fast", "A", "192.0.2.1", ttl=0)
    slow, fast = DnsQuery(name("slow"), "A", 80), DnsQuery(name("fast"), "A", 80)
    began = time.monotonic()
    async with running(settings(knot), slow, fast) as (_, heard):
        await until(lambda: sum(query == fast for query, _ in heard.times) >= 10 and slow in heard.last)
        assert sum(query == slow for query, _ in heard.times) <= 1 + (time.monotonic() - began)
        knot.replace("slow", "A", "192.0.2.9", ttl=3600)
        await until(lambda: heard.addresses(slow) == ["192.0.2.9"])


async def test_services_have_ports_weights_and_priorities(knot: Knot) -> None:
    knot.replace("s1", "A", "192.0.2.11")
    knot.replace("s1", "AAAA", "2001:db8::11")
    knot.replace("s2", "A", "192.0.2.12")
    knot.replace("_http._tcp.srv", "SRV", "10 60 8080 s1", "10 0 8081 s2", "20 5 8082 s2", "30 1 80 missing", ttl=0)
    query = DnsQuery(name("_http._tcp.srv"), "SRV")
    async with running(settings(knot), query) as (_, heard):
        await until(lambda: query in heard.last)
        assert heard.found(query) == (
            Found("192.0.2.11", 8080, 60, priority=10),
            Found("192.0.2.12", 8081, 1, priority=10),
            Found("192.0.2.12", 8082, 5, priority=20),
            Found("2001:db8::11", 8080, 60, priority=10),
        )
        assert "missing.corp.example" in heard.last[query].error
        knot.replace("_http._tcp.srv", "SRV", "0 0 0 .", ttl=0)
        await until(lambda: heard.found(query) == ())
        assert heard.last[query].grace == 0


async def test_aliases_are_followed(knot: Knot) -> None:
    knot.replace("target", "A", "192.0.2.20")
    knot.replace("alias", "CNAME", name("target") + ".")
    query = DnsQuery(name("alias"), "A", 80)
    async with running(settings(knot), query) as (_, heard):
        await until(lambda: heard.addresses(query) == ["192.0.2.20"])


async def test_a_name_that_is_gone_gets_a_grace_and_no_record_too(knot: Knot) -> None:
    knot.replace("going", "A", "192.0.2.1", ttl=0)
    gone, none = DnsQuery(name("going"), "A", 80), DnsQuery(name("going"), "AAAA", 80)
    async with running(settings(knot, keep_gone=7000), gone, none) as (_, heard):
        await until(lambda: heard.addresses(gone) == ["192.0.2.1"] and none in heard.last)
        assert (heard.found(none), heard.last[none].grace) == ((), 7.0)
        assert "no AAAA record" in heard.last[none].error
        knot.replace("going", "A")
        await until(lambda: heard.found(gone) == ())
        assert heard.last[gone].grace == 7.0
        assert "NXDOMAIN" in heard.last[gone].error


async def test_large_answers_come_over_tcp(knot: Knot) -> None:
    addresses = [f"10.9.{index // 250}.{1 + index % 250}" for index in range(400)]
    knot.replace("many", "A", *addresses)
    query = DnsQuery(name("many"), "A", 80)
    async with running(settings(knot), query) as (_, heard):
        await until(lambda: len(heard.found(query) or ()) == 400)
        assert set(heard.addresses(query)) == set(addresses)


async def test_the_next_server_is_asked_when_one_fails(knot: Knot) -> None:
    """The first does not listen; the second refuses, being no server for that zone; the third answers."""
    knot.replace("third", "A", "192.0.2.30")
    query = DnsQuery(name("third"), "A", 80)
    refusing = await Refusing.start()
    servers = (Server("127.0.0.1", 1), refusing.server, knot.server)
    async with running(settings(knot, servers=servers, timeout=200), query) as (_, heard):
        await until(lambda: heard.addresses(query) == ["192.0.2.30"])
    async with running(settings(knot, servers=servers[:2], timeout=200), query) as (_, heard):
        await until(lambda: query in heard.last and "REFUSED" in heard.last[query].error)
        assert heard.found(query) is None
        assert "127.0.0.1:1" in heard.last[query].error
    refusing.stop()


async def test_an_outage_is_an_error_and_ends(tmp_path: Path) -> None:
    own = Knot(tmp_path)
    own.start()
    own.replace("web", "A", "192.0.2.1", ttl=0)
    query = DnsQuery(name("web"), "A", 80)
    try:
        async with running(settings(own, timeout=200), query) as (_, heard):
            await until(lambda: heard.addresses(query) == ["192.0.2.1"])
            own.stop()
            await until(lambda: heard.found(query) is None)
            assert heard.last[query].error
            own.start()
            own.replace("web", "A", "192.0.2.1", ttl=0)
            await until(lambda: heard.addresses(query) == ["192.0.2.1"])
            assert heard.last[query].error == ""
    finally:
        own.stop()


async def test_what_is_no_longer_watched_is_not_told(knot: Knot) -> None:
    knot.replace("kept", "A", "192.0.2.1", ttl=0)
    kept, left = DnsQuery(name("kept"), "A", 80), DnsQuery(name("kept"), "A", 81)
    async with running(settings(knot), kept, left) as (source, heard):
        await until(lambda: {kept, left} <= heard.last.keys())
        source.watch(frozenset((kept,)))
        before = len([query for query, _ in heard.times if query == left])
        count = len(heard.times)
        await until(lambda: len(heard.times) > count + 5)
        assert len([query for query, _ in heard.times if query == left]) == before
    count = len(heard.times)
    await asyncio.sleep(0.2)
    assert len(heard.times) == count


class Refusing(asyncio.DatagramProtocol):
    """A server of other zones."""

    def __init__(self) -> None:
        self.transport: asyncio.DatagramTransport | None = None
        self.server = Server("", 0)

    @classmethod
    async def start(cls) -> Refusing:
        transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            cls, local_addr=("127.0.0.1", 0)
        )
        protocol.transport = transport
        protocol.server = Server(*transport.get_extra_info("sockname")[:2])
        return protocol

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self.transport is not None
        self.transport.sendto(data[:2] + bytes((data[2] | 0x80, 5)) + data[4:], addr)

    def stop(self) -> None:
        assert self.transport is not None
        self.transport.close()
