"""Virtual hosts as headless Services, against the stand-in API server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from isthmus.discovery.kubernetes.publisher import KubernetesPublisher
from isthmus.discovery.query import KubernetesQuery
from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import KubernetesSettings
from isthmus.model.key import ObjectKey

from .conftest import SECRET, StartSource
from .kubernetes_request import Rule
from .kubernetes_server import KubernetesServer
from .material import Certificates, Ear, Hasty, Told, kubeconfig, service, until

HOST = ObjectKey("default", "VirtualHost", "default", "shop")
Publish = Callable[..., Awaitable[KubernetesPublisher]]


def vip(domain: str = "shop.example", port: int = 443, *addresses: str, transport: str = "tcp") -> VipRecord:
    return VipRecord(domain, port, addresses or ("192.0.2.1",), "outside", HOST, transport)


@pytest.fixture
async def publish(cluster: KubernetesServer, certificates: Certificates, told: Told) -> AsyncIterator[Publish]:
    """Starts publishers in the namespace `shop` of `cluster`."""
    started: list[KubernetesPublisher] = []

    async def start(
        *records: VipRecord, site: str = "ams", token: str = "t0k3n", unclaimed: float = 60
    ) -> KubernetesPublisher:
        settings = KubernetesSettings(SECRET, publish_namespace="shop", owner=f"isthmus.test/default/{site}/shared/k8s")
        config = kubeconfig(cluster.url, certificates.ca, token)
        publisher = KubernetesPublisher(settings, config, told, random=Hasty(), unclaimed=unclaimed)
        publisher.publish(frozenset(records))
        await publisher.start()
        started.append(publisher)
        return publisher

    yield start
    for publisher in started:
        await publisher.stop(withdraw=False)


def ports(cluster: KubernetesServer, name: str = "shop-example") -> list[tuple[str, str, int]]:
    found = cluster.store.get("services", "shop", name)
    return [(p["name"], p["protocol"], p["port"]) for p in found["spec"]["ports"]] if found else []


def addresses(cluster: KubernetesServer, name: str = "shop-example") -> list[str]:
    """Of all slices of a Service."""
    return sorted(
        address
        for each in cluster.store.objects("endpointslices", "shop")
        if each["metadata"]["labels"]["kubernetes.io/service-name"] == name
        for endpoint in each["endpoints"]
        for address in endpoint["addresses"]
    )


async def test_a_virtual_host_becomes_a_headless_service(
    cluster: KubernetesServer, publish: Publish, told: Told
) -> None:
    await publish(
        vip("shop.example", 443, "192.0.2.1", "2001:db8::1"), vip("shop.example", 80, "192.0.2.1", "2001:db8::1")
    )
    for port in (443, 80):
        await told.until(vip("shop.example", port, "192.0.2.1", "2001:db8::1"), "")
    found = cluster.store.get("services", "shop", "shop-example")
    assert found is not None
    assert found["spec"]["clusterIP"] == "None"
    assert "selector" not in found["spec"]
    assert found["metadata"]["annotations"]["isthmus/domain"] == "shop.example"
    assert ports(cluster) == [("tcp-80", "TCP", 80), ("tcp-443", "TCP", 443)]
    slices = cluster.store.objects("endpointslices", "shop")
    assert [(each["addressType"], len(each["ports"])) for each in slices] == [("IPv4", 2), ("IPv6", 2)]
    for each in slices:
        assert each["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "isthmus"
        assert each["metadata"]["ownerReferences"][0]["uid"] == found["metadata"]["uid"]
    assert addresses(cluster) == ["192.0.2.1", "2001:db8::1"]


async def test_what_is_published_is_discovered(
    cluster: KubernetesServer, publish: Publish, discover: StartSource, ear: Ear
) -> None:
    await publish(vip())
    query = KubernetesQuery("shop", "shop-example", port="443")
    await discover(query)
    await ear.addresses(query, "192.0.2.1:443")


async def test_changes_are_made_in_place_and_withdrawn(cluster: KubernetesServer, publish: Publish, told: Told) -> None:
    publisher = await publish(vip())
    await told.until(vip(), "")
    before = cluster.store.objects("endpointslices", "shop")[0]["metadata"]["uid"]
    moved = vip("shop.example", 443, "192.0.2.9")
    publisher.publish(frozenset({moved, vip("api.example", 8443, transport="udp")}))
    await told.until(moved, "")
    await until(lambda: addresses(cluster) == ["192.0.2.9"])
    assert before in {each["metadata"]["uid"] for each in cluster.store.objects("endpointslices", "shop")}
    await until(lambda: ports(cluster, "api-example") == [("udp-8443", "UDP", 8443)])
    publisher.publish(frozenset({moved}))
    await until(lambda: cluster.store.get("services", "shop", "api-example") is None)
    assert addresses(cluster, "api-example") == []
    await publisher.stop(withdraw=True)
    assert cluster.store.objects("services", "shop") == []
    assert cluster.store.objects("endpointslices", "shop") == []


async def test_an_agent_that_restarts_leaves_everything_as_it_is(
    cluster: KubernetesServer, publish: Publish, told: Told
) -> None:
    first = await publish(vip())
    await told.until(vip(), "")
    await first.stop(withdraw=False)
    version = cluster.store.version
    told.results.clear()
    await publish(vip())
    await told.until(vip(), "")
    assert cluster.store.version == version


async def test_what_an_earlier_run_left_goes(cluster: KubernetesServer, publish: Publish, told: Told) -> None:
    first = await publish(vip(), vip("old.example"))
    await told.until(vip("old.example"), "")
    await first.stop(withdraw=False)
    await publish(vip())
    await until(lambda: cluster.store.get("services", "shop", "old-example") is None)
    assert addresses(cluster) == ["192.0.2.1"]


async def test_sites_share_a_service_and_each_keeps_its_own_slices(
    cluster: KubernetesServer, publish: Publish, told: Told
) -> None:
    ams, fra = vip("shop.example", 443, "192.0.2.1"), vip("shop.example", 8443, "198.51.100.1")
    first = await publish(ams, site="ams")
    second = await publish(fra, site="fra")
    await told.until(ams, "")
    await told.until(fra, "")
    await until(lambda: addresses(cluster) == ["192.0.2.1", "198.51.100.1"])
    await until(lambda: [port for *_, port in ports(cluster)] == [443, 8443])
    await first.stop(withdraw=True)
    assert addresses(cluster) == ["198.51.100.1"]
    await until(lambda: [port for *_, port in ports(cluster)] == [8443])
    await second.stop(withdraw=True)
    assert cluster.store.objects("services", "shop") == []


async def test_two_writers_do_not_undo_each_other(cluster: KubernetesServer, publish: Publish, told: Told) -> None:
    """Every second write meets a version that another has changed."""
    raced: list[str] = []

    def race(method: str, path: str) -> int | None:
        if method == "PUT" and path not in raced:
            raced.append(path)
            return 409
        return None

    cluster.refuse = race
    publisher = await publish(vip())
    await told.until(vip(), "")
    moved = vip("shop.example", 8443, "192.0.2.7")
    publisher.publish(frozenset({moved}))
    await told.until(moved, "")
    await until(lambda: addresses(cluster) == ["192.0.2.7"])
    assert len(raced) == 2
    assert all("409" not in text for text in told.results.values())


async def test_what_somebody_deletes_or_changes_comes_back(
    cluster: KubernetesServer, publish: Publish, told: Told
) -> None:
    await publish(vip())
    await told.until(vip(), "")
    cluster.remove("services", "shop", "shop-example")
    await until(lambda: cluster.store.get("services", "shop", "shop-example") is not None)
    await until(lambda: addresses(cluster) == ["192.0.2.1"])
    item = cluster.store.objects("endpointslices", "shop")[0]
    cluster.put({**item, "endpoints": []})
    await until(lambda: addresses(cluster) == ["192.0.2.1"])


async def test_a_service_of_somebody_else_stays(cluster: KubernetesServer, publish: Publish, told: Told) -> None:
    cluster.put(service("shop-example"))
    publisher = await publish(vip(), vip("api.example"))
    await told.until(vip(), "Service shop-example exists in namespace shop and is not Isthmus's; delete it, or publish")
    await told.until(vip("api.example"), "")
    await publisher.stop(withdraw=True)
    found = cluster.store.get("services", "shop", "shop-example")
    assert found is not None
    assert found["spec"]["selector"] == {"app": "shop-example"}
    assert cluster.store.get("services", "shop", "api-example") is None


async def test_a_service_that_nobody_fills_goes_after_a_while(
    cluster: KubernetesServer, publish: Publish, told: Told
) -> None:
    left = service("left-example", labels={"app.kubernetes.io/managed-by": "isthmus"})
    cluster.put(left)
    publisher = await publish(vip())
    await told.until(vip(), "")
    assert cluster.store.get("services", "shop", "left-example") is not None
    await publisher.stop(withdraw=False)
    await publish(vip(), unclaimed=0.05)
    await until(lambda: cluster.store.get("services", "shop", "left-example") is None)


async def test_what_cannot_be_a_service_is_said(publish: Publish, told: Told) -> None:
    wildcard, local = vip("*.shop.example"), vip("local.example", 443, "127.0.0.1")
    twins = vip("a.b-c.example"), vip("a.b.c.example")
    await publish(wildcard, local, *twins)
    await told.until(wildcard, "*.shop.example is a wildcard, which cannot be the name of a service")
    await told.until(local, "127.0.0.1 cannot be published: Kubernetes takes no loopback or link-local address")
    await told.until(twins[1], "Service a-b-c-example is that of a.b-c.example, too; rename one of the two")
    await told.until(twins[0], "")


async def test_missing_rights_are_named_and_granted_ones_used(
    cluster: KubernetesServer, publish: Publish, told: Told
) -> None:
    plurals = frozenset({"services", "endpointslices"})
    cluster.tokens["t0k3n"] = (Rule(frozenset({"list", "watch"}), plurals, "shop"),)
    await publish(vip())
    await told.until(vip(), 'cannot create resource "services" in API group "" in the namespace "shop"')
    every = frozenset({"list", "watch", "create", "update", "delete"})
    cluster.tokens["t0k3n"] = (Rule(every, plurals, "shop"),)
    await told.until(vip(), "")


async def test_an_api_server_that_is_away_is_waited_for(
    cluster: KubernetesServer, publish: Publish, told: Told
) -> None:
    await cluster.stop()
    await publish(vip())
    await told.until(vip(), "cannot be reached")
    await cluster.start()
    await told.until(vip(), "")


async def test_a_token_shows_nowhere(cluster: KubernetesServer, publish: Publish, told: Told) -> None:
    await publish(vip(), token="wr0ng")
    await told.until(vip(), "401 Unauthorized")
    assert "wr0ng" not in str(told.results)
