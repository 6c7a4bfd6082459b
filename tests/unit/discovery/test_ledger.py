"""The last good answers."""

from __future__ import annotations

import pytest

from isthmus.discovery.found import Answer, Found, failed, good
from isthmus.discovery.ledger import MAX_FOUND, Ledger, LedgerError, Lookup, parse_ledger
from isthmus.discovery.query import ConsulQuery, DnsQuery, KubernetesQuery
from isthmus.model.key import ObjectKey

REGISTRY = ObjectKey("default", "ServiceDiscovery", "shared", "dns")
WEB = Lookup(REGISTRY, DnsQuery("web.test", "A", 80))
ONE, TWO = Found("192.0.2.1", 80), Found("192.0.2.2", 80, 5, (("version", "2"),), False, 3)


def ledger(*lookups: Lookup) -> Ledger:
    found = Ledger()
    found.retain(lookups or (WEB,))
    return found


def test_an_error_leaves_the_last_good_answer() -> None:
    book = ledger()
    assert book.hear(WEB, good(100, {TWO, ONE}))
    assert not book.hear(WEB, good(110, {ONE, TWO}))
    assert not book.hear(WEB, failed(120, "SERVFAIL"))
    assert not book.hear(WEB, failed(130, "timeout"))
    entry = book.entries[WEB]
    assert (entry.found, entry.changed_at, entry.answered_at) == ((ONE, TWO), 100, 110)
    assert (entry.error, entry.error_since) == ("timeout", 120)
    assert not book.hear(WEB, good(140, {ONE, TWO}))
    assert (book.entries[WEB].error, book.entries[WEB].error_since) == ("", None)
    assert book.hear(WEB, good(150, set()))
    assert book.entries[WEB].found == ()


def test_servers_that_are_gone_outlive_it_for_the_grace() -> None:
    book = ledger()
    book.hear(WEB, good(100, {ONE}))
    assert not book.hear(WEB, Answer(200, (), "gone", 60))
    assert not book.hear(WEB, Answer(230, (), "gone", 60))
    assert book.due() == 260
    assert book.entries[WEB].found == (ONE,)
    assert book.expire(259) == []
    assert book.expire(260) == [WEB]
    assert (book.entries[WEB].found, book.due()) == ((), None)


def test_a_name_that_comes_back_ends_the_grace() -> None:
    book = ledger()
    book.hear(WEB, good(100, {ONE}))
    book.hear(WEB, Answer(200, (), "gone", 60))
    assert not book.hear(WEB, good(210, {ONE}))
    assert book.due() is None
    book.hear(WEB, Answer(300, (), "gone", 60))
    assert book.due() == 360


def test_a_late_answer_without_servers_ends_the_grace_itself() -> None:
    book = ledger()
    book.hear(WEB, good(100, {ONE}))
    book.hear(WEB, Answer(200, (), "gone", 60))
    assert book.hear(WEB, Answer(261, (), "gone", 60))
    assert book.entries[WEB].found == ()


def test_the_first_answer_counts_even_without_servers() -> None:
    book = ledger()
    assert not book.hear(WEB, failed(90, "no"))
    assert book.hear(WEB, Answer(100, (), "gone", 60))
    assert not book.hear(WEB, Answer(101, (), "gone", 60))


def test_what_is_not_asked_is_passed_over_and_forgotten() -> None:
    other = Lookup(None, DnsQuery("other.test", "A", 80))
    book = ledger(WEB)
    assert not book.hear(other, good(100, {ONE}))
    assert other not in book.entries
    book.hear(WEB, good(100, {ONE}))
    assert book.retain([other]) == [WEB]
    assert dict(book.entries) == {}


def test_too_many_servers_are_refused() -> None:
    book = ledger()
    many = {Found(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 80) for n in range(MAX_FOUND + 1)}
    assert not book.hear(WEB, good(100, many))
    assert book.entries[WEB].error == f"the answer holds {MAX_FOUND + 1} servers, more than {MAX_FOUND}"


def test_it_survives_a_restart() -> None:
    lookups = (
        WEB,
        Lookup(None, DnsQuery("_http._tcp.web.test", "SRV")),
        Lookup(REGISTRY, KubernetesQuery("shop", "web")),
        Lookup(REGISTRY, ConsulQuery("web", ("a", "b"))),
    )
    book = ledger(*lookups)
    for lookup in lookups[:3]:
        book.hear(lookup, good(100, {ONE, TWO}))
    book.hear(WEB, Answer(200, (), "gone", 60))
    book.hear(lookups[3], failed(100, "never answered"))
    again = parse_ledger(book.emit())
    assert again.entries.keys() == set(lookups[:3])
    assert again.entries[WEB].found == (ONE, TWO)
    assert again.due() == 260
    assert parse_ledger(again.emit()).entries == again.entries


def test_a_damaged_file() -> None:
    for data in (b"", b"{", b"[1]", b'[{"method":"DnsQuery"}]'):
        with pytest.raises(LedgerError):
            parse_ledger(data)
    assert (
        dict(
            parse_ledger(
                b'[{"method":"Later","found":[],"changedAt":1,"answeredAt":1,"goneSince":null,"grace":0}]'
            ).entries
        )
        == {}
    )
