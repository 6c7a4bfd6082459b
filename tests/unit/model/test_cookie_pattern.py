"""Expressions on a cookie stay within its value."""

import pytest
import re2

from isthmus.model.cookie_pattern import confine_pattern


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("b.*", "b-1", "b; c=1"),
        ("[^a]+", "bc", "b,c"),
        (r"\S+", "b", 'b"'),
        (r"\D\W", "b-", "b;"),
        ("(?s)(?:b|c).", "cd", "c "),
        ("[]b]+", "]b", "b\\\\"),
        (r"[\w.-]{1,3}", "a.b", "a;b"),
        ("(?i)B+", "bb", "b b"),
    ],
)
def test_confined(pattern: str, inside: str, outside: str) -> None:
    confined = confine_pattern(pattern)
    assert re2.fullmatch(confined, inside)
    assert not re2.fullmatch(confined, outside)
