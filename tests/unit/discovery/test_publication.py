"""Sites that publish in one Kubernetes namespace come to rest, whatever they publish and in whatever order they act."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.discovery.kubernetes.publication import Change, plan_publication
from isthmus.discovery.record import VipRecord
from isthmus.model.key import ObjectKey

HOST = ObjectKey("default", "VirtualHost", "default", "shop")
Objects = dict[str, dict[str, Any]]

records = st.frozensets(
    st.builds(
        VipRecord,
        domain=st.sampled_from(["a.test", "b.test", "*.test"]),
        port=st.sampled_from([80, 443]),
        addresses=st.sampled_from([("192.0.2.1",), ("192.0.2.1", "2001:db8::1"), ("192.0.2.2",), ("127.0.0.1",)]),
        network=st.just("outside"),
        virtual_host=st.just(HOST),
        transport=st.sampled_from(["tcp", "udp"]),
    ),
    max_size=4,
)


class Cluster:
    """Services and slices as an API server keeps them, as far as plans see."""

    def __init__(self) -> None:
        self.objects: dict[str, Objects] = {"services": {}, "endpointslices": {}}
        self.version = 0
        self.left: dict[str, set[str]] = {}

    def act(self, owner: str, wanted: frozenset[VipRecord]) -> int:
        """One round of a site; returns how much it had to change."""
        services, slices = self.objects["services"], self.objects["endpointslices"]
        left = self.left.setdefault(owner, set())
        plan = plan_publication(owner, "edge", wanted, services, slices, left)
        for change in plan.changes:
            self._make(change, left)
        return len(plan.changes)

    def _make(self, change: Change, left: set[str]) -> None:
        name, found = change.item["metadata"]["name"], self.objects[change.plural]
        self.version += 1
        if change.verb == "delete":
            gone = found.pop(name)
            if change.plural == "services":
                owned = gone["metadata"]["uid"]
                for key, item in tuple(self.objects["endpointslices"].items()):
                    if item["metadata"]["ownerReferences"][0]["uid"] == owned:
                        del self.objects["endpointslices"][key]
            elif change.service in self.objects["services"]:
                left.add(self.objects["services"][change.service]["metadata"]["uid"])
            return
        assert (name in found) == (change.verb == "replace")
        before = found.get(name, {"metadata": {"uid": f"uid-{self.version}"}})
        meta = {**change.item["metadata"], "uid": before["metadata"]["uid"], "resourceVersion": str(self.version)}
        found[name] = {**change.item, "metadata": meta}

    def served(self) -> set[tuple[str, str, str, int]]:
        """Service, address, transport and port of everything that clients can find."""
        return {
            (item["metadata"]["labels"]["kubernetes.io/service-name"], address, port["protocol"].lower(), port["port"])
            for item in self.objects["endpointslices"].values()
            for endpoint in item["endpoints"]
            for address in endpoint["addresses"]
            for port in item["ports"]
        }


def published(*wanted: frozenset[VipRecord]) -> set[tuple[str, str, str, int]]:
    return {
        (record.domain.replace(".", "-"), address, record.transport, record.port)
        for each in wanted
        for record in each
        if not record.domain.startswith("*")
        for address in record.addresses
        if address != "127.0.0.1"
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(records, records), min_size=1, max_size=4), st.lists(st.booleans(), max_size=12))
def test_two_sites_come_to_rest(
    stages: list[tuple[frozenset[VipRecord], frozenset[VipRecord]]], order: list[bool]
) -> None:
    cluster = Cluster()
    for ams, fra in stages:
        for first in order:
            cluster.act("ams" if first else "fra", ams if first else fra)
        for _ in range(6):
            if cluster.act("ams", ams) + cluster.act("fra", fra) == 0:
                break
        else:
            raise AssertionError("they never come to rest")
        assert cluster.served() == published(ams, fra)
        filled = {name for name, *_ in cluster.served()}
        assert filled <= set(cluster.objects["services"])
        for name in filled:
            ports = {(p["protocol"].lower(), p["port"]) for p in cluster.objects["services"][name]["spec"]["ports"]}
            assert ports == {(transport, port) for at, _, transport, port in cluster.served() if at == name}
