"""Publishing by dynamic update, against a real server with TSIG."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from isthmus.discovery.dns.update import UpdatePublisher
from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import DnsUpdate
from isthmus.model.key import ObjectKey

from .knot import KEY_NAME, OTHER_SECRET, SECRET, ZONE, Knot, until

HOST = ObjectKey("default", "VirtualHost", "shop", "web")


def record(label: str, *addresses: str, port: int = 80) -> VipRecord:
    return VipRecord(f"{label}.{ZONE}", port, addresses, "outside", HOST)


def settings(knot: Knot, owner: str = "default/fra") -> DnsUpdate:
    secret = ObjectKey("default", "Secret", "shop", "tsig")
    return DnsUpdate(ZONE, knot.server, KEY_NAME, "hmac-sha256", secret, owner, 30_000)


@contextlib.asynccontextmanager
async def running(
    update: DnsUpdate, *records: VipRecord, secret: str = SECRET, withdraw: bool = True
) -> AsyncIterator[tuple[UpdatePublisher, dict[VipRecord, str]]]:
    told: dict[VipRecord, str] = {}
    publisher = UpdatePublisher(update, secret, told.__setitem__)
    publisher.publish(frozenset(records))
    await publisher.start()
    try:
        yield publisher, told
    finally:
        await publisher.stop(withdraw=withdraw)


async def test_records_are_made_changed_and_taken_back(knot: Knot) -> None:
    first = record("u1", "192.0.2.1", "2001:db8::1")
    async with running(settings(knot), first, record("*.u1w", "192.0.2.2")) as (publisher, told):
        await until(lambda: len(told) == 2)
        assert set(told.values()) == {""}
        assert (knot.records("u1", "A"), knot.records("u1", "AAAA")) == ({"192.0.2.1"}, {"2001:db8::1"})
        assert knot.records("anything.u1w", "A") == {"192.0.2.2"}
        publisher.publish(frozenset((record("u1", "192.0.2.7"),)))
        await until(lambda: knot.records("u1", "A") == {"192.0.2.7"})
        await until(lambda: not knot.records("anything.u1w", "A"))
        assert knot.records("u1", "AAAA") == set()
    assert (knot.records("u1", "A"), knot.records("_isthmus.u1", "TXT")) == (set(), set())


async def test_what_an_earlier_process_published_is_found_again(knot: Knot) -> None:
    kept, left = record("u2", "192.0.2.1"), record("u2left", "192.0.2.1")
    async with running(settings(knot), kept, left, withdraw=False) as (_, told):
        await until(lambda: told == {kept: "", left: ""})
    assert knot.records("u2left", "A") == {"192.0.2.1"}
    async with running(settings(knot), kept) as (_, told):
        await until(lambda: told == {kept: ""})
        await until(lambda: not knot.records("u2left", "A"))
        assert knot.records("u2", "A") == {"192.0.2.1"}


async def test_sites_share_a_domain_and_an_address(knot: Knot) -> None:
    """The anycast address stays as long as one of them has it."""
    fra, nyc = record("u3", "192.0.2.1", "198.51.100.9"), record("u3", "192.0.2.2", "198.51.100.9")
    async with running(settings(knot, "default/nyc"), nyc) as (_, there):
        await until(lambda: there == {nyc: ""})
        async with running(settings(knot), fra) as (_, here):
            await until(lambda: here == {fra: ""})
            assert knot.records("u3", "A") == {"192.0.2.1", "192.0.2.2", "198.51.100.9"}
        assert knot.records("u3", "A") == {"192.0.2.2", "198.51.100.9"}
    assert knot.records("u3", "A") == set()


async def test_records_of_others_stay(knot: Knot) -> None:
    knot.replace("u4", "A", "203.0.113.4")
    knot.replace("u4alias", "CNAME", f"elsewhere.{ZONE}.")
    taken, alias, free = record("u4", "192.0.2.1"), record("u4alias", "192.0.2.1"), record("u4free", "192.0.2.1")
    async with running(settings(knot), taken, alias, free) as (_, told):
        await until(lambda: len(told) == 3)
        assert "has records already that Isthmus has not made" in told[taken]
        assert "has records already" in told[alias]
        assert told[free] == ""
    assert knot.records("u4", "A") == {"203.0.113.4"}
    assert knot.records("u4alias", "CNAME") == {f"elsewhere.{ZONE}."}


async def test_what_others_took_away_comes_back(knot: Knot) -> None:
    own = record("u5", "192.0.2.1")
    async with running(settings(knot), own, withdraw=False) as (_, told):
        await until(lambda: told == {own: ""})
    knot.replace("u5", "A")
    async with running(settings(knot), own) as (_, told):
        await until(lambda: told == {own: ""})
        assert knot.records("u5", "A") == {"192.0.2.1"}


async def test_a_wrong_key_is_reported_without_it(knot: Knot) -> None:
    own = record("u6", "192.0.2.1")
    async with running(settings(knot), own, secret=OTHER_SECRET) as (_, told):
        await until(lambda: own in told)
        assert told[own].startswith(f"{knot.server} refuses the key isthmus: ")
        assert OTHER_SECRET not in told[own]
    async with running(replace(settings(knot), key_name="stranger"), own) as (_, told):
        await until(lambda: own in told)
        assert "refuses the key stranger" in told[own]
    async with running(settings(knot), own, secret="not base64!") as (_, told):
        await until(lambda: own in told)
        assert told[own] == "the key isthmus cannot be used: the secret is not base64"
    assert knot.records("u6", "A") == set()


async def test_a_zone_that_the_key_may_not_change(knot: Knot) -> None:
    own = VipRecord("u7.other.test", 80, ("192.0.2.1",), "outside", HOST)
    async with running(replace(settings(knot), zone="other.test"), own) as (_, told):
        await until(lambda: own in told)
        assert str(knot.server) in told[own]


async def test_a_server_that_is_away_is_tried_again(tmp_path_factory) -> None:
    own_server = Knot(tmp_path_factory.mktemp("away"))
    own = record("u8", "192.0.2.1")
    try:
        async with running(settings(own_server), own) as (_, told):
            await until(lambda: own in told)
            assert "is not reached" in told[own]
            own_server.start()
            await until(lambda: told[own] == "")
            assert own_server.records("u8", "A") == {"192.0.2.1"}
    finally:
        own_server.stop()
