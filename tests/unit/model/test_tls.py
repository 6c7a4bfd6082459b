"""TLS parameters as people write them, and virtual hosts that cannot be served with them."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.model import System
from isthmus.model.document import parse_documents
from isthmus.model.validation import validate

WEB = {"certificates": [{"name": "web"}]}


def document(kind: str, name: str, spec: Any) -> dict[str, Any]:
    namespace = {} if kind == "Site" else {"namespace": "default"}
    return {"apiVersion": "isthmus/v1", "kind": kind, "metadata": {"name": name, **namespace}, "spec": spec}


def host(**spec: Any) -> dict[str, Any]:
    return document("VirtualHost", "shop", {"domains": ["shop.example"], "proxy": "HTTPS", **spec})


def certificate(name: str, issued: Any) -> dict[str, Any]:
    return document("Certificate", name, {"chain": issued.chain, "privateKey": issued.private_key})


def found(*documents: dict[str, Any]) -> list[tuple[str, str]]:
    parsed = parse_documents(documents)
    assert not parsed.diagnostics, parsed.diagnostics
    return [(each.code, each.field) for each in validate({obj.key: obj for obj in parsed.objects})]


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ({"minVersion": "TLSv1.3", "maxVersion": "TLSv1.2"}, "minVersion is newer than maxVersion"),
        ({"minVersion": "TLSv1.1"}, "versions before TLSv1.2 need cipherSuites that they know"),
        ({"minVersion": "TLSv1.3", "cipherSuites": ["AES128-SHA"]}, "the suites of TLSv1.3 cannot be chosen"),
        ({"cipherSuites": ["AES128-SHA", "AES128-SHA"]}, "the same suite stands twice"),
        ({"cipherSuites": ["TLS_AES_128_GCM_SHA256"]}, "must be 'ECDHE-ECDSA-AES128-GCM-SHA256', "),
        ({"clientCertificates": {"mode": "optional"}}, "required field is missing"),
        ({"certificates": []}, "must have at least 1 item"),
        (
            {"http3": True, "clientCertificates": {"trustedAuthority": {"name": "staff"}}},
            "Envoy asks no client for a certificate over HTTP/3",
        ),
        ({"http3": True, "maxVersion": "TLSv1.2"}, "HTTP/3 speaks TLSv1.3 alone"),
    ],
)
def test_parameters_that_cannot_work_are_refused(tls: dict[str, Any], message: str) -> None:
    (diagnostic,) = parse_documents([host(tls={**WEB, **tls})]).diagnostics
    assert message in diagnostic.message
    assert diagnostic.field.startswith("spec.tls")


def test_old_versions_come_with_old_suites() -> None:
    tls = {**WEB, "minVersion": "TLSv1.0", "cipherSuites": ["ECDHE-RSA-AES128-SHA"]}
    assert not parse_documents([host(tls=tls)]).diagnostics


def test_only_https_terminates() -> None:
    (diagnostic,) = parse_documents([host(proxy="HTTP", tls=WEB)]).diagnostics
    assert "a virtual host of type HTTP terminates no TLS" in diagnostic.message


def test_a_certificate_must_be_for_the_domains(pki: Any) -> None:
    web, region = (
        certificate("web", pki.issue("shop.example", "*.a.example")),
        certificate("cn", pki.issue("b.example")),
    )
    domains = ["shop.example", "shop.example:8443", "x.a.example", "*.a.example", "*", "b.example", "y.x.a.example"]
    assert found(host(domains=domains, tls=WEB), web) == [
        ("uncovered-domain", "spec.domains[5]"),
        ("uncovered-domain", "spec.domains[6]"),
    ]
    both = {"certificates": [{"name": "web"}, {"name": "cn"}]}
    assert found(host(domains=domains[:6], tls=both), web, region) == []
    files = document("Certificate", "web", {"chainFile": "/a", "privateKeyFile": "/b"})
    assert found(host(domains=domains, tls=WEB), files) == [], "what is in files is known at the sites alone"


def test_what_the_policy_says_holds_in_its_place(pki: Any) -> None:
    site = document("Site", "fra", {"interfaces": [{"name": "eth0", "addresses": ["192.0.2.1"]}]})
    web, other = certificate("web", pki.issue("shop.example")), certificate("cn", pki.issue("other.example"))

    def policy(name: str, **spec: Any) -> dict[str, Any]:
        return document("AdvertisePolicy", name, {"where": {"site": "fra"}, "port": 443, **spec})

    def at(*policies: str, **spec: Any) -> dict[str, Any]:
        return host(advertisePolicies=[{"name": name} for name in policies], **spec)

    china = policy("china", port=8443, tls={"certificates": [{"name": "cn"}]})
    assert found(site, web, other, policy("in"), at("in", tls=WEB)) == []
    assert found(site, web, other, policy("in"), at("in")) == [("missing-tls", "spec.tls")]
    assert found(site, web, other, china, at("china")) == [("uncovered-domain", "spec.domains[0]")]
    assert found(site, web, other, china, policy("in"), at("in", "china", tls=WEB)) == [
        ("uncovered-domain", "spec.domains[0]")
    ]
    right = policy("china", tls=WEB)
    assert found(site, web, other, right, at("china", tls={"certificates": [{"name": "cn"}]})) == [], "it replaces all"


def test_references_are_looked_up_where_they_are_written(pki: Any) -> None:
    assert found(host(tls=WEB)) == [("dangling-reference", "spec.tls.certificates[0]")]
    tls = {**WEB, "clientCertificates": {"trustedAuthority": {"name": "staff"}}}
    assert found(host(tls=tls), certificate("web", pki.issue("shop.example"))) == [
        ("dangling-reference", "spec.tls.clientCertificates.trustedAuthority")
    ]


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ({}, "nothing says whom the endpoint's certificate must be for; set sni or subjectNames"),
        ({"sni": "10.0.0.1"}, "sni must be a host name"),
        ({"sni": "a b"}, "'a b' is not a host name or IP address"),
        ({"verify": False, "subjectNames": ["a.example"]}, "mean nothing with verify: false"),
        ({"verify": False, "trustedAuthority": {"name": "a"}}, "mean nothing with verify: false"),
        ({"sni": "a.example", "minVersion": "TLSv1.0"}, "need cipherSuites that they know"),
    ],
)
def test_towards_endpoints_too(tls: dict[str, Any], message: str) -> None:
    (diagnostic,) = parse_documents(
        [document("Cluster", "web", {"endpoints": [{"name": "a"}], "tls": tls})]
    ).diagnostics
    assert message in diagnostic.message


def test_the_protocol_is_agreed_on_in_tls_alone() -> None:
    spec = {"endpoints": [{"name": "a"}], "protocol": "AUTO"}
    assert parse_documents([document("Cluster", "web", spec)]).diagnostics
    assert not parse_documents([document("Cluster", "web", spec | {"tls": {"verify": False}})]).diagnostics


@pytest.mark.parametrize("owner", ["host", "policy"])
def test_http3_and_datagrams_want_one_port(pki: Any, owner: str) -> None:
    """Whoever comes later is refused, and the other one named; without HTTP/3 both can be there."""
    quic = {**WEB, "http3": True}
    site = document("Site", "ams", {"interfaces": [{"name": "eth0", "addresses": ["192.0.2.1"]}]})
    policy = {"where": {"site": "ams"}, "port": 443}
    shared = [site, document("AdvertisePolicy", "plain", policy), certificate("web", pki.issue("shop.example"))]
    end = {"where": {"site": "ams"}, "address": "192.0.2.9", "port": 53, "protocol": "UDP"}
    shared += [
        document("AdvertisePolicy", "quic", {**policy, "tls": quic}),
        document("Endpoint", "dns", end),
        document("Cluster", "dns", {"endpoints": [{"name": "dns"}]}),
        document("Route", "dns", {"forward": {"clusters": [{"cluster": {"name": "dns"}}]}}),
    ]
    web = host(
        tls=WEB if owner == "policy" else quic, advertisePolicies=[{"name": "quic" if owner == "policy" else "plain"}]
    )
    without = host(tls=WEB, advertisePolicies=[{"name": "plain"}])
    fields = {"proxy": "UDP", "routes": [{"name": "dns"}], "advertisePolicies": [{"name": "plain"}]}
    names = document("VirtualHost", "names", fields)
    for first, second, words in (
        (web, names, "VirtualHost default/shop for HTTP/3, and a virtual host of type UDP cannot"),
        (names, web, "VirtualHost default/names for a virtual host of type UDP, and HTTP/3 cannot"),
    ):
        parsed = parse_documents([*shared, first, second])
        known = {obj.key: obj.with_system(System(created=at)) for at, obj in enumerate(parsed.objects, 1)}
        (diagnostic,) = validate(known)
        assert (diagnostic.code, diagnostic.field) == ("overlapping-socket", "spec.advertisePolicies")
        assert diagnostic.object is not None
        assert diagnostic.object.name == second["metadata"]["name"]
        assert f"Site ams 192.0.2.1 UDP port 443 is already used by {words}" in diagnostic.message
    assert found(*shared, without, names) == []
