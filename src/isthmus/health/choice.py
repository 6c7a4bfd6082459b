"""Which sites take the requests for a cluster, in which order, with which weight."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from isthmus.health.table import Entry

DEGRADED_AFTER = 10.0
"""Seconds that a site stays as good as fresh after it was last confirmed: a region that restarts takes about six,
and moving traffic away and back again would disturb more than it protects."""

MAX_PRIORITY = 127
"""Envoy knows priorities up to 128."""

_EARTH_RADIUS = 6371.0


class Selection(StrEnum):
    """A cluster's endpoint selection, with the names that the object has."""

    LOCAL_ONLY = "LOCAL_ONLY"
    LOCAL_PREFERRED = "LOCAL_PREFERRED"
    DISTRIBUTED = "DISTRIBUTED"


class SiteState(StrEnum):
    """What Envoy is told about a site: DEGRADED takes requests when nobody HEALTHY can, DRAINING takes no new ones."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    DRAINING = "DRAINING"


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """A site as the choice sees it. `location`: degrees of latitude and longitude, None when unknown.

    `rank`: place in the cluster's site preferences. `round_trip`: milliseconds from the choosing site, None when
    unknown or when it does not matter.
    """

    name: str
    number: int
    location: tuple[float, float] | None = None
    drained: bool = False
    rank: int = 0
    round_trip: float | None = None


@dataclass(frozen=True, slots=True)
class SiteChoice:
    """A site that can serve the cluster.

    `priority`: 0 is first; priorities have no gaps. `weight`: the sum over its endpoints, at least 1. `endpoints`:
    how many they are; None for the own site, whose endpoints are not routes. `stale_since`: Unix seconds since which
    nobody confirms any of them, or None. `distance`: kilometres from the choosing site, None when a location is
    unknown. `reason`: for people. `subset`: the one whose endpoints these are, "" for all endpoints.
    `round_trip`: milliseconds, if it counts.
    """

    site: str
    priority: int
    weight: int
    state: SiteState
    reason: str
    endpoints: int | None = None
    stale_since: float | None = None
    distance: float | None = None
    subset: str = ""
    round_trip: float | None = None


def distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    """The great-circle distance in kilometres between two places in degrees of latitude and longitude, to the metre."""
    (lat1, lon1), (lat2, lon2) = ((math.radians(lat), math.radians(lon)) for lat, lon in (a, b))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return round(2 * _EARTH_RADIUS * math.asin(min(1.0, math.sqrt(half))), 3)


# The choice, in order:
#
# 1. Routes of sites that `sites` does not hold are ignored (a cluster's endpoints name the sites that may speak for
#    it), and so are routes of the own site: it knows its own endpoints first-hand, as `local_weight`.
# 2. LOCAL_ONLY keeps the own site alone.
# 3. Endpoints that drain, and those of weight 0, take no new requests. A site whose endpoints all drain, or that is
#    itself drained, is DRAINING; it keeps what it has. A site with no endpoint of any weight is left out.
# 4. A site is HEALTHY while one of its remaining endpoints is fresh, or was within the last `degraded_after`
#    seconds; else it is DEGRADED. Its weight is the sum over all of them, stale ones too: while a region comes back
#    they are confirmed one by one, and the weights should not wander meanwhile.
# 5. Order: LOCAL_PREFERRED puts the own site first. Then by rank in the cluster's preferences, then by round-trip time
#    and by great-circle distance (unknown last), then by name.
# 6. Priority: LOCAL_PREFERRED numbers the sites in this order. DISTRIBUTED numbers the ranks that there are, so that
#    weights decide among sites of one rank: of all sites, when none is preferred. DEGRADED sites keep their place:
#    Envoy prefers a healthy host of any priority to a degraded one.
def choose(
    own: SiteInfo,
    selection: Selection,
    sites: Iterable[SiteInfo],
    entries: Iterable[Entry],
    now: float,
    *,
    local_weight: int = 0,
    local_draining: bool = False,
    degraded_after: float = DEGRADED_AFTER,
) -> tuple[SiteChoice, ...]:
    """The sites that can serve a cluster for the site `own` at `now`, first choice first.

    `sites`: those that the cluster's endpoints name. `entries`: `Table.entries` of the cluster. `local_weight`: the
    sum of the weights of the own site's healthy endpoints, 0 if there are none; `local_draining`: all of them drain.
    """
    candidates: list[tuple[SiteInfo, SiteChoice]] = []
    if local_weight > 0:
        drains = own.drained or local_draining
        state = SiteState.DRAINING if drains else SiteState.HEALTHY
        reason = "own site, draining" if drains else "own site"
        candidates.append((own, SiteChoice(own.name, 0, local_weight, state, reason, distance=0.0)))
    if selection is not Selection.LOCAL_ONLY:
        by_site: dict[int, list[Entry]] = {}
        for entry in entries:
            by_site.setdefault(entry.route.site, []).append(entry)
        for site in sites:
            if site.number != own.number and site.number in by_site:
                choice = _remote(own, site, by_site[site.number], now, degraded_after)
                if choice is not None:
                    candidates.append((site, choice))
    local_first = selection is not Selection.DISTRIBUTED
    candidates.sort(key=lambda pair: (local_first and pair[0].number != own.number, *_order(*pair)))
    if local_first:
        priorities = list(range(len(candidates)))
    else:
        ranks = sorted({site.rank for site, _ in candidates})
        priorities = [ranks.index(site.rank) for site, _ in candidates]
    return tuple(
        replace(choice, priority=min(priority, MAX_PRIORITY)) if priority else choice
        for (_, choice), priority in zip(candidates, priorities, strict=True)
    )


def _order(site: SiteInfo, choice: SiteChoice) -> tuple[int, float, float, str]:
    return site.rank, _last(site.round_trip), _last(choice.distance), site.name


# The choice for subsets, in order:
#
# 1. Sites are chosen as above, from the entries that carry the subset's mark alone, and the own site by the weight of
#    its healthy endpoints in the subset.
# 2. If none of them takes new requests, the fallback's choice stands: that of all endpoints, or of the default subset.
#    Without a fallback the subset's own choice stands, be it empty.
def choose_subsets(
    own: SiteInfo,
    selection: Selection,
    sites: Collection[SiteInfo],
    entries: Collection[Entry],
    now: float,
    marks: Mapping[str, int],
    *,
    local_weight: Callable[[str], int],
    fallback: str | None = None,
    degraded_after: float = DEGRADED_AFTER,
) -> dict[str, tuple[SiteChoice, ...]]:
    """As `choose`, for every subset by name, and for all endpoints by "".

    `marks`: the mark in routes of every subset. `local_weight`: as in `choose`, by subset. `fallback`: the subset to
    take for one that has nobody, "" for all endpoints, None for no other.
    """
    found = {}
    for name in ("", *marks):
        usable = [e for e in entries if marks[name] in e.route.subsets] if name else entries
        weight = local_weight(name)
        chosen = choose(own, selection, sites, usable, now, local_weight=weight, degraded_after=degraded_after)
        found[name] = tuple(replace(choice, subset=name) for choice in chosen) if name else chosen
    if fallback is None:
        return found
    for name, choices in found.items():
        if name and all(choice.state is SiteState.DRAINING for choice in choices):
            found[name] = found[fallback]
    return found


def next_change(entries: Iterable[Entry], now: float, degraded_after: float = DEGRADED_AFTER) -> float | None:
    """When `choose` may next answer differently though nothing is heard: a stale entry turns DEGRADED."""
    times = (e.stale_since + degraded_after for e in entries if e.stale_since is not None)
    return min((time for time in times if time > now), default=None)


def _remote(
    own: SiteInfo, site: SiteInfo, entries: list[Entry], now: float, degraded_after: float
) -> SiteChoice | None:
    usable = [] if site.drained else [e for e in entries if not e.route.draining and e.route.weight > 0]
    counted = usable or [e for e in entries if e.route.weight > 0]
    if not counted:
        return None
    stale = [e.stale_since for e in counted if e.stale_since is not None]
    stale_since = max(stale) if len(stale) == len(counted) else None
    if not usable:
        state, reason = SiteState.DRAINING, "drained" if site.drained else "all endpoints drain"
    elif stale_since is not None and now - stale_since >= degraded_after:
        state, reason = SiteState.DEGRADED, f"not confirmed for {max(0, int(now - stale_since))} s"
    else:
        state, reason = SiteState.HEALTHY, f"{len(usable)} healthy endpoint{'' if len(usable) == 1 else 's'}"
    away = None if own.location is None or site.location is None else distance(own.location, site.location)
    return SiteChoice(
        site=site.name,
        priority=0,
        weight=sum(e.route.weight for e in counted),
        state=state,
        reason=", ".join((reason, *_nearness(away, site.round_trip))),
        endpoints=len(counted),
        stale_since=stale_since,
        distance=away,
        round_trip=site.round_trip,
    )


def _nearness(away: float | None, round_trip: float | None) -> list[str]:
    found = [] if away is None else [f"{away:.0f} km away"]
    return found if round_trip is None else [*found, f"{round_trip:.3g} ms there and back"]


def _last(value: float | None) -> float:
    return math.inf if value is None else value
