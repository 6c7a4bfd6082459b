"""The ingress side: from what BGP says about remote endpoints to the endpoint assignments of this site's Envoy.

An event touches the clusters of one number. They are chosen anew once per turn of the event loop, however many events
that turn brings, and only assignments that come out different are pushed.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from isthmus.compile.intent import Cluster, Intent, Member, Socket
from isthmus.health.choice import Selection, SiteChoice, SiteInfo, choose_subsets, next_change
from isthmus.health.event import EndOfRib, Event
from isthmus.health.round_trip import RoundTrips
from isthmus.health.table import Entry, SessionState, Table
from isthmus.model.key import ObjectKey
from isthmus.model.subset import subset_mark

HEARING = 2.0
"""Seconds that a plan waits for word of healthy endpoints of clusters that it is the first to use. Without that, the
first requests of a new route would find no endpoint."""

PATIENCE = 10.0
"""Seconds that it waits besides for a session with a region, where none is up. What is in force serves on."""

LONG_PATIENCE = 30.0
"""The same where the site remembers nothing of other sites: what Envoy has in force is better than that."""

Assignments = Mapping[str, bytes]
Choices = Mapping[str, tuple[SiteChoice, ...]]
"""The sites in use for a cluster, best first: for each of its subsets by name, and for all endpoints by ""."""


@dataclass(frozen=True, slots=True)
class RemoteEndpoint:
    """A remote endpoint as the table holds it, for status."""

    cluster: ObjectKey
    site: str
    entry: Entry


class Ingress:
    """`emit` turns a cluster and its choices into named assignments; `push` gives changed ones to Envoy.

    `local_weight` is the weight of the healthy endpoints of a cluster's subset ("": of all) at this site.
    """

    def __init__(
        self,
        table: Table,
        *,
        emit: Callable[[Cluster, Choices], Assignments],
        push: Callable[[Assignments], None],
        local_weight: Callable[[ObjectKey, str], int],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.table = table
        self._emit = emit
        self._push = push
        self._local_weight = local_weight
        self._clock = clock
        self._own: SiteInfo | None = None
        self._clusters: tuple[Cluster, ...] = ()
        self._all: Assignments | None = None
        self._by_number: dict[int, list[Cluster]] = {}
        self._by_key: dict[ObjectKey, Cluster] = {}
        self._choices: dict[ObjectKey, Choices] = {}
        self._assigned: dict[ObjectKey, Assignments] = {}
        self._touched: set[ObjectKey] = set()
        self._limits: dict[int, float] = {}
        self._due: dict[int, float] = {}
        self._scheduled: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._round_trips = RoundTrips()
        self._declared: Mapping[str, int] = {}
        self._changed = False

    def use(self, intent: Intent) -> Assignments:
        """Serve `intent` from now on; return the assignments of all its clusters.

        What has not changed since the last intent (the compiler then gives the same object) is not chosen anew.
        """
        if (
            intent.clusters is self._clusters
            and _own(intent) == self._own
            and dict(intent.round_trips) == self._declared
            and not self._touched
            and self._all is not None
        ):
            return self._all
        self._clusters = intent.clusters
        before, self._by_key = self._by_key, {cluster.key: cluster for cluster in intent.clusters}
        own = _own(intent)
        declared = dict(intent.round_trips)
        same = own == self._own and declared == self._declared
        self._declared = declared
        self._own = own
        self._by_number = {}
        for cluster in intent.clusters:
            self._by_number.setdefault(cluster.number, []).append(cluster)
        for key in self._assigned.keys() - self._by_key.keys():
            del self._assigned[key], self._choices[key]
        self._touch_numbers(self.table.retain(intent.imports))
        assignments: dict[str, bytes] = {}
        for cluster in intent.clusters:
            if not same or before.get(cluster.key) is not cluster or cluster.key in self._touched:
                self._assign(cluster, self._choose(cluster))
            assignments.update(self._assigned[cluster.key])
        self._touched.clear()
        self._limits = {c.number: c.stale_after / 1000 for c in intent.clusters if c.stale_after is not None}
        self._due.clear()
        self._set_timer(self._by_number)
        self._all = assignments
        return assignments

    def hear(self, event: Event) -> None:
        """Take in what a BGP session said."""
        self._news.set()
        self._touch_numbers(self.table.apply(event, self._clock()))
        if isinstance(event, EndOfRib):
            self._set_timer(())

    async def heard(self, numbers: Iterable[int]) -> None:
        """Wait until an endpoint of each of these clusters is known: two seconds at most once a region tells what it
        knows, and for that with patience too.
        """
        wanted = frozenset(numbers)
        await self._until(
            lambda: wanted <= self.table.clusters() or SessionState.LIVE in self.table.sessions().values(),
            PATIENCE if self.table.clusters() else LONG_PATIENCE,
        )
        await self._until(lambda: wanted <= self.table.clusters(), HEARING)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    self._news.clear()
                    await self._news.wait()

    def take_changed(self) -> Table | None:
        """The table, if it has changed since this was asked last."""
        changed, self._changed = self._changed, False
        return self.table if changed else None

    def forget_session(self, name: str) -> None:
        """The site no longer uses a region."""
        self._touch_numbers(self.table.forget_session(name, self._clock()))

    def touch(self, keys: Iterable[ObjectKey]) -> None:
        """Choose anew for these clusters: the health of their local endpoints has changed."""
        self._touched.update(key for key in keys if key in self._by_key)
        self._schedule()

    def measured_sites(self) -> dict[str, tuple[Socket, ...]]:
        """The sites to which the round-trip time matters and is not declared, and where they can be dialled."""
        found = {
            member.site: member.fabric
            for cluster in self._clusters
            if cluster.nearness == "ROUND_TRIP"
            for member in cluster.members
            if not member.own and member.fabric and member.site not in self._declared
        }
        self._round_trips.retain(frozenset(found))
        return found

    def measure(self, site: str, milliseconds: float) -> None:
        """Take in a measured round-trip time."""
        if self._round_trips.measure(site, milliseconds):
            self.touch(
                cluster.key
                for cluster in self._clusters
                if cluster.nearness == "ROUND_TRIP" and any(member.site == site for member in cluster.members)
            )

    def choice(self, key: ObjectKey, subset: str = "") -> tuple[SiteChoice, ...]:
        """The sites in use for a cluster or a subset of it, best first; empty when it is unknown here."""
        return self._choices.get(key, {}).get(subset, ())

    def choices(self) -> dict[tuple[ObjectKey, str], tuple[SiteChoice, ...]]:
        """The sites in use, by cluster and subset ("": all endpoints)."""
        return {(key, subset): choice for key, found in self._choices.items() for subset, choice in found.items()}

    def remote_endpoints(self) -> list[RemoteEndpoint]:
        """Every remote endpoint of this site's clusters."""
        found: list[RemoteEndpoint] = []
        for cluster in self._by_key.values():
            names = {member.number: member.site for member in cluster.members}
            found += [
                RemoteEndpoint(cluster.key, names[entry.route.site], entry)
                for entry in self.table.entries(cluster.number)
                if entry.route.site in names
            ]
        return found

    def stop(self) -> None:
        for handle in (self._scheduled, self._timer):
            if handle is not None:
                handle.cancel()
        self._scheduled = self._timer = None

    def _touch_numbers(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._changed = True
            self._touched.update(cluster.key for cluster in self._by_number.get(number, ()))
        self._schedule()

    def _schedule(self) -> None:
        if self._touched and self._scheduled is None:
            self._scheduled = asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = None
        touched, self._touched = self._touched, set()
        assignments: dict[str, bytes] = {}
        for key in touched:
            cluster = self._by_key.get(key)
            if cluster is None:
                continue
            choices = self._choose(cluster)
            if choices != self._choices.get(key):
                assignments.update(self._assign(cluster, choices))
        if assignments:
            self._all = None
            self._push(assignments)
        self._set_timer({self._by_key[key].number for key in touched if key in self._by_key})

    def _choose(self, cluster: Cluster) -> Choices:
        assert self._own is not None
        rank = next((member.rank for member in cluster.members if member.own), 0)
        return choose_subsets(
            replace(self._own, rank=rank) if rank else self._own,
            Selection(cluster.selection),
            [self._info(cluster, member) for member in cluster.members if not member.own],
            self.table.entries(cluster.number),
            self._clock(),
            {subset: subset_mark(subset) for subset in cluster.subsets},
            local_weight=partial(self._local_weight, cluster.key),
            fallback=cluster.fallback,
        )

    def _info(self, cluster: Cluster, member: Member) -> SiteInfo:
        place = (member.place.latitude, member.place.longitude) if member.place else None
        round_trip = None
        if cluster.nearness == "ROUND_TRIP":
            declared = self._declared.get(member.site)
            round_trip = self._round_trips.used(member.site) if declared is None else float(declared)
        return SiteInfo(member.site, member.number, place, member.drained, member.rank, round_trip)

    def _assign(self, cluster: Cluster, choices: Choices) -> Assignments:
        self._choices[cluster.key] = choices
        self._assigned[cluster.key] = self._emit(cluster, choices)
        return self._assigned[cluster.key]

    def _set_timer(self, numbers: Iterable[int]) -> None:
        """Wake when time alone changes something: an entry expires, or is no longer as good as fresh.

        Only `numbers` are looked at; what is due for the others is remembered.
        """
        now = self._clock()
        for number in numbers:
            limit = self._limits.get(number)
            times = (
                next_change(self.table.entries(number), now),
                self.table.deadline({number: limit}) if limit is not None else None,
            )
            self._due[number] = min((moment for moment in times if moment is not None), default=math.inf)
        sweep = self.table.deadline({})
        due = min(self._due.values(), default=math.inf)
        due = due if sweep is None else min(due, sweep)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due < math.inf:
            self._timer = asyncio.get_running_loop().call_later(max(0.001, due - now), self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._clock()
        overdue = [number for number, due in self._due.items() if due <= now]
        limits = {number: limit for number, limit in self._limits.items() if number in overdue}
        self._touch_numbers({*self.table.expire(now, limits), *overdue})
        if not self._touched:
            self._set_timer(overdue)


def _own(intent: Intent) -> SiteInfo:
    place = (intent.place.latitude, intent.place.longitude) if intent.place else None
    return SiteInfo(intent.site, intent.number, place, intent.drained)
