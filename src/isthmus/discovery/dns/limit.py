"""How many answers over UDP go to one part of the Internet.

Whoever asks over UDP can write another's address as the sender, and have answers sent there that are larger than the
questions. So answers to each prefix are limited, as other authoritative servers do it: of the questions beyond, one in
some gets a short answer that says "ask over TCP", where nobody can lie about the sender, and the others none.
"""

import ipaddress
from collections import OrderedDict
from enum import Enum

RATE = 200.0
"""Answers a second to one prefix."""
BURST = 400.0
"""Answers at once to a prefix that has not asked for a while."""
SLIP = 2
"""Of the questions beyond, every one of so many is answered with "truncated"."""
PREFIXES = {4: 24, 6: 56}
"""Bits of an address, by IP version, that are one prefix."""
MOST = 20_000
"""Prefixes that are remembered; the one that has been silent longest is forgotten first, and starts anew."""


class Verdict(Enum):
    """What a question over UDP gets."""

    ANSWERED = "answered"
    TRUNCATED = "truncated"
    DROPPED = "dropped"


class Limit:
    """A bucket of answers for each prefix that has asked lately."""

    def __init__(self, rate: float = RATE, burst: float = BURST, most: int = MOST) -> None:
        self._rate, self._burst, self._most = rate, burst, most
        self._buckets: OrderedDict[bytes, tuple[float, float, int]] = OrderedDict()

    def judge(self, address: str, now: float) -> Verdict:
        """What the next question from an address gets. `now`: seconds of a clock that never goes back."""
        key = _prefix(address)
        left, at, beyond = self._buckets.pop(key, (self._burst, now, 0))
        left = min(self._burst, left + (now - at) * self._rate)
        if left >= 1:
            left, beyond, verdict = left - 1, 0, Verdict.ANSWERED
        else:
            beyond += 1
            verdict = Verdict.DROPPED if beyond % SLIP else Verdict.TRUNCATED
        self._buckets[key] = (left, now, beyond)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return verdict


def _prefix(address: str) -> bytes:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.packed[: PREFIXES[parsed.version] // 8]
