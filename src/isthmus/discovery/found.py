"""What a service registry answers: servers, or an error."""

from dataclasses import dataclass

MAX_WEIGHT = 65_535
"""Largest weight that a registry may give (DNS SRV, RFC 2782; Consul's own limit)."""


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """One server that a registry knows.

    Attributes:
        address: IP address in its canonical form, as `ipaddress` writes it.
        port: 1 to 65535.
        weight: share of the requests among the servers of one answer, 1 to `MAX_WEIGHT`.
        labels: sorted by key, each key once; they feed endpoint subsets.
        healthy: False for a server that the registry lists as not ready. It is shown, and gets no request.
        priority: lower is used first; others only while none of it is healthy (DNS SRV).
    """

    address: str
    port: int
    weight: int = 1
    labels: tuple[tuple[str, str], ...] = ()
    healthy: bool = True
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source says about one query at one moment.

    Attributes:
        at: when the registry said so, Unix seconds.
        found: every server, sorted and distinct; empty when the registry says that there is none. None when it could
            not be asked or its answer not be understood: the last good answer then stays in use.
        error: why `found` is None, or why a good answer is not what it should be (for example that it is kept although
            the name is gone); for people, without secrets. Empty when all is well.
        grace: how long, in seconds, the servers of the last good answer stay in use though this one holds none.
    """

    at: float
    found: tuple[Found, ...] | None
    error: str = ""
    grace: float = 0.0


def good(at: float, found: frozenset[Found] | set[Found], warning: str = "") -> Answer:
    """An answer with servers, in order."""
    return Answer(at, tuple(sorted(found)), warning)


def failed(at: float, error: str) -> Answer:
    """An answer that leaves the last good one in use."""
    return Answer(at, None, error)
