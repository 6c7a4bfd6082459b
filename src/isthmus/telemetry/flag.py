"""Response flags in words, and the class of a failure that follows from them and the status.

The flags are those of `envoy.data.accesslog.v3.ResponseFlags`, by field number.
"""

_WORDS = {
    1: "local health check failed",
    2: "no healthy endpoint",
    3: "request timed out",
    4: "reset locally",
    5: "reset by the endpoint",
    6: "connection failed",
    7: "connection ended by the endpoint",
    8: "circuit breaker open",
    9: "no route",
    10: "delayed by rule",
    11: "failed by rule",
    12: "rate limited",
    13: "not allowed",
    14: "rate limit service failed",
    15: "client went away",
    16: "retries used up",
    17: "stream idle for too long",
    18: "invalid request headers",
    19: "client broke the protocol",
    20: "stream lasted too long",
    21: "from the cache",
    22: "filter has no configuration",
    23: "connection lasted too long",
    24: "endpoint broke the protocol",
    25: "no such cluster",
    26: "overloaded",
    27: "name not resolved",
    28: "reset by the client",
}
_CLASSES = (
    ("client-gone", (15, 28)),
    ("denied", (12, 13)),
    ("no-route", (9, 25)),
    ("unreachable", (2, 6, 27)),
    ("overload", (8, 26)),
    ("timeout", (3, 17, 20, 23)),
    ("reset", (4, 5, 7, 24)),
    ("injected", (11,)),
    ("bad-request", (18, 19)),
)
USUAL_END = frozenset((17,))
"""How every session of UDP ends: nothing passes any more."""
ERRORS = (*(name for name, _ in _CLASSES), "client-error", "server-error")
"""Every class of failure; an empty text is none. `client-error` and `server-error` are an application's own answers."""
CLIENT_ERRORS = ("client-gone", "denied", "no-route", "bad-request", "client-error")
"""Failures that the client brought about. All others count as errors of the service."""


def parse_flags(message: bytes) -> frozenset[int]:
    """The numbers of the flags that are set in a serialized `ResponseFlags`."""
    found, position = set(), 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        value, position = _varint(message, position)
        if kind == 2:  # `unauthorized_details` is a message: that it is there is the flag
            position += value
            found.add(number)
        elif value:
            found.add(number)
    return frozenset(found)


def words_of(flags: frozenset[int]) -> str:
    """Flags in words, comma-separated, in the order of their numbers."""
    return ", ".join(_WORDS[number] for number in sorted(flags) if number in _WORDS)


def class_of(flags: frozenset[int], code: int) -> str:
    """The class of a failure: what Envoy says went wrong, else what the status says; empty for none.

    A retry that succeeded is no failure, though its flags tell of the first try.
    """
    if code and code < 400 and not flags & {15, 28}:
        return ""
    for name, members in _CLASSES:
        if flags.intersection(members):
            return name
    if 400 <= code < 500:
        return "client-error"
    return "server-error" if code >= 500 else ""


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Raises IndexError at the end of the message."""
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
