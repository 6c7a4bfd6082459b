"""What is known of one endpoint: how often it was asked, what it answered, how fast, how much, and by whom."""

from dataclasses import dataclass, field
from typing import NamedTuple

from isthmus.interface.histogram import Histogram

CREDENTIALS = ("header", "certificate", "none")
"""How a client said who it is: by a header, by its certificate, or not at all."""
MOST_CODES = 40
MOST_NAMES = 32
"""Names of query parameters that an endpoint is known to have."""
MOST_PEERS = 16
"""Clients, and clusters, that are told apart; those that come later are one."""
OTHER = "other"


class Call(NamedTuple):
    """One request, or `weight` requests like it.

    Attributes:
        path: as the client sent it, with its query.
        code: status of the answer; 0 for none.
        client, cluster: who asked, and who answered; empty where unknown.
        credential: one of CREDENTIALS.
        at: seconds since 1970.
        latency: bucket of the microseconds from first byte in to last byte out.
        received, sent: buckets of the bytes of bodies.
    """

    method: str
    path: str
    code: int
    client: str
    cluster: str
    credential: str
    at: float
    latency: int
    received: int
    sent: int
    weight: float = 1.0


class Tally:
    """Requests, their outcomes and how long they took (microseconds)."""

    __slots__ = ("codes", "latency", "requests")

    def __init__(self) -> None:
        self.requests = 0.0
        self.codes: dict[int, float] = {}
        self.latency = Histogram()

    def add(self, call: Call) -> None:
        """Count a request."""
        weight, code = call.weight, call.code
        self.requests += weight
        if code in self.codes:
            self.codes[code] += weight
        else:
            self._add_code(code, weight)
        self.latency.add(call.latency, weight)

    def merge(self, other: "Tally") -> None:
        """Add another's counts."""
        self.requests += other.requests
        for code, weight in other.codes.items():
            self._add_code(code, weight)
        self.latency.merge(other.latency)

    def _add_code(self, code: int, weight: float) -> None:
        codes = self.codes
        if code not in codes and len(codes) >= MOST_CODES:
            code = code // 100 * 100
        codes[code] = codes.get(code, 0.0) + weight

    @property
    def errors(self) -> float:
        """Answers from 500 on, and none at all."""
        return sum(weight for code, weight in self.codes.items() if code >= 500 or code == 0)

    @property
    def refusals(self) -> float:
        """Answers 400 to 499."""
        return sum(weight for code, weight in self.codes.items() if 400 <= code < 500)


@dataclass(slots=True)
class Usage:
    """All of an endpoint's requests. Sizes are bytes of bodies; `first` and `last` seconds since 1970."""

    first: float
    last: float
    tally: Tally = field(default_factory=Tally)
    received: Histogram = field(default_factory=Histogram)
    sent: Histogram = field(default_factory=Histogram)
    credentials: dict[str, float] = field(default_factory=dict)
    query: dict[str, float] = field(default_factory=dict)
    clients: dict[str, Tally] = field(default_factory=dict)
    clusters: dict[str, Tally] = field(default_factory=dict)

    def add(self, call: Call, names: tuple[str, ...]) -> None:
        """Count a request. `names`: of its query parameters."""
        at, weight, credential = call.at, call.weight, call.credential
        if at > self.last:
            self.last = at
        elif at < self.first:
            self.first = at
        self.tally.add(call)
        self.received.add(call.received, weight)
        self.sent.add(call.sent, weight)
        self.credentials[credential] = self.credentials.get(credential, 0.0) + weight
        for name in names:
            self._name(name, call.weight)
        if call.client:
            (self.clients.get(call.client) or _peer(self.clients, call.client)).add(call)
        if call.cluster:
            (self.clusters.get(call.cluster) or _peer(self.clusters, call.cluster)).add(call)

    def merge(self, other: "Usage") -> None:
        """Add another's counts."""
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        self.tally.merge(other.tally)
        self.received.merge(other.received)
        self.sent.merge(other.sent)
        for credential, weight in other.credentials.items():
            self.credentials[credential] = self.credentials.get(credential, 0.0) + weight
        for name, weight in other.query.items():
            self._name(name, weight)
        for mine, theirs in ((self.clients, other.clients), (self.clusters, other.clusters)):
            for peer, tally in theirs.items():
                _peer(mine, peer).merge(tally)

    def _name(self, name: str, weight: float) -> None:
        if name in self.query or len(self.query) < MOST_NAMES:
            self.query[name] = self.query.get(name, 0.0) + weight


def _peer(peers: dict[str, Tally], name: str) -> Tally:
    found = peers.get(name)
    if found is None:
        if len(peers) >= MOST_PEERS:
            name = OTHER
        found = peers.setdefault(name, Tally())
    return found
