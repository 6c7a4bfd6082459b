"""The ingress site's table of remote endpoints: what each session said, how fresh it is, and when it is gone.

The rules, in order:

1. An announcement makes the session a *source* of the endpoint; the latest announcement of a session replaces its
   earlier one.
2. Session lost: its sources become stale, with the time since when. Nothing is removed.
3. A withdrawal removes that session's source, and the sources of sessions that are down: what those remember is older.
   A source of another session that is up stays: that session withdraws too if it agrees. A withdrawal of what the
   session has not announced since it came up counts only after End-of-RIB: a region that has just restarted may not
   have heard from the endpoint's site yet.
4. Session up and End-of-RIB seen: what it has not announced again is removed `confirm_within` seconds later. Not at
   once, because a site that has lost its region may come back a few seconds after the region has spoken to everybody
   else.
5. Entries read from disk are stale until a session announces them again; those of sessions that no longer exist go
   with rule 4 of any other session.
6. An entry that has been stale for longer than its cluster's `staleAfter` is removed. By default that is never: the
   data path itself finds out whether a stale endpoint still answers.

An entry is fresh while one of its sources is. Rejected: to keep only the best route, as BGP does. Then a region that
restarts could make a healthy endpoint of another region vanish.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from isthmus.health.event import Announced, EndOfRib, Event, SessionDown, SessionUp, Withdrawn
from isthmus.health.route import EndpointKey, EndpointRoute

CONFIRM_WITHIN = 20.0
"""Seconds after End-of-RIB within which a region's sites are expected to be back."""

_FORMAT = 1


class TableError(Exception):
    """The bytes are not a table that this release wrote: start with an empty one."""


class SessionState(StrEnum):
    """How far a session is to be believed."""

    DOWN = "down"
    SYNCING = "syncing"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Entry:
    """A remote endpoint as people and the choice of site see it.

    `heard_at`: when it was last announced. `stale_since`: since when no session confirms it; None while it is fresh.
    `sessions`: who announced it, by name.
    """

    route: EndpointRoute
    heard_at: float
    stale_since: float | None
    sessions: tuple[str, ...]


@dataclass(slots=True)
class _Source:
    route: EndpointRoute
    heard_at: float
    stale_since: float | None
    confirmed: bool
    """The session has announced it since it came up, be it as `origin_stale`."""


@dataclass(slots=True)
class _Session:
    state: SessionState = SessionState.DOWN
    sweep_at: float | None = None


