"""The last good answers of all registries, and what is wrong with each: what a site goes on with while one is away.

Pure: times are Unix seconds and come in as arguments.

1. An answer with servers takes the place of the last one.
2. An error leaves the last good answer in use, however old, and is kept beside it.
3. An answer without servers that grants a grace (DNS: the name is gone) leaves the last good servers in use for so long
   from the first such answer, also over restarts; then there are none.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from isthmus.discovery.found import Answer, Found
from isthmus.discovery.query import ConsulQuery, DnsQuery, KubernetesQuery, Query
from isthmus.model.key import ObjectKey, parse_key

MAX_FOUND = 20_000
"""Servers that one answer may hold. More are refused: a wrong selector must not fill a site's memory."""
_QUERIES: dict[str, Callable[..., Query]] = {cls.__name__: cls for cls in (DnsQuery, KubernetesQuery, ConsulQuery)}


class LedgerError(Exception):
    """What was stored cannot be understood."""


class Lookup(NamedTuple):
    """A query to a registry: the ServiceDiscovery of that key, or None for the system's resolver."""

    registry: ObjectKey | None
    query: Query


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one lookup.

    Attributes:
        found: the servers in use.
        changed_at: when these became so; None before the first good answer.
        answered_at: when the registry last gave a good answer.
        error: what is wrong now; empty when nothing is.
        error_since: since when something is wrong.
        gone_since, grace: since when the registry says that there is none, and how long servers outlive that, seconds.
    """

    found: tuple[Found, ...] = ()
    changed_at: float | None = None
    answered_at: float | None = None
    error: str = ""
    error_since: float | None = None
    gone_since: float | None = None
    grace: float = 0.0

    @property
    def ends(self) -> float | None:
        """When servers that are gone leave, if there are such."""
        return self.gone_since + self.grace if self.gone_since is not None and self.found else None


class Ledger:
    """Entries by lookup."""

    def __init__(self, entries: Mapping[Lookup, Entry] | None = None) -> None:
        self._entries: dict[Lookup, Entry] = dict(entries or {})
        self._wanted: frozenset[Lookup] = frozenset(self._entries)

    @property
    def entries(self) -> Mapping[Lookup, Entry]:
        """Everything that is known."""
        return self._entries

    def retain(self, lookups: Collection[Lookup]) -> list[Lookup]:
        """Only these are asked from now on; returns those that are forgotten."""
        self._wanted = frozenset(lookups)
        gone = [lookup for lookup in self._entries if lookup not in self._wanted]
        for lookup in gone:
            del self._entries[lookup]
        return gone

    def hear(self, lookup: Lookup, answer: Answer) -> bool:
        """Take in an answer; whether other servers are in use now. An answer to what is not asked is passed over."""
        if lookup not in self._wanted:
            return False
        before = self._entries.get(lookup, Entry())
        after = self._entries[lookup] = _next(before, answer)
        return after.found != before.found or (after.changed_at is not None and before.changed_at is None)

    def due(self) -> float | None:
        """When to call `expire`."""
        return min((entry.ends for entry in self._entries.values() if entry.ends is not None), default=None)

    def expire(self, now: float) -> list[Lookup]:
        """Let servers go whose grace has passed; returns the lookups that lost theirs."""
        late = [lookup for lookup, entry in self._entries.items() if entry.ends is not None and entry.ends <= now]
        for lookup in late:
            self._entries[lookup] = replace(self._entries[lookup], found=(), changed_at=now)
        return late

    def emit(self) -> bytes:
        """Canonical JSON, without errors: these are found anew."""
        return json.dumps(
            [
                {
                    "registry": str(lookup.registry) if lookup.registry else None,
                    "method": type(lookup.query).__name__,
                    "query": asdict(lookup.query),
                    "found": [_emit_found(each) for each in entry.found],
                    "changedAt": entry.changed_at,
                    "answeredAt": entry.answered_at,
                    "goneSince": entry.gone_since,
                    "grace": entry.grace,
                }
                for lookup, entry in sorted(self._entries.items(), key=repr)
                if entry.answered_at is not None
            ],
            separators=(",", ":"),
        ).encode()


def _next(before: Entry, answer: Answer) -> Entry:
    found = answer.found
    if found is not None and len(found) > MAX_FOUND:
        return _fail(before, answer, f"the answer holds {len(found)} servers, more than {MAX_FOUND}")
    if found is None:
        return _fail(before, answer, answer.error)
    gone = None
    if not found and answer.grace:
        gone = before.gone_since if before.gone_since is not None else answer.at
        if before.found and answer.at < gone + answer.grace:
            return replace(_fail(before, answer, answer.error), gone_since=gone, grace=answer.grace)
    same = found == before.found and before.changed_at is not None
    changed_at = before.changed_at if same else answer.at
    since = (before.error_since or answer.at) if answer.error else None
    return Entry(before.found if same else found, changed_at, answer.at, answer.error, since, gone, answer.grace)


def _fail(before: Entry, answer: Answer, error: str) -> Entry:
    return replace(before, error=error, error_since=before.error_since or answer.at)


def parse_ledger(data: bytes) -> Ledger:
    """The inverse of `Ledger.emit`. Lookups of a method that this release does not know are passed over.

    Raises:
        LedgerError: the data is damaged.
    """
    try:
        parsed = [(_parse_lookup(each), _parse_entry(each)) for each in json.loads(data)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LedgerError(f"the stored answers are damaged: {error}") from None
    return Ledger({lookup: entry for lookup, entry in parsed if lookup is not None})


def _parse_lookup(document: Mapping[str, Any]) -> Lookup | None:
    cls = _QUERIES.get(document["method"])
    if cls is None:
        return None
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in document["query"].items()}
    try:
        query = cls(**fields)
    except TypeError:  # a field of another release
        return None
    registry = document["registry"]
    return Lookup(parse_key(registry) if registry is not None else None, query)


def _parse_entry(document: Mapping[str, Any]) -> Entry:
    return Entry(
        found=tuple(_parse_found(each) for each in document["found"]),
        changed_at=document["changedAt"],
        answered_at=document["answeredAt"],
        gone_since=document["goneSince"],
        grace=float(document["grace"]),
    )


def _emit_found(found: Found) -> list[Any]:
    return [found.address, found.port, found.weight, found.labels, found.healthy, found.priority]


def _parse_found(values: list[Any]) -> Found:
    address, port, weight, labels, healthy, priority = values
    pairs = tuple((str(key), str(value)) for key, value in labels)
    return Found(str(address), int(port), int(weight), pairs, bool(healthy), int(priority))
