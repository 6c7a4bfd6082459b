"""Objects out of a store that this release would not take."""

import json
from pathlib import Path
from typing import Any

import pytest

from isthmus.model import check
from isthmus.model.document import parse_documents
from isthmus.model.envelope import emit_envelope
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object, System
from isthmus.model.site import Site
from isthmus.model.stored import Unreadable, parse_stored

DOCUMENTS: dict[str, dict[str, Any]] = {
    "Site": {"fabric": {"reachability": "outbound"}, "location": {"latitude": 50, "longitude": 8}},
    "Cluster": {"endpoints": [{"name": "one"}, {"name": "two"}], "connectTimeout": "1s"},
    "Route": {"forward": {"clusters": [{"cluster": {"name": "web"}}]}},
    "VirtualHost": {
        "proxy": "HTTPS",
        "domains": ["a.example"],
        "routes": [{"name": "r"}],
        "tls": {"certificates": [{"name": "c"}]},
    },
    "AdvertisePolicy": {"where": {"virtualSite": "edge"}, "port": 8080},
    "VirtualSite": {"selector": ["place=europe"]},
    "AlertPolicy": {"receivers": [{"name": "pager"}]},
}


def stored(kind: str, *edits: tuple[str, Any]) -> tuple[ObjectKey, bytes]:
    """Key and body of an object; `edits` are paths (`spec.port`) and values that are put in place of what is there."""
    metadata = {"name": "some"} if kind in ("Site", "VirtualSite") else {"name": "some", "namespace": "shop"}
    document = {"apiVersion": "isthmus/v1", "kind": kind, "metadata": metadata, "spec": DOCUMENTS[kind]}
    parsed = parse_documents([document])
    assert not parsed.diagnostics, parsed.diagnostics
    obj = parsed.objects[0].with_system(System(created=3, number=7))
    body = json.loads(emit_envelope(obj))
    for path, value in edits:
        place = body
        *steps, last = path.split(".")
        for step in steps:
            place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
        place[int(last) if isinstance(place, list) else last] = value
    return obj.key, json.dumps(body).encode()


def in_part(kind: str, *edits: tuple[str, Any]) -> Object:
    found = parse_stored(*stored(kind, *edits))
    assert isinstance(found, Object), found
    assert found.refused is not None
    return found


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_what_this_release_accepts_is_read_as_it_is(kind: str) -> None:
    key, body = stored(kind)
    found = parse_stored(key, body)
    assert isinstance(found, Object)
    assert found.refused is None
    assert json.loads(emit_envelope(found)) == json.loads(body)


def test_of_a_refused_object_the_rest_is_understood_and_the_stored_bytes_are_given_on() -> None:
    key, body = stored("Cluster", ("spec.connectTimeout", "soon"), ("spec.teleport", True))
    found = parse_stored(key, body)
    assert isinstance(found, Object)
    assert [use.target.name for use in found.uses()] == ["one", "two"]
    assert found.system == System(created=3, number=7)
    assert emit_envelope(found) == body
    assert found.refused is not None
    assert {each.field for each in found.refused.diagnostics} == {"spec.connectTimeout", "spec.teleport"}
    for each in found.refused.diagnostics:
        assert (each.code, each.object) == ("stored-refused", key)
        assert "apply it anew" in each.mend


def test_a_faulty_item_of_a_list_is_left_out_and_the_others_stay() -> None:
    found = in_part("Cluster", ("spec.endpoints.0", {"name": "Not A Name"}))
    assert [use.target.name for use in found.uses()] == ["two"]


def test_where_only_fields_together_are_refused_nothing_is_left_out() -> None:
    tls = {"certificates": [{"name": "site"}], "http3": True, "maxVersion": "TLSv1.2"}
    found = in_part("VirtualHost", ("spec.tls", tls))
    assert found.refused is not None
    assert [each.field for each in found.refused.diagnostics] == ["spec.tls"]
    assert "default/Certificate/shop/site" in {str(use.target) for use in found.uses()}
    found = in_part("Cluster", ("spec.loadBalancing", "ROUND_ROBIN"), ("spec.ringHash", {"minimumRingSize": 2048}))
    assert found.refused is not None
    assert [each.field for each in found.refused.diagnostics] == ["spec"]
    assert [use.target.name for use in found.uses()] == ["one", "two"]


def test_checks_of_several_fields_can_all_be_passed_over() -> None:
    """A plain `model_validator` would take the whole part out of a stored object, and with it what that refers to."""
    folder = Path(check.__file__).parent
    assert {each.name for each in folder.glob("*.py") if "model_validator" in each.read_text()} == {
        "check.py",
        "object.py",
    }


def test_a_refused_value_is_not_repeated_for_logs_and_receivers_of_alerts() -> None:
    found = in_part("Cluster", ("spec.loadBalancing", "hunter2"))
    assert found.refused is not None
    assert [each.field for each in found.refused.diagnostics] == ["spec.loadBalancing"]
    assert "hunter2" not in str(found.refused.diagnostics)


def test_a_changed_copy_of_a_refused_object_is_not_mistaken_for_it() -> None:
    key, body = stored("Site", ("spec.fabric.speed", 9))
    found = parse_stored(key, body)
    assert isinstance(found, Site)
    mended = parse_documents([{"apiVersion": "isthmus/v1", "kind": "Site", "metadata": {"name": "some"},
                               "spec": DOCUMENTS["Site"]}]).objects[0]  # fmt: skip
    assert mended.succeeding(found) != found
    assert emit_envelope(mended.succeeding(found)) != body


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("AdvertisePolicy", "spec.where.network", "Not A Name"),
        ("VirtualSite", "spec.selector.0", "!!"),
        ("Cluster", "spec.endpointSelection", "NEVER"),
        ("Site", "metadata.labels", {"": "x"}),
        ("AlertPolicy", "spec.teleport", True),
        ("Cluster", "spec", 3),
        ("Cluster", "metadata.namespace", "other"),
    ],
)
def test_an_object_that_would_say_something_else_is_not_used(kind: str, path: str, value: Any) -> None:
    key, body = stored(kind, (path, value))
    found = parse_stored(key, body)
    assert isinstance(found, Unreadable)
    assert found.system == System(created=3, number=7)
    for each in found.diagnostics:
        assert (each.code, each.object) == ("stored-unreadable", key)
        assert each.message
        assert each.mend


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"[]", b"{", b"null", b"[" * 100_000, b'{"kind":"Cluster"}'])
def test_damaged_bytes_are_told_and_never_an_exception(body: bytes) -> None:
    found = parse_stored(ObjectKey("default", "Cluster", "shop", "some"), body)
    assert isinstance(found, Unreadable)
    assert found.diagnostics


def test_a_kind_of_another_release_is_told() -> None:
    found = parse_stored(
        ObjectKey("default", "Wormhole", "shop", "some"), b'{"kind":"Wormhole","system":{"created":4}}'
    )
    assert isinstance(found, Unreadable)
    assert "'Wormhole'" in found.diagnostics[0].message
    assert found.system == System(created=4)
