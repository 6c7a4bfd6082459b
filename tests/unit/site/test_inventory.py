"""Which versions a site uses."""

from __future__ import annotations

import json

from isthmus.model.cluster import Cluster
from isthmus.model.document import parse_documents
from isthmus.model.envelope import content_hash, emit_envelope
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.site.inventory import Inventory


def cluster(timeout: str = "1s") -> Object:
    return read("Cluster", "web", {"endpoints": [{"name": "one"}], "connectTimeout": timeout})


def route(cluster: str = "web", prefix: str = "/") -> Object:
    spec = {"match": [{"path": {"prefix": prefix}}], "forward": {"clusters": [{"cluster": {"name": cluster}}]}}
    return read("Route", "all", spec)


def read(kind: str, name: str, spec: dict[str, object]) -> Object:
    document = {"apiVersion": "isthmus/v1", "kind": kind, "metadata": {"namespace": "shop", "name": name}, "spec": spec}
    parsed = parse_documents([document], "default")
    assert not parsed.diagnostics, parsed.diagnostics
    return parsed.objects[0]


def bodies(*objects: Object) -> dict[str, bytes]:
    return {str(obj.key): emit_envelope(obj) for obj in objects}


def receive(inventory: Inventory, envelopes: dict[str, bytes]) -> None:
    by_hash = {content_hash(body): body for body in envelopes.values()}
    inventory.receive({key: content_hash(body) for key, body in envelopes.items()}, by_hash.get)


CLUSTER = ObjectKey("default", "Cluster", "shop", "web")
ROUTE = ObjectKey("default", "Route", "shop", "all")


def test_accepted_versions_are_good_and_told_to_the_disk() -> None:
    inventory = Inventory({})
    receive(inventory, bodies(cluster(), route()))
    assert inventory.changed() == [CLUSTER, ROUTE]
    changed, removed = inventory.accept()
    assert set(changed) == {str(CLUSTER), str(ROUTE)}
    assert removed == []
    receive(inventory, bodies(cluster("2s")))
    assert inventory.accept() == (bodies(cluster("2s")), [str(ROUTE)])


def test_an_unknown_field_keeps_the_good_version_and_is_reported() -> None:
    inventory = Inventory(bodies(cluster()))
    document = json.loads(emit_envelope(cluster("2s")))
    document["spec"]["teleport"] = True
    receive(inventory, {str(CLUSTER): json.dumps(document).encode()})
    assert inventory.unreadable[CLUSTER].code == "unsupported"
    assert "teleport" in inventory.unreadable[CLUSTER].message
    used = inventory.view()[CLUSTER]
    assert isinstance(used, Cluster)
    assert used.spec.connect_timeout == "1s"


def test_a_last_good_version_that_a_newer_release_refuses_is_reported_and_the_others_stay() -> None:
    body = emit_envelope(cluster()).replace(b'"connectTimeout":"1s"', b'"connectTimeout":"a while"')
    known = {str(CLUSTER): body} | bodies(route())
    inventory = Inventory(known)
    receive(inventory, known)
    assert set(inventory.view()) == {ROUTE}
    refusal = inventory.unreadable[CLUSTER]
    assert refusal.code == "unsupported"
    assert "connectTimeout" in refusal.message
    receive(inventory, bodies(cluster("2s"), route()))
    assert set(inventory.view()) == {CLUSTER, ROUTE}
    assert not inventory.unreadable


def test_an_unknown_kind_is_reported_and_left_out() -> None:
    inventory = Inventory({})
    key = "default/Wormhole/shop/near"
    receive(inventory, {key: b'{"kind":"Wormhole"}'})
    assert inventory.view() == {}
    assert [refusal.code for refusal in inventory.unreadable.values()] == ["unsupported"]


def test_a_reverted_object_goes_back_to_its_good_version() -> None:
    inventory = Inventory(bodies(cluster("1s"), route()))
    receive(inventory, bodies(cluster("2s"), route()))
    assert inventory.view([CLUSTER])[CLUSTER] == cluster("1s")
    inventory.accept([CLUSTER])
    assert inventory.changed() == [CLUSTER]


def test_with_a_new_object_that_cannot_be_used_its_new_users_stay_behind() -> None:
    inventory = Inventory(bodies(route("old")))
    receive(inventory, bodies(cluster(), route("web")))
    assert inventory.held_back([CLUSTER]) == {ROUTE: CLUSTER}
    assert inventory.view([CLUSTER, ROUTE]) == {ROUTE: route("old")}


def test_users_that_have_not_changed_do_not_follow() -> None:
    inventory = Inventory(bodies(cluster("1s"), route(prefix="/a")))
    receive(inventory, bodies(cluster("2s"), route(prefix="/b")))
    assert inventory.held_back([CLUSTER]) == {}
    assert inventory.view([CLUSTER]) == {CLUSTER: cluster("1s"), ROUTE: route(prefix="/b")}


def test_changes_add_up_to_the_view() -> None:
    inventory = Inventory(bodies(cluster("1s")))
    told: dict[ObjectKey, Object | None] = {}
    steps: list[tuple[dict[str, bytes], list[ObjectKey]]] = [
        (bodies(cluster("1s"), route()), []),
        (bodies(cluster("2s"), route(prefix="/a")), [CLUSTER]),
        (bodies(cluster("2s"), route(prefix="/a")), [CLUSTER, ROUTE]),
        (bodies(cluster("2s"), route(prefix="/a")), [ROUTE]),
        (bodies(cluster("3s")), []),
    ]
    for envelopes, reverted in steps:
        receive(inventory, envelopes)
        told |= inventory.changes(reverted)
        assert {key: obj for key, obj in told.items() if obj is not None} == inventory.view(reverted)
    assert inventory.changes() == {}
