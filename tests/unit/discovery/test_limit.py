"""Answers over UDP to one part of the Internet are limited; others do not feel it."""

import dns.flags
import dns.message
import pytest

from isthmus.discovery.dns.limit import Limit, Verdict
from isthmus.discovery.dns.zone import truncate_query


def test_beyond_the_burst_every_second_question_is_sent_to_tcp() -> None:
    limit = Limit(rate=10, burst=3)
    got = [limit.judge(f"192.0.2.{last}", 0.0) for last in range(7)]
    answered, truncated, dropped = Verdict.ANSWERED, Verdict.TRUNCATED, Verdict.DROPPED
    assert got == [answered] * 3 + [dropped, truncated, dropped, truncated]
    assert limit.judge("192.0.3.1", 0.0) is answered
    assert limit.judge("::ffff:192.0.2.9", 0.0) is dropped
    assert [limit.judge("192.0.2.1", 0.2) for _ in range(3)] == [answered, answered, dropped]


def test_of_ipv6_a_customers_network_is_one_prefix() -> None:
    limit = Limit(rate=1, burst=1)
    assert limit.judge("2001:db8:0:100::1", 0) is Verdict.ANSWERED
    assert limit.judge("2001:db8:0:1ff:ffff::1%eth0", 0) is Verdict.DROPPED
    assert limit.judge("2001:db8:0:200::1", 0) is Verdict.ANSWERED


def test_memory_is_bounded_whoever_is_claimed_to_ask() -> None:
    limit = Limit(rate=1, burst=1, most=2)
    for address in ("192.0.2.1", "198.51.100.1", "203.0.113.1"):
        assert limit.judge(address, 0) is Verdict.ANSWERED
    assert limit.judge("203.0.113.1", 0) is Verdict.DROPPED
    assert limit.judge("192.0.2.1", 0) is Verdict.ANSWERED


@pytest.mark.parametrize("edns", [False, True])
def test_a_truncated_answer_is_no_longer_than_the_question(edns: bool) -> None:
    query = dns.message.make_query("shop.apps.test", "AAAA", use_edns=edns, want_dnssec=edns)
    wire = query.to_wire()
    answer = truncate_query(wire)
    assert answer is not None
    assert len(answer) <= len(wire)
    parsed = dns.message.from_wire(answer)
    assert parsed.flags & dns.flags.TC
    assert (parsed.id, parsed.question, parsed.answer) == (query.id, query.question, [])


@pytest.mark.parametrize("change", [slice(0, 11), slice(0, 20), slice(0, -1)])
def test_no_answer_to_a_piece_of_a_question(change: slice) -> None:
    assert truncate_query(dns.message.make_query("shop.apps.test", "A", use_edns=False).to_wire()[change]) is None


def test_no_answer_to_an_answer() -> None:
    query = dns.message.make_query("shop.apps.test", "A")
    assert truncate_query(dns.message.make_response(query).to_wire()) is None
