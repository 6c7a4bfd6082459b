"""Silences: which alerts they are of, and which can be meant."""

from __future__ import annotations

import pytest

from isthmus.alert.alert import Condition
from isthmus.alert.silence import Silence, SilenceInvalid, check_silence, find_silence, parse_matcher

WEB = Condition("endpoint-down", "Site fra: web-1", "web-1 is unhealthy", "fra", "shop")


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("site=fra", True),
        ('site="fra"', True),
        ("site!=fra", False),
        ("site=fr", False),
        ("site=~fr", False),
        ("site=~fr.*", True),
        ("site!~ams|nyc", True),
        ("object=", True),
        ("subject=Site fra: web-1", True),
        ("alertname=~.*=.*", False),
    ],
)
def test_matchers(text: str, matches: bool) -> None:
    matcher = parse_matcher(text)
    assert matcher.matches(WEB.labels) is matches
    assert parse_matcher(str(matcher)) == matcher


@pytest.mark.parametrize("text", ["", "site", "colour=red", "site=~(", "=fra", "site~fra", "site=" + "x" * 2000])
def test_what_is_no_matcher(text: str) -> None:
    with pytest.raises(SilenceInvalid):
        parse_matcher(text)


def silence(*matchers: str, starts: float = 0, ends: float = 100, comment: str = "work") -> Silence:
    return Silence("s", tuple(map(parse_matcher, matchers)), starts, ends, "me", comment)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (silence(), "at least one matcher"),
        (silence("site=~.*"), "Every alert"),
        (silence("site!=fra"), "Every alert"),
        (silence("site=fra", ends=0), "in the past"),
        (silence("site=fra", starts=100), "after it has begun"),
        (silence("site=fra", comment=" "), "comment"),
    ],
)
def test_what_is_no_silence(made: Silence, message: str) -> None:
    with pytest.raises(SilenceInvalid, match=message):
        check_silence(made, 10)


def test_a_silence_counts_from_its_beginning_to_its_end() -> None:
    made = silence("site=fra", "alertname!=lag", starts=10, ends=20)
    assert [made.state(now) for now in (9, 10, 20)] == ["pending", "active", "expired"]
    assert [find_silence(WEB, [made], now) for now in (9, 10, 20)] == [None, made, None]
    longer = silence("namespace=shop", starts=0, ends=30)
    assert find_silence(WEB, [longer, made], 15) == longer
