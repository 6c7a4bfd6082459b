"""Keys, envelopes, values: what other packages build on."""

import json

import pytest
from pydantic import ValidationError

from isthmus.model import (
    INTERNAL_KINDS,
    PUBLIC_KINDS,
    ClusterAccess,
    EnvelopeError,
    Object,
    ObjectKey,
    System,
    content_hash,
    emit_envelope,
    kind_by_plural,
    parse_envelope,
)
from isthmus.model.document import parse_documents, parse_yaml
from isthmus.model.health_check import status_range
from isthmus.model.key import parse_key
from isthmus.model.object import Reference
from isthmus.model.reference import resolve
from isthmus.model.value import milliseconds

RICH = """
apiVersion: isthmus/v1
kind: Route
metadata: {namespace: shop, name: r, labels: {a: b}, annotations: {c: d}, description: Grüße}
spec:
  match:
    - path: {prefix: /a}
      methods: [GET]
      headers: [{name: X-Canary, exact: "1", invert: true}]
      queryParameters: [{name: q, present: false}]
    - {}
  forward:
    clusters: [{cluster: {name: web}, weight: 95}, {cluster: {namespace: shared, name: next}, weight: 5}]
    prefixRewrite: /
    retry: {attempts: 3, on: [5xx], perTryTimeout: 1.5s}
    hashPolicy: [{sourceAddress: true}]
---
apiVersion: isthmus/v1
kind: HealthCheck
metadata: {name: h}
spec: {tcp: {}}
---
apiVersion: isthmus/v1
kind: HealthCheck
metadata: {name: h2}
spec: {http: {expectedStatuses: [200, 300-399]}}
---
apiVersion: isthmus/v1
kind: VirtualSite
metadata: {name: all}
spec: {selector: []}
---
apiVersion: isthmus/v1
kind: VirtualSite
metadata: {name: none}
spec: {selector: null}
---
apiVersion: isthmus/v1
kind: Site
metadata: {name: s}
spec: {location: {latitude: 52, longitude: 4.9}, drained: true}
---
apiVersion: isthmus/v1
kind: Namespace
metadata: {name: n}
"""


def rich() -> tuple[Object, ...]:
    parsed = parse_yaml(RICH)
    assert parsed.diagnostics == ()
    return parsed.objects


@pytest.mark.parametrize("obj", rich(), ids=lambda obj: str(obj.key))
def test_envelope_round_trip(obj: Object) -> None:
    stored = obj.with_system(System(created=7, number=3))
    body = emit_envelope(stored)
    assert parse_envelope(body) == stored
    assert emit_envelope(parse_envelope(body)) == body
    assert json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == body


@pytest.mark.parametrize("obj", rich(), ids=lambda obj: str(obj.key))
def test_envelope_parses_as_document(obj: Object) -> None:
    assert parse_documents([json.loads(emit_envelope(obj))]).objects == (obj,)


def test_written_defaults_give_the_same_bytes() -> None:
    short = {"apiVersion": "isthmus/v1", "kind": "Site", "metadata": {"name": "s"}}
    long = {
        "kind": "Site",
        "spec": {"drained": False, "regions": [], "fabric": {"reachability": "direct", "addresses": []}},
        "metadata": {"description": "", "labels": {}, "name": "s", "tenant": "default"},
        "apiVersion": "isthmus/v1",
    }
    (one,), (other,) = parse_documents([short]).objects, parse_documents([long]).objects
    assert emit_envelope(one) == emit_envelope(other)
    assert content_hash(emit_envelope(one)) == content_hash(emit_envelope(other))


def test_hash_depends_on_what_the_console_adds() -> None:
    site = next(obj for obj in rich() if obj.kind == "Site")
    assert content_hash(emit_envelope(site)) != content_hash(emit_envelope(site.with_system(System(created=1))))


def test_internal_kind_travels_but_is_not_declared() -> None:
    access = ClusterAccess.model_validate_json(
        '{"apiVersion":"isthmus/v1","kind":"ClusterAccess","metadata":{"namespace":"shop","name":"web"},'
        '"spec":{"callers":["ams"]}}'
    )
    assert parse_envelope(emit_envelope(access)) == access
    assert set(INTERNAL_KINDS) == {"ClusterAccess", "SealedCertificate", "SealedSecret"}
    assert "ClusterAccess" not in PUBLIC_KINDS
    assert kind_by_plural("clusteraccesses") is None


@pytest.mark.parametrize(
    ("body", "unsupported"),
    [
        (b"", False),
        (b"\xff", False),
        (b"[]", False),
        (b"{}", False),
        (b'{"kind":"Teapot"}', True),
        (b'{"apiVersion":"isthmus/v1","kind":"Namespace","metadata":{"name":"a"},"spec":{"later":1}}', True),
        (b'{"apiVersion":"isthmus/v9","kind":"Namespace","metadata":{"name":"a"}}', True),
    ],
)
def test_envelopes_that_cannot_be_read(body: bytes, unsupported: bool) -> None:
    with pytest.raises(EnvelopeError) as caught:
        parse_envelope(body)
    assert caught.value.unsupported is unsupported


def test_keys() -> None:
    key = ObjectKey("default", "Cluster", "shop", "web")
    assert parse_key(str(key)) == key
    assert (key.title, key.path) == ("Cluster shop/web", "shop/web")
    site = ObjectKey("default", "Site", "", "fra")
    assert str(site) == "default/Site//fra"
    assert parse_key(str(site)) == site
    assert (site.title, site.path) == ("Site fra", "fra")
    with pytest.raises(ValueError, match="not an object key"):
        parse_key("Site/fra")


def test_references_resolve_to_the_own_namespace_or_the_named_one() -> None:
    assert resolve(Reference(name="a"), "Route", "t", "shop") == ObjectKey("t", "Route", "shop", "a")
    assert resolve(Reference(namespace="shared", name="a"), "Route", "t", "shop") == ObjectKey(
        "t", "Route", "shared", "a"
    )


def test_uses_name_the_field() -> None:
    route = rich()[0]
    assert [(use.field, str(use.target)) for use in route.uses()] == [
        ("spec.forward.clusters[0].cluster", "default/Cluster/shop/web"),
        ("spec.forward.clusters[1].cluster", "default/Cluster/shared/next"),
    ]


def test_objects_are_frozen() -> None:
    with pytest.raises(ValidationError):
        rich()[0].metadata.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("text", ["virtualhosts", "VirtualHost", "virtualhost", "VIRTUALHOSTS"])
def test_kind_by_any_name(text: str) -> None:
    assert kind_by_plural(text) is PUBLIC_KINDS["VirtualHost"]


def test_plurals_are_distinct() -> None:
    plurals = [cls.plural for cls in PUBLIC_KINDS.values()]
    assert len(set(plurals)) == len(plurals)
    assert kind_by_plural("pods") is None


@pytest.mark.parametrize(
    ("text", "expected"), [("250ms", 250), ("1.5s", 1500), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0)]
)
def test_durations(text: str, expected: int) -> None:
    assert milliseconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "5 s", "-1s", "1d", "1.2345s", "s", "1s2s"])
def test_refused_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        milliseconds(text)


def test_status_ranges() -> None:
    assert status_range(204) == (204, 204)
    assert status_range("200-299") == (200, 299)
    for wrong in ("99", "299-200", "200-600", "2xx", "-200", "200-", ""):
        with pytest.raises(ValueError, match="is not a status code"):
            status_range(wrong)
