"""Values are told from words by their form."""

from sys import getrefcount

import pytest

from isthmus.interface.segment import VARIABLE, Segment, parse_segment

UUIDS = [f"0190163d-8694-{version}39b-aea5-966c26f8ad91" for version in range(1, 9)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("7", "integer"),
        ("-12", "integer"),
        *((each, "uuid") for each in UUIDS),
        ("0190163D-8694-739B-AEA5-966C26F8AD91", "uuid"),
        ("3f2a9c1", "hash"),
        ("da39a3ee5e6b4b0d3255bfef95601890afd80709", "hash"),
        ("sha256:e3b0c44298fc1c149afbf4c8996fb924", "hash"),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "ulid"),
        ("2026-02-28", "date"),
        ("2026-02-28T10:00:00Z", "date-time"),
        ("jo@example.com", "email"),
        ("192.0.2.7", "address"),
        ("2001:db8::1", "address"),
        ("1.4.2", "version"),
        ("de-AT", "locale"),
        ("cus_9s6XKzkNRiz8i3", "token"),
        ("AC5ef8732a3c49700934481addd5ce1659", "token"),
        ("dGhpcyBpcyBhIHRlc3Q", "token"),
        ("two%20words", "text"),
        ("a,b", "text"),
        ("x" * 100, "text"),
    ],
)
def test_a_value_has_a_form(text: str, kind: str) -> None:
    assert (parse_segment(text).kind, parse_segment(text).label) == (kind, VARIABLE)


@pytest.mark.parametrize(
    "text",
    ["users", "v1", "v2beta1", "oauth2", "line_items", "getUserById", "deadbeef", "ipv4", "me", "well-known", "2fa"],
)
def test_a_word_has_none(text: str) -> None:
    assert (parse_segment(text).kind, parse_segment(text).label) == ("", text)


@pytest.mark.parametrize(
    ("text", "label"),
    [("42.json", "{}.json"), ("42:cancel", "{}:cancel"), ("AC5ef8732a3c49700934481addd5ce1659.json", "{}.json")],
)
def test_what_stands_beside_a_value_stays(text: str, label: str) -> None:
    assert parse_segment(text).label == label


def test_names_of_endpoints_look_more_like_names_than_names_of_people() -> None:
    assert parse_segment("orders").literalness > 1 > -0.5 > parse_segment("alice-smith").literalness
    assert parse_segment("shop17").literalness < 0.75


def test_a_slash_at_the_end_is_no_value() -> None:
    assert parse_segment("") == Segment("", "", 2.0)


def test_a_long_segment_is_kept_nowhere() -> None:
    text = bytearray(b"secret-" * 20).decode()
    held = getrefcount(text)
    assert parse_segment(text) == Segment(VARIABLE, "text", -2.0)
    assert getrefcount(text) == held
