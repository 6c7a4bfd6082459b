"""What an egress site announces about its endpoints, and the numbers that they have."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from isthmus.health.route import MAX_ENDPOINT, EndpointKey, EndpointRoute

WEIGHT_INTERVAL = 1.0
"""Seconds between two announcements of one endpoint that differ in weight alone."""


class NumbersError(Exception):
    """The bytes are not the endpoint numbers that this release wrote, or no number is left."""


@dataclass(frozen=True, slots=True)
class EndpointNumbers:
    """The numbers that a site has given to its endpoints. `next_number`: the lowest that was never given.

    A name is the caller's, one per pair of cluster and endpoint. Numbers are never given twice, so forgotten names
    cost nothing.
    """

    next_number: int = 1
    by_name: Mapping[str, int] = field(default_factory=dict)

    def allocate(self, names: Iterable[str]) -> "EndpointNumbers":
        """With a number for each of the names; those that have one keep it. Raises NumbersError past the last one."""
        missing = sorted(set(names) - self.by_name.keys())
        if not missing:
            return self
        by_name = dict(self.by_name)
        number = self.next_number
        for name in missing:
            by_name[name] = number
            number += 1
        if number - 1 > MAX_ENDPOINT:
            raise NumbersError("every endpoint number has been given")
        return EndpointNumbers(number, by_name)

    def retain(self, names: Iterable[str]) -> "EndpointNumbers":
        """Without the names that are not among these."""
        kept = self.by_name.keys() & set(names)
        if len(kept) == len(self.by_name):
            return self
        return EndpointNumbers(self.next_number, {name: self.by_name[name] for name in kept})

    def emit(self) -> bytes:
        """For the disk, as JSON: write it before an announcement uses a new number."""
        return json.dumps({"next": self.next_number, "numbers": dict(sorted(self.by_name.items()))}).encode()


def parse_numbers(data: bytes) -> EndpointNumbers:
    """What `EndpointNumbers.emit` wrote. Raises NumbersError when the bytes are anything else."""
    try:
        document = json.loads(data)
        numbers = EndpointNumbers(int(document["next"]), {str(k): int(v) for k, v in document["numbers"].items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NumbersError(f"not endpoint numbers: {error!r}") from error
    given = sorted(numbers.by_name.values())
    if numbers.next_number < 1 or (given and (given[0] < 1 or given[-1] >= numbers.next_number)):
        raise NumbersError("a number is out of range")
    if len(set(given)) != len(given):
        raise NumbersError("a number was given twice")
    return numbers


@dataclass(frozen=True, slots=True)
class HealthyEndpoint:
    """What should be known of one healthy endpoint; an endpoint that is not healthy is not listed at all."""

    cluster: int
    weight: int
    draining: bool = False
    subsets: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class AnnouncementPlan:
    """What to tell the BGP speaker now. `next_at`: Unix seconds when to plan again, though nothing changes."""

    announce: tuple[EndpointRoute, ...] = ()
    withdraw: tuple[EndpointKey, ...] = ()
    next_at: float | None = None


@dataclass(slots=True)
class _Said:
    route: EndpointRoute
    at: float


class Announcer:
    """Remembers what was announced and plans the difference.

    Health changes go out at once; changes of weight alone at most once per `weight_interval` and endpoint.
    Rejected: to damp health changes too. Envoy's thresholds do that already, and a withdrawal that waits is a lost
    request.
    """

    def __init__(self, site: int, weight_interval: float = WEIGHT_INTERVAL) -> None:
        self._site = site
        self._weight_interval = weight_interval
        self._said: dict[EndpointKey, _Said] = {}
        self._before: tuple[Mapping[str, HealthyEndpoint], Mapping[str, int]] | None = None
        self._waiting: set[str] = set()

    def adopt(self, routes: Iterable[EndpointRoute]) -> None:
        """Takes over what a running BGP speaker announces already; the next plan is the difference from that."""
        self._said = {route.key: _Said(route, 0.0) for route in routes}
        self._before = None

    def plan(self, desired: Mapping[str, HealthyEndpoint], numbers: EndpointNumbers, now: float) -> AnnouncementPlan:
        """The difference between what was announced and what should be; from now on it counts as announced.

        Every name in `desired` must have a number in `numbers`. Both are kept until the next plan: change neither.
        """
        names, gone = self._changed(desired, numbers.by_name)
        self._before = (desired, numbers.by_name)
        self._waiting = set()
        announce: list[EndpointRoute] = []
        next_at: float | None = None
        for name in sorted(names):
            endpoint = desired[name]
            key = EndpointKey(self._site, numbers.by_name[name])
            route = EndpointRoute(
                site=key.site,
                endpoint=key.endpoint,
                cluster=endpoint.cluster,
                weight=endpoint.weight,
                changed_at=int(now * 1000),
                draining=endpoint.draining,
                subsets=endpoint.subsets,
            )
            said = self._said.get(key)
            if said is not None:
                same_time = replace(route, changed_at=said.route.changed_at)
                if same_time == said.route:
                    continue
                due = said.at + self._weight_interval
                early = said.at <= now < due  # not when the clock was set back
                if replace(same_time, weight=said.route.weight) == said.route and early:
                    self._waiting.add(name)
                    next_at = due if next_at is None else min(next_at, due)
                    continue
            self._said[key] = _Said(route, now)
            announce.append(route)
        withdraw = tuple(sorted(gone & self._said.keys()))
        for key in withdraw:
            del self._said[key]
        return AnnouncementPlan(tuple(announce), withdraw, next_at)

    def _changed(
        self, desired: Mapping[str, HealthyEndpoint], numbers: Mapping[str, int]
    ) -> tuple[set[str], set[EndpointKey]]:
        """The names that may have something new to say, and the keys that may be announced in vain.

        All that was not adopted came of the last plan, so what is desired as it was then, with the same number, has
        been said, or waits.
        """
        if self._before is None:
            return set(desired), self._said.keys() - {EndpointKey(self._site, numbers[name]) for name in desired}
        before, numbered = self._before
        names = {
            name
            for name, endpoint in desired.items()
            if (known := before.get(name)) is not endpoint and known != endpoint
        }
        names |= self._waiting & desired.keys()
        ended = before.keys() - desired.keys()
        if numbers is not numbered:
            other = {name for name in desired if name in before and numbers[name] != numbered[name]}
            names |= other
            ended |= other
        kept = {numbers[name] for name in names}
        return names, {EndpointKey(self._site, numbered[name]) for name in ended if numbered[name] not in kept}

    def announced(self) -> tuple[EndpointRoute, ...]:
        """Everything that is announced, by endpoint number: what a BGP speaker that starts afresh must be told."""
        return tuple(self._said[key].route for key in sorted(self._said))
