"""What of a plan Envoy may refuse without harm."""

from __future__ import annotations

from isthmus.compile.intent import Challenge, Intent, Listener, Socket, VirtualHost
from isthmus.engine.envoy import CLUSTER, LISTENER, Nack
from isthmus.model.key import ObjectKey
from isthmus.site.plan import Plan, excuse_pages, unexcused

CERTIFICATE = ObjectKey("default", "Certificate", "shop", "a")
PAGES = VirtualHost(
    CERTIFICATE, ("a.example",), (), challenges=(Challenge(CERTIFICATE, "a.example", "HTTP_01", "t", "t.x"),)
)
OTHER = VirtualHost(ObjectKey("default", "VirtualHost", "shop", "site"), ("*",), ())


def refusal(kind: str, name: str) -> Nack:
    return Nack(kind, name, "1", "cannot bind: Address already in use")


def plan(*listeners: Listener) -> Plan:
    return Plan(Intent("default", "fra", 1, listeners=listeners), (), {})


def test_port_80_for_pages_that_other_ports_of_the_address_have_too() -> None:
    pages = Listener(Socket("192.0.2.1", 80), virtual_hosts=(PAGES,))
    beside = Listener(Socket("192.0.2.1", 8080), virtual_hosts=(OTHER, PAGES))
    given = plan(pages, beside)
    told = excuse_pages(given, refusal(LISTENER, "ingress/192.0.2.1:80"))
    assert told is not None
    assert [(key, each.code) for key, each in told.items()] == [(CERTIFICATE, "pages-elsewhere")]
    assert "Address already in use; lead port 80 to one of those" in told[CERTIFICATE].message
    assert excuse_pages(given, refusal(LISTENER, "ingress/192.0.2.1:8080")) is None
    assert excuse_pages(given, refusal(CLUSTER, "ingress/192.0.2.1:80")) is None
    elsewhere = Listener(Socket("192.0.2.2", 8080), virtual_hosts=(OTHER,))
    assert excuse_pages(plan(pages, elsewhere), refusal(LISTENER, "ingress/192.0.2.1:80")) is None, "it is needed"


def test_what_is_excused_is_no_refusal_of_the_site() -> None:
    beside = Listener(Socket("192.0.2.1", 8080), virtual_hosts=(OTHER, PAGES))
    given = plan(Listener(Socket("192.0.2.1", 80), virtual_hosts=(PAGES,)), beside)
    pages, other = (refusal(LISTENER, f"ingress/192.0.2.1:{port}") for port in (80, 443))
    assert unexcused(given, (pages,)) == ()
    assert unexcused(given, (pages, other)) == (other,)
    assert unexcused(None, (pages,)) == (pages,), "nobody knows yet whose it is"
