"""ACME challenges compiled: who answers for a name, and who does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.compile import Compilation, Compiler, compile_site
from isthmus.compile.acme import spare_pages
from isthmus.compile.intent import Listener, VirtualHost
from isthmus.model import KINDS, Certificate, Object, ObjectKey
from isthmus.model.acme import AcmeState, Challenge
from isthmus.model.object import System

SITE = ObjectKey("default", "Site", "", "fra")
NAME = "www.shop.example"


def make(kind: str, name: str, spec: dict[str, Any], namespace: str = "shop") -> Object:
    space = "" if KINDS[kind].tenant_wide else namespace
    document = {"kind": kind, "metadata": {"name": name, "namespace": space}, "spec": spec}
    return KINDS[kind].model_validate_json(json.dumps(document)).with_system(System(created=1, number=1))


def certificate(name: str, *tokens: str, namespace: str = "shop", kind: str = "HTTP_01", domain: str = NAME) -> Object:
    """One that is asked about."""
    found = make("Certificate", name, {"acme": {"domains": [domain], "termsOfServiceAgreed": True}}, namespace)
    assert isinstance(found, Certificate)
    asked = tuple(
        Challenge.model_validate({"type": kind, "domain": domain, "token": token, "answer": f"{token}.x"})
        for token in tokens
    )
    return found.with_acme(AcmeState(challenges=asked))


def plain(name: str, *domains: str, namespace: str = "shop", port: int = 80, **more: str) -> list[Object]:
    spec = {"domains": domains, "routes": [{"name": "all"}], "advertisePolicies": [{"name": f"plain-{port}"}]}
    return [
        make("VirtualHost", name, spec, namespace),
        make("AdvertisePolicy", f"plain-{port}", {"where": {"site": "fra"}, "port": port, **more}, namespace),
    ]


def stream(port: int = 80) -> list[Object]:
    """One virtual host of TCP, in another namespace."""
    policies = [{"name": "raw"}]
    return [
        make(
            "VirtualHost", "raw", {"proxy": "TCP", "routes": [{"name": "on"}], "advertisePolicies": policies}, "other"
        ),
        make("AdvertisePolicy", "raw", {"where": {"site": "fra"}, "port": port}, "other"),
        make("Route", "on", {"forward": {"clusters": [{"cluster": {"name": "web"}}]}}, "other"),
        make("Cluster", "web", {"endpoints": [{"name": "web"}]}, "other"),
    ]


def secure(certificates: list[str], *domains: str, address: str = "192.0.2.1", port: int = 443) -> list[Object]:
    spec = {
        "proxy": "HTTPS",
        "domains": domains or [NAME],
        "routes": [{"name": "all"}],
        "advertisePolicies": [{"name": "secure"}],
        "tls": {"certificates": [{"name": each} for each in certificates]},
    }
    policy = {"where": {"site": "fra"}, "port": port, "address": address}
    return [make("VirtualHost", "secure", spec), make("AdvertisePolicy", "secure", policy)]


def objects(*more: Object) -> dict[ObjectKey, Object]:
    site = make("Site", "fra", {"interfaces": [{"name": "eth0", "addresses": ["192.0.2.1"]}]})
    routes = [make("Route", "all", {"redirect": {"scheme": "https"}}, each) for each in ("shop", "other")]
    return {obj.key: obj for obj in (site, *routes, *more)}


def compiled(*more: Object) -> Compilation:
    return compile_site(objects(*more), SITE, "isthmus.example")


def listener(found: Compilation, socket: str) -> Listener:
    return next(each for each in found.intent.listeners if str(each.socket) == socket)


def tokens(host: VirtualHost) -> list[str]:
    return [each.token for each in host.challenges]


def test_the_virtual_hosts_that_a_name_leads_to_answer_and_others_do_not() -> None:
    found = compiled(
        certificate("a", "t"), *secure(["a"]), *plain("exact", NAME), *plain("any", "*"), *plain("else", "else.example")
    )
    hosts = listener(found, "192.0.2.1:80").virtual_hosts
    assert {host.key.name: tokens(host) for host in hosts} == {"exact": ["t"], "any": ["t"], "else": []}


def test_a_name_that_no_virtual_host_has_is_answered_by_one_of_its_own_whoever_asks() -> None:
    """Two certificates for one name are not two virtual hosts, which Envoy would refuse."""
    found = compiled(certificate("a", "t"), certificate("b", "u"), *secure(["a", "b"]), *plain("else", "else.example"))
    hosts = listener(found, "192.0.2.1:80").virtual_hosts
    assert {str(host.key): (host.domains, tokens(host)) for host in hosts} == {
        "default/VirtualHost/shop/else": (("else.example",), []),
        "default/Certificate/shop/a": ((NAME,), ["t", "u"]),
    }


def test_no_namespace_proves_what_another_has() -> None:
    found = compiled(certificate("a", "t"), *secure(["a"]), *plain("theirs", NAME, namespace="other"))
    (host,) = listener(found, "192.0.2.1:80").virtual_hosts
    assert (host.key.namespace, tokens(host)) == ("other", [])
    found = compiled(certificate("a", "t"), *secure(["a"]), *plain("theirs", "*", namespace="other"))
    (host,) = listener(found, "192.0.2.1:80").virtual_hosts
    assert tokens(host) == ["t"], "what any may claim is nobody's"
    found = compiled(certificate("a", "t", namespace="shared"), *plain("theirs", NAME, namespace="other"))
    (host,) = listener(found, "192.0.2.1:80").virtual_hosts
    assert tokens(host) == ["t"], "what is shared is everybody's"


def test_a_name_is_its_namespace_s_that_had_it_first_whatever_the_proxy() -> None:
    """One that serves it over TLS alone is not proven away through a wildcard, nor kept from its own certificate."""
    ours = certificate("a", "t")
    wild, policy = secure(["a"], "*.shop.example")
    theirs = make(
        "VirtualHost",
        "theirs",
        {"proxy": "TCP_SNI", "domains": [NAME], "routes": [{"name": "all"}], "advertisePolicies": [{"name": "sni"}]},
        "other",
    )
    sni = make("AdvertisePolicy", "sni", {"where": {"site": "fra"}, "port": 444}, "other")
    for kind in ("HTTP_01", "TLS_ALPN_01"):
        asked = certificate("a", "t", kind=kind)
        found = compiled(asked, wild, policy, theirs, sni)
        assert all(not each.challenges for each in found.intent.listeners)
        assert "192.0.2.1:80" not in {str(each.socket) for each in found.intent.listeners}
    first, policy = secure(["a"], NAME)
    later = theirs.with_system(System(created=2, number=1))
    (host,) = listener(compiled(ours, first, policy, later, sni), "192.0.2.1:80").virtual_hosts
    assert tokens(host) == ["t"]


def test_port_80_is_open_while_it_is_asked_and_only_then() -> None:
    compiler = Compiler(SITE, "isthmus.example")
    quiet = certificate("a")
    sockets = [str(each.socket) for each in compiler.update(objects(quiet, *secure(["a"]))).intent.listeners]
    assert sockets == [], "nothing to serve yet, and nothing to answer"
    found = compiler.update({quiet.key: certificate("a", "t")})
    assert [str(each.socket) for each in found.intent.listeners] == ["192.0.2.1:80"]
    (host,) = found.intent.listeners[0].virtual_hosts
    assert (host.domains, tokens(host)) == ((NAME,), ["t"])
    assert [each.code for each in found.diagnostics] == ["certificate-pending"]
    assert compiler.update({quiet.key: quiet}).intent.listeners == ()


def sockets(found: Compilation) -> dict[str, list[str]]:
    """The pages on each listener that is not for TLS or a stream."""
    return {
        str(each.socket): [token for host in each.virtual_hosts for token in tokens(host)]
        for each in found.intent.listeners
        if each.virtual_hosts
    }


def test_port_80_that_nothing_has_is_opened_beside_plaintext_on_other_ports_which_answer_too() -> None:
    compiler = Compiler(SITE, "isthmus.example")
    quiet, others = certificate("a"), plain("other", "*", port=8080)
    before = compiler.update(objects(quiet, *secure(["a"]), *others))
    assert sockets(before) == {"192.0.2.1:8080": []}
    found = compiler.update({quiet.key: certificate("a", "t")})
    assert sockets(found) == {"192.0.2.1:80": ["t"], "192.0.2.1:8080": ["t"]}
    assert [each.code for each in found.diagnostics] == ["certificate-pending"]
    opened = listener(found, "192.0.2.1:80")
    assert spare_pages(found.intent.listeners) == {opened.socket: (quiet.key,)}, (
        "who leads port 80 elsewhere may have it"
    )
    assert compiler.update({quiet.key: quiet}).intent.listeners == before.intent.listeners


def test_pages_of_an_address_are_on_its_own_port_80_and_needed_there() -> None:
    at = "192.0.2.7"
    found = compiled(certificate("a", "t"), *secure(["a"], address=at), *plain("other", "else.example", port=8080))
    assert sockets(found) == {"192.0.2.1:8080": ["t"], "192.0.2.7:80": ["t"]}
    assert spare_pages(found.intent.listeners) == {}, "no plaintext HTTP has that address"


@pytest.mark.parametrize("every", ["0.0.0.0", "192.0.2.1"])
def test_port_80_of_every_address_is_that_of_each(every: str) -> None:
    found = compiled(certificate("a", "t"), *secure(["a"]), *plain("other", "*", address=every))
    assert sockets(found) == {f"{every}:80": ["t"]}, "a listener of one address would take its clients from the others"


def told(found: Compilation) -> list[tuple[str, str, str, str]]:
    """Why pages are not answered where they are asked for."""
    return [
        (each.code, str(each.object), each.message, each.mend)
        for each in found.diagnostics
        if each.field == "spec.acme.challenge"
    ]


def test_port_80_that_is_something_else_is_told_with_who_has_it() -> None:
    found = compiled(certificate("a", "t"), *secure(["a"]), *stream())
    assert told(found) == [
        (
            "socket-in-use",
            "default/Certificate/shop/a",
            "192.0.2.1:80 is used by a virtual host of another namespace, not for plaintext HTTP: pages for "
            "Certificate shop/a are not served there",
            "set spec.acme.challenge to TLS_ALPN_01, or free the port",
        )
    ]
    ((code, owner, message, _),) = told(compiled(certificate("a", "t"), *secure(["a"], port=80)))
    assert (code, owner) == ("socket-in-use", "default/Certificate/shop/a")
    assert "192.0.2.1:80 is used by VirtualHost shop/secure" in message


def test_port_80_that_the_site_listens_on_for_others_is_told() -> None:
    fabric = {"addresses": [{"address": "192.0.2.1", "port": 80}]}
    interfaces = [{"name": "eth0", "addresses": ["192.0.2.1"]}]
    site = make("Site", "fra", {"interfaces": interfaces, "fabric": fabric})
    found = compiled(certificate("a", "t"), *secure(["a"]), site)
    assert found.intent.listeners == ()
    ((code, _, message, _),) = told(found)
    assert (code, "192.0.2.1:80 is used by the fabric of Site fra" in message) == ("socket-in-use", True)


def test_pages_on_other_ports_do_where_something_else_has_port_80() -> None:
    """Whatever is before the site may lead port 80 to one of those."""
    found = compiled(certificate("a", "t"), *secure(["a"]), *stream(), *plain("other", "*", port=8080))
    assert sockets(found) == {"192.0.2.1:8080": ["t"]}
    ((code, owner, message, mend),) = told(found)
    assert (code, owner) == ("pages-elsewhere", "default/Certificate/shop/a")
    assert "a virtual host of another namespace" in message
    assert "other/raw" not in message
    assert mend.startswith("lead port 80 to one")


def test_handshakes_have_a_chain_beside_that_of_the_virtual_host() -> None:
    asked = certificate("a", "t", kind="TLS_ALPN_01")
    found = listener(compiled(asked, *secure(["a"], "*.shop.example", "else.example")), "192.0.2.1:443")
    assert found.chains == (), "yet to be issued"
    (beside,) = found.challenges
    assert beside.server_names == ("*.shop.example", "else.example"), "Envoy looks at a name once"
    assert [each.domain for each in beside.challenges] == [NAME]
    assert compiled(asked, *secure(["a"], "else.example")).intent.listeners == (), "a name that is not served there"


def test_what_is_issued_is_served_beside_what_is_not(pki: Any) -> None:
    given = make("Certificate", "given", {"chainFile": "/a", "privateKeyFile": "/b"})
    (chain,) = listener(compiled(given, certificate("a"), *secure(["a", "given"])), "192.0.2.1:443").chains
    assert chain.terminate is not None
    assert chain.terminate.certificates == (given.key,)
