"""From text to objects: what is accepted, and which sentence names object, field and mend of what is not."""

import json
from collections.abc import Mapping

import pytest
import yaml

from isthmus.model import PUBLIC_KINDS, Cluster, Endpoint, HealthCheck, ObjectKey, Route, Site, VirtualHost, VirtualSite
from isthmus.model.document import Parsed, decode_yaml, parse_documents, parse_yaml

AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBbzCCARWgAwIBAgIUErfk0tn+hHoz7Rs9/vCk/6WSeiUwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBeDAgFw0yNjExMjcyMDI5MTRaGA8yMTI2MTEwMzIwMjkxNFow
DDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABD2wwgaEL3Zm
s8wMIv2eZaVEroxEDqG1gvBLgQw/Y+n3D7Z+NFKWGxEFxb3B/sVBM13qmNrF+tuw
KbYecNAlWyOjUzBRMB0GA1UdDgQWBBT6iOfWBkiwYEnlzCOwKbfKih1c7zAfBgNV
HSMEGDAWgBT6iOfWBkiwYEnlzCOwKbfKih1c7zAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIEqOLA5sKsHqDA70IRmOPXVmjYTHK6x2nx44bL0BJl6c
AiEA7mA1jalW+j/h7eV33YEpzFetyhq2ZTeZwFFYCmlP6XA=
-----END CERTIFICATE-----
"""
MINIMAL: dict[str, Mapping[str, object]] = {
    "Namespace": {},
    "Region": {"address": "192.0.2.1"},
    "Network": {},
    "Site": {},
    "VirtualSite": {"selector": []},
    "VirtualHost": {"domains": ["shop.example"]},
    "Route": {"directResponse": {"status": 200}},
    "Cluster": {"endpoints": [{"name": "a"}]},
    "Endpoint": {"where": {"site": "fra"}, "address": "192.0.2.1", "port": 80},
    "HealthCheck": {"tcp": {}},
    "AdvertisePolicy": {"where": {"site": "fra"}},
    "TelemetryReceiver": {"where": {"site": "fra"}, "file": {"name": "requests.log"}},
    "ServiceDiscovery": {"where": {"site": "fra"}, "dns": {}},
    "Certificate": {"chainFile": "/etc/tls/x.pem", "privateKeyFile": "/etc/tls/x.key"},
    "TrustedAuthority": {"certificates": AUTHORITY},
    "Secret": {"value": "x"},
    "AlertReceiver": {"webhook": {"url": "https://hooks.example/alerts"}},
    "AlertPolicy": {"receivers": [{"name": "hook"}]},
}


def parse(kind: str, spec: object, **metadata: object) -> Parsed:
    return parse_documents(
        [{"apiVersion": "isthmus/v1", "kind": kind, "metadata": {"name": "x", **metadata}, "spec": spec}]
    )


def errors(parsed: Parsed) -> list[tuple[str, str]]:
    assert parsed.objects == ()
    return [(diagnostic.code, diagnostic.field) for diagnostic in parsed.diagnostics]


@pytest.mark.parametrize("kind", PUBLIC_KINDS)
def test_smallest_document_of_every_kind(kind: str) -> None:
    parsed = parse(kind, MINIMAL[kind])
    assert parsed.diagnostics == ()
    namespace = "" if PUBLIC_KINDS[kind].tenant_wide else "default"
    assert [obj.key for obj in parsed.objects] == [ObjectKey("default", kind, namespace, "x")]


@pytest.mark.parametrize("kind", PUBLIC_KINDS)
def test_unknown_field_of_every_kind(kind: str) -> None:
    parsed = parse(kind, {**MINIMAL[kind], "surprise": 1})
    assert errors(parsed) == [("unknown-field", "spec.surprise")]
    assert parsed.diagnostics[0].mend
    assert parsed.diagnostics[0].object == ObjectKey(
        "default", kind, "" if PUBLIC_KINDS[kind].tenant_wide else "default", "x"
    )


def test_defaults() -> None:
    (cluster,) = parse("Cluster", MINIMAL["Cluster"]).objects
    assert isinstance(cluster, Cluster)
    spec = cluster.spec
    assert (spec.load_balancing, spec.endpoint_selection, spec.connect_timeout) == ("ROUND_ROBIN", "DISTRIBUTED", "2s")
    assert spec.stale_after is None
    (route,) = parse("Route", {"forward": {"clusters": [{"cluster": {"name": "a"}}]}}).objects
    assert isinstance(route, Route)
    assert route.spec.forward is not None
    assert (route.spec.forward.timeout, route.spec.forward.retry.attempts) == ("30s", 2)
    (check,) = parse("HealthCheck", {"http": {}}).objects
    assert isinstance(check, HealthCheck)
    assert (check.spec.interval, check.spec.timeout, check.spec.unhealthy_threshold) == ("15s", "3s", 1)
    (site,) = parse("Site", {}).objects
    assert isinstance(site, Site)
    assert (site.spec.fabric.reachability, site.spec.drained) == ("direct", False)


def test_several_documents_and_empty_ones() -> None:
    text = "---\n---\napiVersion: isthmus/v1\nkind: Namespace\nmetadata: {name: a}\n---\n" + json.dumps(
        {"apiVersion": "isthmus/v1", "kind": "Namespace", "metadata": {"name": "b"}}
    )
    assert [obj.metadata.name for obj in parse_yaml(text).objects] == ["a", "b"]


def test_list_document_counts_as_its_items() -> None:
    item = {"apiVersion": "isthmus/v1", "kind": "Namespace", "metadata": {"name": "a"}}
    assert [obj.metadata.name for obj in parse_documents([{"kind": "List", "items": [item]}]).objects] == ["a"]


def test_what_get_adds_is_ignored() -> None:
    document = {
        "apiVersion": "isthmus/v1",
        "kind": "Site",
        "metadata": {"name": "x", "tenant": "default", "revision": 7, "created": "a", "updated": "b"},
        "spec": {},
        "system": {"created": 3, "number": 4},
        "status": {"sites": []},
    }
    (site,) = parse_documents([document]).objects
    assert (site.system.created, site.system.number) == (0, None)


def test_same_object_twice() -> None:
    document = {"apiVersion": "isthmus/v1", "kind": "Namespace", "metadata": {"name": "a"}}
    parsed = parse_documents([document, document])
    assert len(parsed.objects) == 1
    assert [d.code for d in parsed.diagnostics] == ["duplicate-object"]


def test_yaml_keeps_the_types_of_json() -> None:
    assert decode_yaml("{a: yes, b: on, c: 2020-01-01, d: true, e: 1, f: 1.5, g: null}") == [
        {"a": "yes", "b": "on", "c": "2020-01-01", "d": True, "e": 1, "f": 1.5, "g": None}
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\na: 2", "the key 'a' stands twice"),
        ("? [a]\n: b", "a key must be text"),
        ("a: [", "line 2"),
        ("\tb: c", "line 1"),
        ("!!python/object:os.system {}", "could not determine a constructor"),
        ("a: \ud800", "surrogates"),
        ("[" * 100_000, "nested deeper"),
    ],
)
def test_text_that_is_not_yaml(text: str, reason: str) -> None:
    parsed = parse_yaml(text, "shop.yaml")
    assert [d.code for d in parsed.diagnostics] == ["invalid-yaml"]
    assert parsed.diagnostics[0].message.startswith("shop.yaml: not valid YAML")
    assert reason in parsed.diagnostics[0].message


@pytest.mark.parametrize(
    ("document", "code", "field"),
    [
        ("text", "invalid-document", ""),
        (3, "invalid-document", ""),
        ([], "invalid-document", ""),
        ({"apiVersion": "isthmus/v1", "kind": "Pod", "metadata": {"name": "a"}}, "unknown-kind", "kind"),
        ({"apiVersion": "isthmus/v1", "kind": ["Site"]}, "unknown-kind", "kind"),
        ({"apiVersion": "isthmus/v1", "kind": "ClusterAccess", "metadata": {"name": "a"}}, "unknown-kind", "kind"),
        ({"apiVersion": "v1", "kind": "Site", "metadata": {"name": "a"}}, "wrong-api-version", "apiVersion"),
        ({"kind": "Site", "metadata": {"name": "a"}}, "wrong-api-version", "apiVersion"),
        ({"apiVersion": "isthmus/v1", "kind": "Site"}, "missing-field", "metadata.name"),
        ({"apiVersion": "isthmus/v1", "kind": "Site", "metadata": "a"}, "missing-field", "metadata.name"),
        (
            {"apiVersion": "isthmus/v1", "kind": "Site", "metadata": {"name": "a", "tenant": "b"}},
            "foreign-tenant",
            "metadata.tenant",
        ),
        (
            {"apiVersion": "isthmus/v1", "kind": "Site", "metadata": {"name": "a"}, "spec": {"x": {1, 2}}},
            "invalid-document",
            "",
        ),
    ],
)
def test_faulty_frame(document: object, code: str, field: str) -> None:
    assert errors(parse_documents([document])) == [(code, field)]


def test_endless_document() -> None:
    loop: dict[str, object] = {"apiVersion": "isthmus/v1", "kind": "Site", "metadata": {"name": "a"}}
    loop["spec"] = loop
    assert errors(parse_documents([loop])) == [("invalid-document", "")]


TO = {"clusters": [{"cluster": {"name": "a"}}]}


def test_all_errors_at_once() -> None:
    parsed = parse("Endpoint", {"where": {}, "address": "1.2.3", "port": "80", "weight": 0, "extra": 1})
    assert errors(parsed) == [
        ("invalid-value", "spec.where"),
        ("invalid-value", "spec.address"),
        ("invalid-value", "spec.port"),
        ("invalid-value", "spec.weight"),
        ("unknown-field", "spec.extra"),
    ]


def test_what_is_left_of_an_invalid_object_can_be_asked_for_its_references() -> None:
    parsed = parse("Route", {"forward": {**TO, "timeout": "soon"}, "extra": 1})
    assert errors(parsed) == [("invalid-value", "spec.forward.timeout"), ("unknown-field", "spec.extra")]
    (left,) = parsed.partial
    assert [use.target.name for use in left.uses()] == ["a"]


@pytest.mark.parametrize("spec", [{}, {"forward": {"clusters": [{"cluster": {"name": "A"}}, *TO["clusters"]]}}])
def test_of_what_cannot_do_without_its_faulty_fields_nothing_is_left(spec: dict[str, object]) -> None:
    parsed = parse("Route", spec)
    assert parsed.diagnostics
    assert parsed.partial == ()


def test_one_error_per_field() -> None:
    parsed = parse("HealthCheck", {"http": {"expectedStatuses": [True, 700, "299-200"]}}, namespace="BAD")
    assert errors(parsed) == [
        ("invalid-value", "metadata.namespace"),
        ("invalid-value", "spec.http.expectedStatuses[0]"),
        ("invalid-value", "spec.http.expectedStatuses[1]"),
        ("invalid-value", "spec.http.expectedStatuses[2]"),
    ]


def test_message_reads_as_a_sentence() -> None:
    (diagnostic,) = parse("Endpoint", {**MINIMAL["Endpoint"], "port": "80"}).diagnostics
    assert str(diagnostic) == (
        "Endpoint default/x: spec.port: must be a valid integer, not '80'; "
        "write a whole number without quotes [invalid-value]"
    )


@pytest.mark.parametrize(
    ("kind", "spec", "field"),
    [
        ("Site", {"location": {"latitude": 91, "longitude": 0}}, "spec.location.latitude"),
        ("Site", {"location": {"latitude": float("nan"), "longitude": 0}}, "spec.location.latitude"),
        ("Site", {"regions": ["eu", "eu"]}, "spec"),
        ("Site", {"regions": ["a", "b", "c"]}, "spec.regions"),
        ("Site", {"fabric": {"reachability": "inbound"}}, "spec.fabric.reachability"),
        ("Site", {"fabric": {"addresses": [{"address": "fra.example"}]}}, "spec.fabric.addresses[0].address"),
        ("Site", {"interfaces": [{"name": "a", "addresses": []}]}, "spec.interfaces[0].addresses"),
        ("Site", {"interfaces": [{"name": "a", "addresses": ["::1"]}] * 2}, "spec"),
        ("Region", {"address": "fe80::1%eth0"}, "spec.address"),
        ("Region", {"address": "192.0.2.1", "port": 65536}, "spec.port"),
        ("VirtualSite", {}, "spec.selector"),
        ("VirtualSite", {"selector": "tier=edge"}, "spec.selector"),
        ("VirtualSite", {"selector": ["tier in (edge"]}, "spec.selector[0]"),
        ("VirtualHost", {"domains": []}, "spec.domains"),
        ("VirtualHost", {"domains": ["a b"]}, "spec.domains[0]"),
        ("VirtualHost", {"domains": ["w*.example"]}, "spec.domains[0]"),
        ("VirtualHost", {"domains": ["shop.example:0"]}, "spec.domains[0]"),
        ("VirtualHost", {"domains": ["a.example", "A.example"]}, "spec"),
        ("VirtualHost", {"domains": ["a.example"], "proxy": "FTP"}, "spec.proxy"),
        ("VirtualHost", {"proxy": "TCP_SNI", "routes": [{"name": "a"}]}, "spec.domains"),
        ("VirtualHost", {"proxy": "TCP"}, "spec.routes"),
        ("VirtualHost", {"proxy": "UDP", "routes": [{"name": "a"}, {"name": "b"}]}, "spec.routes"),
        (
            "VirtualHost",
            {"domains": ["a.example"], "routes": [{"name": "a", "namespace": ""}]},
            "spec.routes[0].namespace",
        ),
        ("Route", {}, "spec"),
        ("Route", {"directResponse": {"status": 200}, "redirect": {"port": 1}}, "spec"),
        ("Route", {"directResponse": {"status": 100}}, "spec.directResponse.status"),
        ("Route", {"redirect": {}}, "spec.redirect"),
        ("Route", {"redirect": {"path": "/a", "prefix": "/b"}}, "spec.redirect"),
        ("Route", {"redirect": {"host": "a b"}}, "spec.redirect.host"),
        ("Route", {"redirect": {"host": "a", "code": 300}}, "spec.redirect.code"),
        ("Route", {"forward": {"clusters": []}}, "spec.forward.clusters"),
        ("Route", {"forward": {"clusters": [{"cluster": {"name": "a"}, "weight": 0}]}}, "spec.forward"),
        ("Route", {"forward": {**TO, "timeout": "30"}}, "spec.forward.timeout"),
        ("Route", {"forward": {**TO, "retry": {"on": ["teapot"]}}}, "spec.forward.retry.on[0]"),
        ("Route", {"forward": {**TO, "retry": {"perTryTimeout": "0s"}}}, "spec.forward.retry.perTryTimeout"),
        ("Route", {"forward": {**TO, "hashPolicy": [{}]}}, "spec.forward.hashPolicy[0]"),
        ("Route", {"forward": TO, "match": [{"path": {}}]}, "spec.match[0].path"),
        ("Route", {"forward": TO, "match": [{"path": {"prefix": "a"}}]}, "spec.match[0].path.prefix"),
        ("Route", {"forward": TO, "match": [{"path": {"regex": "("}}]}, "spec.match[0].path.regex"),
        ("Route", {"forward": TO, "match": [{"path": {"regex": "(?=a)"}}]}, "spec.match[0].path.regex"),
        ("Route", {"forward": TO, "match": [{"path": {"regex": "[^a]{900}|[^b]{900}"}}]}, "spec.match[0].path.regex"),
        ("Route", {"forward": TO, "match": [{"path": {"exact": "/a\nb"}}]}, "spec.match[0].path.exact"),
        ("Route", {"forward": {**TO, "prefixRewrite": "/a\r"}}, "spec.forward.prefixRewrite"),
        ("Route", {"forward": {**TO, "timeout": "9000h"}}, "spec.forward.timeout"),
        ("Route", {"forward": {**TO, "timeout": "99999999999999999999h"}}, "spec.forward.timeout"),
        ("HealthCheck", {"http": {"host": "a\nb"}}, "spec.http.host"),
        ("Route", {"forward": TO, "match": [{"methods": ["get"]}]}, "spec.match[0].methods[0]"),
        (
            "Route",
            {"forward": TO, "match": [{"headers": [{"name": "a b", "present": True}]}]},
            "spec.match[0].headers[0].name",
        ),
        (
            "Route",
            {"forward": TO, "match": [{"headers": [{"name": "X-Isthmus-Cluster", "present": True}]}]},
            "spec.match[0].headers[0].name",
        ),
        ("Route", {"forward": TO, "match": [{"headers": [{"name": "a"}]}]}, "spec.match[0].headers[0]"),
        (
            "Route",
            {"forward": TO, "match": [{"queryParameters": [{"name": "a", "exact": "b", "regex": "c"}]}]},
            "spec.match[0].queryParameters[0]",
        ),
        ("Route", {"forward": {**TO, "prefixRewrite": "/"}, "match": [{"path": {"regex": "/a"}}]}, "spec"),
        ("Cluster", {"endpoints": []}, "spec.endpoints"),
        ("Cluster", {"endpoints": [{"name": "a"}, {"name": "a"}]}, "spec"),
        ("Cluster", {"endpoints": [{"name": "a"}], "loadBalancing": "ring_hash"}, "spec.loadBalancing"),
        ("Cluster", {"endpoints": [{"name": "a"}], "staleAfter": "0s"}, "spec.staleAfter"),
        ("Endpoint", {**MINIMAL["Endpoint"], "port": 0}, "spec.port"),
        ("Endpoint", {**MINIMAL["Endpoint"], "port": True}, "spec.port"),
        ("Endpoint", {**MINIMAL["Endpoint"], "where": {"site": "a", "virtualSite": "b"}}, "spec.where"),
        ("HealthCheck", {}, "spec"),
        ("HealthCheck", {"http": {}, "tcp": {}}, "spec"),
        ("HealthCheck", {"http": {"path": "x"}}, "spec.http.path"),
        ("HealthCheck", {"tcp": {}, "interval": "15"}, "spec.interval"),
        ("HealthCheck", {"tcp": {}, "unhealthyThreshold": 0}, "spec.unhealthyThreshold"),
        ("AdvertisePolicy", {"where": {"site": "a", "network": "-"}}, "spec.where.network"),
        ("AdvertisePolicy", {"where": {}}, "spec.where"),
        ("AdvertisePolicy", {"where": {"public": True, "network": "outside"}}, "spec.where"),
        ("AdvertisePolicy", {"where": {"site": "a", "virtualSite": "b", "network": "inside"}}, "spec.where"),
    ],
)
def test_faulty_field(kind: str, spec: object, field: str) -> None:
    parsed = parse(kind, spec)
    assert [found for _, found in errors(parsed)] == [field]
    assert parsed.diagnostics[0].message


@pytest.mark.parametrize(
    ("kind", "spec", "field"),
    [("Site", {}, "metadata.namespace"), ("Cluster", MINIMAL["Cluster"], "")],
)
def test_namespace_and_scope(kind: str, spec: object, field: str) -> None:
    parsed = parse(kind, spec, namespace="shop")
    if field:
        assert "belongs to the whole tenant" in parsed.diagnostics[0].message
    else:
        assert parsed.objects[0].metadata.namespace == "shop"


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a.b", "a" * 64, 5, None])
def test_refused_names(name: object) -> None:
    assert errors(parse("Namespace", {}, name=name))[0][1] == "metadata.name"


def test_metadata_is_checked() -> None:
    parsed = parse("Site", {}, labels={"a b": "c"}, annotations={"a": 1}, description="x" * 1025, owner="me")
    assert {field for _, field in errors(parsed)} == {
        "metadata.labels",
        "metadata.annotations.a",
        "metadata.description",
        "metadata.owner",
    }


def test_values_are_normalised() -> None:
    (host,) = parse("VirtualHost", {"domains": ["*.Shop.EXAMPLE", "*", "a.example:8080"]}).objects
    assert isinstance(host, VirtualHost)
    assert host.spec.domains == ("*.shop.example", "*", "a.example:8080")
    (endpoint,) = parse("Endpoint", {**MINIMAL["Endpoint"], "address": "2001:DB8:0::1"}).objects
    assert isinstance(endpoint, Endpoint)
    assert endpoint.spec.address == "2001:db8::1"
    (group,) = parse("VirtualSite", {"selector": None}).objects
    assert isinstance(group, VirtualSite)
    assert group.spec.selector is None


def test_output_of_yaml_dump_is_input() -> None:
    document = {"apiVersion": "isthmus/v1", "kind": "Site", "metadata": {"name": "x", "labels": {"a": "on"}}}
    (site,) = parse_yaml(yaml.safe_dump(document)).objects
    assert site.metadata.labels == {"a": "on"}