class Table:
    """See the rules above. Every method that changes something returns the numbers of the clusters that it touched."""

    def __init__(self, confirm_within: float = CONFIRM_WITHIN) -> None:
        self._confirm_within = confirm_within
        self._sources: dict[EndpointKey, dict[str, _Source]] = {}
        self._clusters: dict[int, set[EndpointKey]] = {}
        self._sessions: dict[str, _Session] = {}

    def apply(self, event: Event, now: float) -> frozenset[int]:
        """Takes in what a session said at `now`."""
        match event:
            case SessionUp(name):
                self._sessions[name] = _Session(SessionState.SYNCING)
                return self._make_stale(name, now)
            case EndOfRib(name):
                session = self._session(name)
                if session.state is SessionState.SYNCING:
                    session.state = SessionState.LIVE
                    session.sweep_at = now + self._confirm_within
                return frozenset()
            case SessionDown(name):
                self._sessions[name] = _Session()
                return self._make_stale(name, now)
            case Announced():
                return self._announce(event, now)
            case Withdrawn(name, key):
                return self._withdraw(name, key)

    def expire(self, now: float, stale_after: Mapping[int, float]) -> frozenset[int]:
        """Removes what is overdue at `now`. `stale_after`: seconds by cluster number; others never expire."""
        touched: set[int] = set()
        swept = [name for name, s in self._sessions.items() if s.sweep_at is not None and s.sweep_at <= now]
        for name in swept:
            self._sessions[name].sweep_at = None
        if swept:
            for key, sources in list(self._sources.items()):
                gone = [
                    n
                    for n, source in sources.items()
                    if not source.confirmed and (n in swept or n not in self._sessions)
                ]
                for name in gone:
                    touched |= self._drop(key, name)
        for cluster, limit in stale_after.items():
            for entry in self.entries(cluster):
                if entry.stale_since is not None and entry.stale_since + limit <= now:
                    for name in list(self._sources[entry.route.key]):
                        touched |= self._drop(entry.route.key, name)
        return frozenset(touched)

    def deadline(self, stale_after: Mapping[int, float]) -> float | None:
        """When `expire` will next have something to do, as of now; None: never."""
        times = [session.sweep_at for session in self._sessions.values() if session.sweep_at is not None]
        for cluster, limit in stale_after.items():
            times += [e.stale_since + limit for e in self.entries(cluster) if e.stale_since is not None]
        return min(times, default=None)

    def retain(self, clusters: Collection[int]) -> frozenset[int]:
        """Forgets the endpoints of all other clusters: the site no longer imports them."""
        touched: set[int] = set()
        for cluster in set(self._clusters) - set(clusters):
            for key in list(self._clusters[cluster]):
                for name in [n for n, source in self._sources[key].items() if source.route.cluster == cluster]:
                    touched |= self._drop(key, name)
        return frozenset(touched)

    def forget_session(self, name: str, now: float) -> frozenset[int]:
        """The site no longer uses this region: what it said is stale, and goes once another region has said its all."""
        touched = self._make_stale(name, now)
        self._sessions.pop(name, None)
        return touched

    def entries(self, cluster: int) -> tuple[Entry, ...]:
        """The endpoints of a cluster, by site and endpoint number."""
        found = (self._entry(key) for key in sorted(self._clusters.get(cluster, ())))
        return tuple(entry for entry in found if entry.route.cluster == cluster)

    def clusters(self) -> frozenset[int]:
        """The clusters with at least one endpoint."""
        return frozenset(self._clusters)

    def sessions(self) -> dict[str, SessionState]:
        """Every session heard of, and how far it is to be believed."""
        return {name: session.state for name, session in sorted(self._sessions.items())}

    def emit(self, now: float) -> bytes:
        """The table for the disk, as JSON."""
        entries = [
            {
                "session": name,
                "site": source.route.site,
                "endpoint": source.route.endpoint,
                "cluster": source.route.cluster,
                "weight": source.route.weight,
                "changedAt": source.route.changed_at,
                "draining": source.route.draining,
                **({"subsets": sorted(source.route.subsets)} if source.route.subsets else {}),
                "heardAt": source.heard_at,
                "staleSince": source.stale_since,
            }
            for key in sorted(self._sources)
            for name, source in sorted(self._sources[key].items())
        ]
        return json.dumps({"format": _FORMAT, "savedAt": now, "entries": entries}, separators=(",", ":")).encode()

    def _session(self, name: str) -> _Session:
        return self._sessions.setdefault(name, _Session())

    def _announce(self, event: Announced, now: float) -> frozenset[int]:
        route = event.route
        unheard = event.stale or self._session(event.session).state is SessionState.DOWN
        before = self._sources.get(route.key, {}).get(event.session)
        stale_since = now if unheard or event.origin_stale else None
        if stale_since is not None and before is not None and before.stale_since is not None:
            stale_since = before.stale_since
        heard_at = before.heard_at if before is not None and unheard else now
        source = _Source(route, heard_at, stale_since, confirmed=not unheard)
        touched = self._concerned(route.key) | {route.cluster}
        if before is not None and before.route.cluster != route.cluster:
            self._drop(route.key, event.session)
        self._sources.setdefault(route.key, {})[event.session] = source
        self._clusters.setdefault(route.cluster, set()).add(route.key)
        return touched

    def _withdraw(self, name: str, key: EndpointKey) -> frozenset[int]:
        sources = self._sources.get(key, {})
        source = sources.get(name)
        if source is None or (not source.confirmed and self._session(name).state is not SessionState.LIVE):
            return frozenset()
        touched: frozenset[int] = frozenset()
        for other in [n for n in sources if n == name or self._down(n)]:
            touched |= self._drop(key, other)
        return touched

    def _down(self, name: str) -> bool:
        return name not in self._sessions or self._sessions[name].state is SessionState.DOWN

    def _make_stale(self, name: str, now: float) -> frozenset[int]:
        touched: set[int] = set()
        for sources in self._sources.values():
            source = sources.get(name)
            if source is None:
                continue
            source.confirmed = False
            if source.stale_since is None:
                source.stale_since = now
                touched |= self._concerned(source.route.key)
        return frozenset(touched)

    def _drop(self, key: EndpointKey, name: str) -> frozenset[int]:
        touched = self._concerned(key)
        sources = self._sources[key]
        cluster = sources.pop(name).route.cluster
        if not any(source.route.cluster == cluster for source in sources.values()):
            keys = self._clusters[cluster]
            keys.discard(key)
            if not keys:
                del self._clusters[cluster]
        if not sources:
            del self._sources[key]
        return touched

    def _concerned(self, key: EndpointKey) -> frozenset[int]:
        """The clusters that an endpoint is said to be of: more than one only while sessions disagree."""
        return frozenset(source.route.cluster for source in self._sources.get(key, {}).values())

    def _entry(self, key: EndpointKey) -> Entry:
        sources = self._sources[key]
        # Fresh before stale, then the newest change, then the name: the same answer whatever the order of arrival.
        name = min(sources, key=lambda n: (sources[n].stale_since is not None, -sources[n].route.changed_at, n))
        stale = [source.stale_since for source in sources.values() if source.stale_since is not None]
        return Entry(
            route=sources[name].route,
            heard_at=max(source.heard_at for source in sources.values()),
            stale_since=max(stale) if len(stale) == len(sources) else None,
            sessions=tuple(sorted(sources)),
        )

    def _restore(self, session: str, source: _Source) -> None:
        self._sources.setdefault(source.route.key, {})[session] = source
        self._clusters.setdefault(source.route.cluster, set()).add(source.route.key)


