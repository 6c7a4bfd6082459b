"""Virtual hosts as services of Consul, against the stand-in agent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from isthmus.discovery.consul.publisher import ConsulPublisher
from isthmus.discovery.consul.registration import TTL
from isthmus.discovery.query import ConsulQuery
from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import ConsulSettings
from isthmus.model.key import ObjectKey

from .conftest import StartConsul
from .consul_server import ConsulServer
from .material import Ear, Hasty, Told, by_address, until

HOST = ObjectKey("default", "VirtualHost", "default", "shop")
Publish = Callable[..., Awaitable[ConsulPublisher]]


def vip(domain: str = "shop.example", port: int = 443, *addresses: str) -> VipRecord:
    return VipRecord(domain, port, addresses or ("192.0.2.1",), "outside", HOST)


@pytest.fixture
async def publish(consul: ConsulServer, told: Told) -> AsyncIterator[Publish]:
    started: list[ConsulPublisher] = []

    async def start(
        *records: VipRecord, site: str = "ams", token: str = "", refresh: float = 60, **settings: object
    ) -> ConsulPublisher:
        values = {"url": consul.url, "publish": True, "owner": f"isthmus.test/default/{site}/shared/consul", **settings}
        publisher = ConsulPublisher(ConsulSettings(**values), told, token=token, random=Hasty(), refresh=refresh)  # type: ignore[arg-type]
        publisher.publish(frozenset(records))
        await publisher.start()
        started.append(publisher)
        return publisher

    yield start
    for publisher in started:
        await publisher.stop(withdraw=False)


def registered(consul: ConsulServer) -> list[tuple[str, str, int]]:
    entries = consul.services().values()
    return sorted((e.service["Name"], e.service["Address"], e.service["Port"]) for e in entries)


async def test_a_virtual_host_is_registered_and_found(
    publish: Publish, told: Told, look: StartConsul, ear: Ear
) -> None:
    query = ConsulQuery("shop-example", ("tcp-443",))
    await publish(vip("shop.example", 443, "192.0.2.1", "2001:db8::1"), vip("shop.example", 80))
    await told.until(vip("shop.example", 80), "")
    await look(query)
    answer = await ear.addresses(query, "192.0.2.1:443", "2001:db8::1:443")
    assert dict(by_address(answer)["192.0.2.1"].labels)["domain"] == "shop.example"


async def test_changes_are_made_and_withdrawn(consul: ConsulServer, publish: Publish, told: Told) -> None:
    publisher = await publish(vip())
    await told.until(vip(), "")
    moved = vip("shop.example", 8443, "192.0.2.9")
    publisher.publish(frozenset({moved, vip("api.example")}))
    await told.until(moved, "")
    both = [("api-example", "192.0.2.1", 443), ("shop-example", "192.0.2.9", 8443)]
    await until(lambda: registered(consul) == both)
    await publisher.stop(withdraw=True)
    assert registered(consul) == []


async def test_the_check_is_kept_passing_and_ends_with_the_agent(
    consul: ConsulServer, publish: Publish, told: Told
) -> None:
    now = [1000.0]
    consul.clock = lambda: now[0]
    publisher = await publish(vip(), refresh=0.01)
    await told.until(vip(), "")
    for _ in range(3):
        now[0] += TTL - 1
        seen = len(consul.requests)
        await until(lambda seen=seen: any("check/pass" in each for each in consul.requests[seen:]))  # type: ignore[misc]
        assert [each["Status"] for e in consul.services().values() for each in e.checks.values()] == ["passing"]
    await publisher.stop(withdraw=False)
    now[0] += TTL + 1
    assert [each["Status"] for e in consul.services().values() for each in e.checks.values()] == ["critical"]


async def test_an_agent_that_restarts_takes_over_and_removes_what_is_left(
    consul: ConsulServer, publish: Publish, told: Told
) -> None:
    first = await publish(vip(), vip("old.example"))
    await told.until(vip("old.example"), "")
    await told.until(vip(), "")
    await first.stop(withdraw=False)
    told.results.clear()
    seen = len(consul.requests)
    await publish(vip())
    await told.until(vip(), "")
    await until(lambda: registered(consul) == [("shop-example", "192.0.2.1", 443)])
    assert not any("register?" in each for each in consul.requests[seen:])


async def test_a_consul_that_forgot_is_told_again(consul: ConsulServer, publish: Publish, told: Told) -> None:
    await publish(vip(), refresh=0.01)
    await told.until(vip(), "")
    consul.remove(next(iter(consul.services())))
    await until(lambda: registered(consul) == [("shop-example", "192.0.2.1", 443)])


async def test_sites_register_beside_each_other(consul: ConsulServer, publish: Publish, told: Told) -> None:
    ams, fra = vip("shop.example", 443, "192.0.2.1"), vip("shop.example", 443, "198.51.100.1")
    first = await publish(ams, site="ams")
    await publish(fra, site="fra")
    await told.until(ams, "")
    await told.until(fra, "")
    await first.stop(withdraw=True)
    assert registered(consul) == [("shop-example", "198.51.100.1", 443)]


async def test_a_service_of_somebody_else_stays_alone(consul: ConsulServer, publish: Publish, told: Told) -> None:
    consul.put({"Name": "shop-example", "Address": "10.0.0.1", "Port": 80})
    await publish(vip(), vip("api.example"), vip("*.example"))
    await told.until(vip(), "the service shop-example is not Isthmus's; remove it from Consul, or name another domain")
    await told.until(vip("*.example"), "is a wildcard")
    await told.until(vip("api.example"), "")
    assert registered(consul) == [("api-example", "192.0.2.1", 443), ("shop-example", "10.0.0.1", 80)]


async def test_rights_are_named_and_tokens_are_not(consul: ConsulServer, publish: Publish, told: Told) -> None:
    consul.tokens = {"s3cret": frozenset(("other-example",))}
    await publish(vip(), token="s3cret")
    await told.until(vip(), "Permission denied: token lacks permission 'service:write'")
    assert "s3cret" not in str(told.results)
    consul.tokens = {"s3cret": frozenset(("shop-example",))}
    await told.until(vip(), "")


async def test_a_consul_that_is_away_is_waited_for(consul: ConsulServer, publish: Publish, told: Told) -> None:
    await consul.stop()
    await publish(vip())
    await told.until(vip(), "cannot be reached")
    await consul.start()
    await told.until(vip(), "")


async def test_namespace_and_partition(publish: Publish, told: Told) -> None:
    server = ConsulServer(enterprise=True)
    await server.start()
    await publish(vip(), url=server.url, namespace="edge", partition="west")
    await told.until(vip(), "")
    assert all("ns=edge&partition=west" in each for each in server.requests)
    await server.stop()


async def test_settings_that_cannot_work(publish: Publish, told: Told) -> None:
    publisher = await publish(vip(), url="consul:8500")
    await told.until(vip(), "the URL must be http:// or https://")
    publisher.publish(frozenset({vip("api.example")}))
    await told.until(vip("api.example"), "the URL must be http:// or https://")
