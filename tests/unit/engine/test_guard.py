"""What the guard lets through, and that it does not depend on how the bytes are cut."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.engine.gobgp.guard import Guard, GuardError

KEEPALIVE = b"\xff" * 16 + b"\0\x13\x04"
MEMBERSHIP = bytes([96]) + (64512).to_bytes(4) + b"\0\x02" + (64512).to_bytes(2) + (9).to_bytes(4)


def attribute(kind: int, value: bytes, *, extended: bool = False) -> bytes:
    length = len(value).to_bytes(2 if extended else 1)
    return bytes([0x90 if extended else 0x80, kind]) + length + value


def update(attributes: bytes, withdrawn: bytes = b"", routes: bytes = b"") -> bytes:
    body = len(withdrawn).to_bytes(2) + withdrawn + len(attributes).to_bytes(2) + attributes + routes
    return b"\xff" * 16 + (19 + len(body)).to_bytes(2) + b"\x02" + body


def reach(family: tuple[int, int], routes: bytes) -> bytes:
    return family[0].to_bytes(2) + bytes([family[1], 4]) + b"\x7f\0\0\1" + b"\0" + routes


def unreach(family: tuple[int, int], routes: bytes) -> bytes:
    return family[0].to_bytes(2) + bytes([family[1]]) + routes


GOOD = [
    KEEPALIVE,
    update(b""),
    update(attribute(14, reach((1, 132), MEMBERSHIP * 2))),
    update(attribute(14, reach((2, 128), b"\xd8" + b"\0" * 27), extended=True)),
    update(attribute(15, unreach((1, 132), b""))),
    update(attribute(1, b"\0") + attribute(15, unreach((2, 128), b""))),
]
BAD = [
    b"GET / HTTP/1.1\r\n\r\n  ",
    b"\xff" * 16 + b"\0\x12\x04",
    b"\xff" * 16 + b"\xff\xff\x02",
    update(attribute(14, reach((1, 132), b"\0"))),
    update(attribute(14, reach((1, 132), MEMBERSHIP + b"\0"))),
    update(attribute(15, unreach((1, 132), b"\0"))),
    update(attribute(14, reach((1, 132), MEMBERSHIP[:-1]))),
    update(attribute(14, reach((1, 1), b"\x08\x0a"))),
    update(b"", withdrawn=b"\x08\x0a"),
    update(b"", routes=b"\x08\x0a"),
    update(b"\x80"),
    update(b"\x80\x0e\x05\0"),
    update(attribute(14, b"\0")),
]


@given(st.lists(st.sampled_from(GOOD), max_size=6), st.lists(st.integers(0, 400)))
def test_good_messages_pass_unchanged_however_they_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    data = b"".join(messages)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    guard = Guard()
    passed = [guard.pass_on(data[a:b]) for a, b in itertools.pairwise(places)]
    assert b"".join(passed) == data


@pytest.mark.parametrize("message", BAD)
def test_bad_messages_do_not_pass(message: bytes) -> None:
    with pytest.raises(GuardError):
        Guard().pass_on(message)


@given(st.binary(max_size=200))
def test_arbitrary_updates_pass_or_are_refused(body: bytes) -> None:
    message = b"\xff" * 16 + (19 + len(body)).to_bytes(2) + b"\x02" + body
    guard = Guard()
    with contextlib.suppress(GuardError):
        assert guard.pass_on(message) == message