def parse_table(data: bytes, confirm_within: float = CONFIRM_WITHIN) -> Table:
    """The table that `Table.emit` wrote; every entry is stale, at the latest since it was written.

    Raises TableError when the bytes are anything else.
    """
    table = Table(confirm_within)
    try:
        document = json.loads(data)
        if document["format"] != _FORMAT:
            raise TableError(f"format {document['format']} is not {_FORMAT}")
        saved_at = float(document["savedAt"])
        for session, source in _parse_sources(document["entries"], saved_at):
            table._restore(session, source)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TableError(f"not a table: {error!r}") from error
    return table


def _parse_sources(entries: Iterable[dict[str, object]], saved_at: float) -> Iterable[tuple[str, _Source]]:
    for entry in entries:
        route = EndpointRoute(
            site=_integer(entry["site"]),
            endpoint=_integer(entry["endpoint"]),
            cluster=_integer(entry["cluster"]),
            weight=_integer(entry["weight"]),
            changed_at=_integer(entry["changedAt"]),
            draining=entry["draining"] is True,
            subsets=_integers(entry.get("subsets", [])),
        )
        stale_since = entry["staleSince"]
        yield (
            str(entry["session"]),
            _Source(
                route=route,
                heard_at=_number(entry["heardAt"]),
                stale_since=saved_at if stale_since is None else _number(stale_since),
                confirmed=False,
            ),
        )


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not an integer")
    return value


def _integers(value: object) -> frozenset[int]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not a list")
    return frozenset(_integer(each) for each in value)


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number")
    return float(value)
