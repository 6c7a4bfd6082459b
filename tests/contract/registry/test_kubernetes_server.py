"""What discovery and publishing rely on in an API server.

Runs against the stand-in; with the path of a kubeconfig in ISTHMUS_TEST_KUBECONFIG against that cluster, in a namespace
of its own, which is removed again:

    ISTHMUS_TEST_KUBECONFIG=~/.kube/config pytest tests/contract/registry/test_kubernetes_server.py
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from isthmus.discovery.kubernetes.api import Api, ApiError
from isthmus.discovery.kubernetes.kubeconfig import parse_kubeconfig
from isthmus.discovery.kubernetes.publisher import KubernetesPublisher
from isthmus.discovery.kubernetes.source import KubernetesSource
from isthmus.discovery.query import KubernetesQuery
from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import KubernetesSettings
from isthmus.model.key import ObjectKey

from .conftest import SECRET
from .kubernetes_server import KubernetesServer
from .material import Certificates, Ear, Hasty, Told, kubeconfig, until

Object = dict[str, Any]
STRICT = {"fieldValidation": "Strict"}
REAL = os.environ.get("ISTHMUS_TEST_KUBECONFIG", "")


@dataclass
class Place:
    """An API server, and a namespace in it for one test."""

    api: Api
    config: str
    namespace: str

    @property
    def services(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/services"

    @property
    def slices(self) -> str:
        return f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"

    async def create(self, item: Object) -> Object:
        path = self.services if item["kind"] == "Service" else self.slices
        return await self.api.request("POST", path, STRICT, item)


@pytest.fixture
async def place(cluster: KubernetesServer, certificates: Certificates) -> AsyncIterator[Place]:
    config = Path(REAL).read_text() if REAL else kubeconfig(cluster.url, certificates.ca, "t0k3n")
    api = Api(parse_kubeconfig(config))
    name = f"isthmus-test-{secrets.token_hex(4)}"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await api.request("POST", "/api/v1/namespaces", STRICT, namespace)
    yield Place(api, config, name)
    await api.request("DELETE", f"/api/v1/namespaces/{name}")
    await api.close()


def headless(name: str = "web", **spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"clusterIP": "None", **spec}}


def slice_of(service: str, name: str, *addresses: str, family: str = "IPv4") -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service, "part": name}},
        "addressType": family,
        "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in addresses],
        "ports": [{"name": "http", "protocol": "TCP", "port": 80}],
    }


async def refused(status: int, action: Any, *texts: str) -> ApiError:
    with pytest.raises(ApiError) as error:
        await action
    assert error.value.status == status
    for text in texts:
        assert text in str(error.value)
    return error.value


async def test_a_headless_service_needs_no_ports_and_no_selector(place: Place) -> None:
    created = await place.create(headless())
    assert created["spec"]["clusterIP"] == "None"
    assert created["spec"]["type"] == "ClusterIP"
    assert created["metadata"]["uid"]
    assert created["metadata"]["resourceVersion"]
    listed = await place.api.request("GET", place.services)
    assert [each["metadata"]["name"] for each in listed["items"]] == ["web"]
    assert "kind" not in listed["items"][0]


async def test_names_are_taken_once(place: Place) -> None:
    await place.create(headless())
    assert (await refused(409, place.create(headless()), "already exists")).reason == "AlreadyExists"
    await refused(404, place.api.request("GET", f"{place.services}/other"), "NotFound")


@pytest.mark.parametrize(
    ("status", "item", "text"),
    [
        (400, headless(port=80), "unknown field"),
        (422, headless("Web"), "metadata.name"),
        (422, headless("web", ports=[{"port": 80}, {"port": 81}]), "spec.ports[0].name"),
        (422, headless("web", ports=[{"port": 70000}]), "spec.ports[0].port"),
        (422, headless("web", clusterIP="", ports=[]), "spec.ports"),
        (422, slice_of("web", "web-1", "127.0.0.1"), "endpoints[0].addresses[0]"),
        (422, slice_of("web", "web-1", "169.254.1.1"), "endpoints[0].addresses[0]"),
        (422, slice_of("web", "web-1", "fd00::1"), "endpoints[0].addresses[0]"),
        (422, slice_of("web", "Web_1", "10.0.0.1"), "metadata.name"),
        (422, slice_of("web", "web-1", "10.0.0.1", family="IP"), "addressType"),
    ],
)
async def test_what_breaks_a_rule_is_refused(place: Place, status: int, item: Object, text: str) -> None:
    await refused(status, place.create(item), text)


async def test_a_stale_version_is_a_conflict(place: Place) -> None:
    first = await place.create(headless())
    path = f"{place.services}/web"
    changed = {**first, "spec": {**first["spec"], "ports": [{"name": "tcp-80", "port": 80}]}}
    second = await place.api.request("PUT", path, STRICT, changed)
    assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    error = await refused(409, place.api.request("PUT", path, STRICT, {**changed, "spec": first["spec"]}))
    assert error.reason == "Conflict"
    meta = {"uid": first["metadata"]["uid"], "resourceVersion": first["metadata"]["resourceVersion"]}
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": meta}
    await refused(409, place.api.request("DELETE", path, {}, options), "precondition")
    meta["resourceVersion"] = second["metadata"]["resourceVersion"]
    await place.api.request("DELETE", path, {}, options)
    await refused(404, place.api.request("GET", path))


async def test_the_address_family_of_a_slice_does_not_change(place: Place) -> None:
    created = await place.create(slice_of("web", "web-1", "10.0.0.1"))
    item = {**created, "addressType": "IPv6", "endpoints": []}
    await refused(422, place.api.request("PUT", f"{place.slices}/web-1", STRICT, item), "immutable")


async def test_slices_go_with_the_service_that_owns_them(place: Place) -> None:
    service = await place.create(headless())
    item = slice_of("web", "web-1", "10.0.0.1")
    owner = {"apiVersion": "v1", "kind": "Service", "name": "web", "uid": service["metadata"]["uid"]}
    item["metadata"]["ownerReferences"] = [owner]
    await place.create(item)
    await place.api.request("DELETE", f"{place.services}/web")

    names = ["web-1"]
    while names:
        listed = await place.api.request("GET", place.slices)
        names = [each["metadata"]["name"] for each in listed["items"]]


async def test_pages_share_a_version(place: Place) -> None:
    for i in range(5):
        await place.create(slice_of("web", f"web-{i}", "10.0.0.1"))
    first = await place.api.request("GET", place.slices, {"limit": "2"})
    assert len(first["items"]) == 2
    await place.create(slice_of("web", "web-9", "10.0.0.1"))
    parameters = {"limit": "2", "continue": first["metadata"]["continue"]}
    second = await place.api.request("GET", place.slices, parameters)
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    parameters["continue"] = second["metadata"]["continue"]
    third = await place.api.request("GET", place.slices, parameters)
    assert [each["metadata"]["name"] for each in third["items"]] == ["web-4"]
    assert not third["metadata"].get("continue")


async def watch(place: Place, version: str, **parameters: str) -> list[tuple[str, Object]]:
    """All events of a short watch."""
    given = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": "1"}
    given |= {"timeoutSeconds": "4"} if REAL else {}
    events = place.api.stream(place.slices, {**given, **parameters}, 30)
    return [(event["type"], event["object"]) async for event in events if event is not None]


async def test_a_watch_tells_what_came_after_a_version(place: Place) -> None:
    version = (await place.api.request("GET", place.slices))["metadata"]["resourceVersion"]
    created = await place.create(slice_of("web", "web-1", "10.0.0.1"))
    await place.api.request("PUT", f"{place.slices}/web-1", STRICT, {**created, "endpoints": []})
    await place.api.request("DELETE", f"{place.slices}/web-1")
    events = await watch(place, version)
    assert [kind for kind, _ in events] == ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    versions = [item["metadata"]["resourceVersion"] for _, item in events]
    assert len(set(versions[:3])) == 3
    assert set(events[3][1]) >= {"kind", "apiVersion", "metadata"}
    assert [kind for kind, _ in await watch(place, versions[1])] == ["DELETED", "BOOKMARK"]


async def test_what_leaves_a_selection_is_deleted_to_its_watch(place: Place) -> None:
    created = await place.create(slice_of("web", "web-1", "10.0.0.1"))
    listed = await place.api.request("GET", place.slices, {"labelSelector": "part=web-1"})
    assert len(listed["items"]) == 1
    labels = {**created["metadata"]["labels"], "part": "other"}
    item = {**created, "metadata": {**created["metadata"], "labels": labels}}
    await place.api.request("PUT", f"{place.slices}/web-1", STRICT, item)
    events = await watch(place, listed["metadata"]["resourceVersion"], labelSelector="part=web-1")
    assert [kind for kind, _ in events if kind != "BOOKMARK"] == ["DELETED"]


async def test_a_version_that_is_too_old_is_gone(place: Place, cluster: KubernetesServer) -> None:
    cluster.store.compact()
    try:
        events = await watch(place, "1")
        codes = [item["code"] for kind, item in events if kind == "ERROR"]
    except ApiError as error:  # servers say it as an event, or as the answer
        codes = [error.status]
    assert codes == [410]


async def test_nobody_is_let_in_without_credentials(place: Place) -> None:
    access = parse_kubeconfig(place.config)
    stranger = Api(type(access)(access.server, access.context, token="stranger"))
    await refused(401, stranger.request("GET", place.services), "renew the token")
    await stranger.close()


async def test_what_is_published_is_discovered_and_withdrawn(place: Place, ear: Ear, told: Told) -> None:
    host = ObjectKey("default", "VirtualHost", "default", "shop")
    record = VipRecord("shop.example", 443, ("192.0.2.1",), "outside", host)
    settings = KubernetesSettings(SECRET, publish_namespace=place.namespace, owner="test")
    publisher = KubernetesPublisher(settings, place.config, told, random=Hasty())
    source = KubernetesSource(settings, place.config, ear, random=Hasty())
    query = KubernetesQuery(place.namespace, "shop-example")
    publisher.publish(frozenset({record}))
    source.watch(frozenset({query}))
    await publisher.start()
    await source.start()
    await told.until(record, "")
    await ear.addresses(query, "192.0.2.1:443")
    await publisher.stop(withdraw=True)
    await ear.addresses(query)
    await source.stop()
    await until(lambda: ear.answers[query][-1].error == "")
