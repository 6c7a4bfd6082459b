"""The responder's answers: what a delegated zone holds, and what it says to nonsense."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.discovery.dns.zone import PAYLOAD, answer_query, make_zone
from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import DnsDelegation, Server
from isthmus.model.key import ObjectKey

HOST = ObjectKey("default", "VirtualHost", "shop", "web")
DELEGATION = DnsDelegation(
    zone="apps.example.net",
    listen=(Server("192.0.2.53", 53), Server("2001:db8::53", 53)),
    name_servers=("ns.apps.example.net", "ns2.example.net"),
    host_master="hostmaster.apps.example.net",
    ttl=30_000,
    negative_ttl=10_000,
)


def record(domain: str, *addresses: str, port: int = 80) -> VipRecord:
    return VipRecord(domain, port, addresses, "outside", HOST)


MANY = tuple(f"198.51.{index // 200}.{1 + index % 200}" for index in range(600))
ZONE = make_zone(
    DELEGATION,
    [
        record("shop.apps.example.net", "192.0.2.1", "2001:db8::1"),
        record("shop.apps.example.net", "192.0.2.2", port=443),
        record("*.wild.apps.example.net", "192.0.2.3"),
        record("real.wild.apps.example.net", "192.0.2.4"),
        record("a.b.c.apps.example.net", "192.0.2.5"),
        record("many.apps.example.net", *MANY),
        record("elsewhere.example.org", "192.0.2.6"),
    ],
    serial=7,
)


def ask(name: str, record: str, *, udp: bool = True, edns: int | None = 0, payload: int = 1232) -> dns.message.Message:
    query = dns.message.make_query(name, record, use_edns=edns if edns is not None else False, payload=payload)
    wire = answer_query([ZONE], query.to_wire(), udp=udp)
    assert wire is not None
    response = dns.message.from_wire(wire)
    assert query.is_response(response)
    return response


def texts(rrsets: list) -> set[str]:
    return {item.to_text() for rrset in rrsets for item in rrset}


def test_addresses_of_all_ports_are_one_set() -> None:
    response = ask("shop.apps.example.net", "A")
    assert response.rcode() == dns.rcode.NOERROR
    assert response.flags & dns.flags.AA
    assert not response.flags & dns.flags.RA
    assert texts(response.answer) == {"192.0.2.1", "192.0.2.2"}
    assert response.answer[0].ttl == 30
    assert texts(ask("shop.apps.example.net", "AAAA").answer) == {"2001:db8::1"}


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("x.wild.apps.example.net", {"192.0.2.3"}),
        ("x.y.wild.apps.example.net", {"192.0.2.3"}),
        ("real.wild.apps.example.net", {"192.0.2.4"}),
        ("x.real.wild.apps.example.net", None),
        ("wild.apps.example.net", set()),
        ("b.c.apps.example.net", set()),
        ("x.c.apps.example.net", None),
        ("nothing.apps.example.net", None),
        ("ns.apps.example.net", {"192.0.2.53"}),
    ],
)
def test_names_wildcards_and_gaps(name: str, addresses: set[str] | None) -> None:
    """A wildcard covers what has no closer ancestor; a name in between exists without records (RFC 4592)."""
    response = ask(name, "A")
    assert response.rcode() == (dns.rcode.NXDOMAIN if addresses is None else dns.rcode.NOERROR)
    assert texts(response.answer) == (addresses or set())
    if not addresses:
        (soa,) = response.authority
        assert (soa.rdtype, soa.ttl, soa[0].minimum, soa[0].serial) == (dns.rdatatype.SOA, 10, 10, 7)


def test_apex() -> None:
    assert texts(ask("apps.example.net", "NS").answer) == {"ns.apps.example.net.", "ns2.example.net."}
    assert texts(ask("apps.example.net", "NS").additional) == {"192.0.2.53", "2001:db8::53"}
    assert ask("apps.example.net", "SOA").answer[0][0].mname.to_text() == "ns.apps.example.net."
    assert ask("apps.example.net", "A").rcode() == dns.rcode.NOERROR


def test_the_question_comes_back_as_it_was_written() -> None:
    query = dns.message.make_query("sHoP.aPPs.eXAMple.NET", "A")
    wire = answer_query([ZONE], query.to_wire(), udp=True)
    assert wire is not None
    assert b"\x04sHoP\x04aPPs\x07eXAMple\x03NET\x00" in wire
    assert dns.message.from_wire(wire).answer[0].name.labels[0] == b"sHoP"


def test_only_its_zones_and_no_transfer() -> None:
    for name, kind in (("example.net", "A"), ("elsewhere.example.org", "A"), (".", "NS"), ("apps.example.net", "AXFR")):
        response = ask(name, kind)
        assert (response.rcode(), response.answer) == (dns.rcode.REFUSED, [])


def test_any_is_answered_with_one_set() -> None:
    assert len(ask("shop.apps.example.net", "ANY").answer) == 1


def test_truncation_by_size() -> None:
    """Without EDNS 512 bytes, with it what the asker allows, but never more than passes everywhere."""
    for edns, payload, most in ((None, 0, 512), (0, 600, 600), (0, 65535, PAYLOAD)):
        query = dns.message.make_query(
            "many.apps.example.net", "A", use_edns=False if edns is None else edns, payload=payload
        )
        wire = answer_query([ZONE], query.to_wire(), udp=True)
        assert wire is not None
        assert len(wire) <= most
        assert dns.message.from_wire(wire).flags & dns.flags.TC
    assert texts(ask("many.apps.example.net", "A", udp=False).answer) == set(MANY)


def test_the_longest_of_two_zones_answers() -> None:
    inner = make_zone(
        DnsDelegation("c.apps.example.net", (), ("ns.example.org",), "h.example.org", 1000, 1000),
        [record("x.c.apps.example.net", "192.0.2.9")],
        serial=1,
    )
    query = dns.message.make_query("x.c.apps.example.net", "A").to_wire()
    for zones in ([ZONE, inner], [inner, ZONE]):
        wire = answer_query(zones, query, udp=True)
        assert wire is not None
        assert texts(dns.message.from_wire(wire).answer) == {"192.0.2.9"}


def rcode_of(wire: bytes | None) -> int:
    assert wire is not None
    return dns.message.from_wire(wire).rcode()


def test_what_is_not_a_plain_query() -> None:
    query = dns.message.make_query("shop.apps.example.net", "A")
    update = dns.update.UpdateMessage("apps.example.net")
    update.add("x", 1, "A", "192.0.2.1")
    assert rcode_of(answer_query([ZONE], update.to_wire(), udp=True)) == dns.rcode.NOTIMP
    newer = dns.message.make_query("shop.apps.example.net", "A", use_edns=1)
    assert rcode_of(answer_query([ZONE], newer.to_wire(), udp=True)) == dns.rcode.BADVERS
    two = dns.message.make_query("shop.apps.example.net", "A")
    two.question.append(dns.message.make_query("real.wild.apps.example.net", "A").question[0])
    assert rcode_of(answer_query([ZONE], two.to_wire(), udp=True)) == dns.rcode.FORMERR
    signed = dns.message.make_query("shop.apps.example.net", "A")
    signed.use_tsig(dns.tsig.Key("k", b"secret"))
    assert rcode_of(answer_query([ZONE], signed.to_wire(), udp=True)) == dns.rcode.NOTAUTH
    chaos = dns.message.make_query("shop.apps.example.net", "TXT", rdclass="CH")
    assert rcode_of(answer_query([ZONE], chaos.to_wire(), udp=True)) == dns.rcode.REFUSED
    answer = dns.message.make_response(query).to_wire()
    assert answer_query([ZONE], answer, udp=True) is None
    assert answer_query([ZONE], query.to_wire()[:11], udp=True) is None


def check(wire: bytes, answer: bytes | None) -> None:
    """No answer to an answer; any other answer can be read, belongs to the question and is small."""
    if len(wire) < 12 or wire[2] & 0x80:
        assert answer is None
        return
    assert answer is not None
    response = dns.message.from_wire(answer)
    assert response.flags & dns.flags.QR
    assert answer[:2] == wire[:2]
    assert len(answer) <= PAYLOAD
    if response.rcode() in (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.REFUSED, dns.rcode.NOTAUTH):
        assert not response.answer
        assert len(answer) <= max(len(wire), 12) + 11  # an OPT record at most


GOOD = [
    dns.message.make_query(name, kind, use_edns=edns).to_wire()
    for name in ("shop.apps.example.net", "many.apps.example.net", "x.wild.apps.example.net", "example.net")
    for kind in ("A", "ANY", "SOA")
    for edns in (False, 0)
]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_get_a_small_readable_answer_or_none(wire: bytes) -> None:
    check(wire, answer_query([ZONE], wire, udp=True))


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=6),
    st.integers(0, 80),
    st.binary(max_size=20),
)
def test_damaged_queries_get_a_small_readable_answer_or_none(
    wire: bytes, changes: list[tuple[int, int]], cut: int, tail: bytes
) -> None:
    damaged = bytearray(wire)
    for place, value in changes:
        if place < len(damaged):
            damaged[place] = value
    data = bytes(damaged[: max(0, len(damaged) - cut)]) + tail
    check(data, answer_query([ZONE], data, udp=True))
