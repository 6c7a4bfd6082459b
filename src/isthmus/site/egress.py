"""The egress side: which of this site's endpoints are healthy, and what other sites are told about them.

An endpoint is announced when Envoy has accepted the cluster with it and, if the cluster has health checks, has found it
healthy. While Envoy is down nothing is announced. A drained site announces its endpoints as draining, and withdraws
them when `DRAIN` seconds have passed; so does an endpoint that is drained by itself.

Until Envoy has accepted a first intent and was asked for its findings, nothing is planned at all: what a running BGP
speaker announces from before stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from isthmus.compile.intent import Endpoint, Hosted, Intent, Socket
from isthmus.engine.envoy import HealthEvent, HostHealth
from isthmus.health.announcer import AnnouncementPlan, Announcer, EndpointNumbers, HealthyEndpoint
from isthmus.health.route import EndpointRoute
from isthmus.model.key import ObjectKey
from isthmus.model.subset import subset_mark

TRANSITIONS = 10
"""The latest transitions of an endpoint that are remembered."""
DRAIN = 10.0
"""Seconds from announcing endpoints as draining to their withdrawal."""

_Host = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Envoy's health checks say of one host. `since`: Unix seconds."""

    healthy: bool
    reason: str
    since: float


@dataclass(frozen=True, slots=True)
class Transition:
    """An endpoint became healthy or unhealthy at this time (Unix seconds), for this reason."""

    at: float
    healthy: bool
    reason: str


@dataclass(frozen=True, slots=True)
class LocalEndpoint:
    """One endpoint of this site in one cluster, for status and explain. `name` tells apart what discovery found.

    `transitions`: the latest, oldest first.
    """

    cluster: ObjectKey
    endpoint: ObjectKey
    name: str
    address: str
    port: int
    weight: int
    healthy: bool
    reason: str
    since: float | None
    announced: bool
    drained: bool = False
    transitions: tuple[Transition, ...] = ()


class Egress:
    """`speak` tells the BGP speaker; `changed` hears which clusters have another local health; `save` persists numbers.

    `xds_names` gives the names under which Envoy knows and checks the local endpoints of a cluster, by the number of
    its health checks.
    """

    def __init__(
        self,
        numbers: EndpointNumbers,
        *,
        xds_names: Callable[[ObjectKey, int], tuple[str, ...]],
        speak: Callable[[AnnouncementPlan], None],
        changed: Callable[[Iterable[ObjectKey]], None],
        save: Callable[[EndpointNumbers], None],
    ) -> None:
        self._numbers = numbers
        self._xds_names = xds_names
        self._speak = speak
        self._changed = changed
        self._save = save
        self._announcer: Announcer | None = None
        self._site = 0
        self._intent: Intent | None = None
        self._indexed: Intent | None = None
        self._by_xds: dict[str, Hosted] = {}
        self._verdicts: dict[_Host, Verdict] = {}
        self._announced: set[str] = set()
        self._reconciled = False
        self._spoken = False
        self._down = False
        self._drained_at: float | None = None
        self._draining: dict[str, float] = {}
        self._transitions: dict[str, tuple[Transition, ...]] = {}

    def identify(self, site: int, announced: Iterable[EndpointRoute]) -> None:
        """Learn the site's number, and what a running BGP speaker announces from before."""
        if self._announcer is None or site != self._site:
            self._site = site
            self._announcer = Announcer(site)
        routes = list(announced)
        self._announcer.adopt(routes)
        names = {number: name for name, number in self._numbers.by_name.items()}
        self._announced = {names[route.endpoint] for route in routes if route.endpoint in names}

    def routes(self) -> tuple[EndpointRoute, ...]:
        """Everything announced: what a speaker that starts afresh must be told."""
        return self._announcer.announced() if self._announcer is not None else ()

    def confirm(self, intent: Intent, now: float) -> float | None:
        """Envoy has accepted `intent`. Returns when to call `plan` again though nothing happens, Unix seconds."""
        self._intent = intent
        self._down = False
        if not intent.drained:
            self._drained_at = None
        elif self._drained_at is None:
            self._drained_at = now if self._announced else 0.0
        names = {self._name(hosted, endpoint) for hosted, endpoint in _pairs(intent)}
        self._draining = {
            name: self._draining.get(name, now if name in self._announced else 0.0)
            for hosted, endpoint in _pairs(intent)
            if endpoint.drained and (name := self._name(hosted, endpoint))
        }
        self._transitions = {name: found for name, found in self._transitions.items() if name in names}
        numbers = self._numbers.retain(names).allocate(names)
        if numbers is not self._numbers:
            self._save(numbers)
            self._numbers = numbers
        hosts = {host for hosted, endpoint in _pairs(intent) for host in self._hosts(hosted, endpoint)}
        self._verdicts = {host: verdict for host, verdict in self._verdicts.items() if host in hosts}
        self._note(intent)
        self._changed([hosted.key for hosted in intent.hosted])
        return self.plan(now)

    def hear(self, event: HealthEvent, now: float) -> float | None:
        """A health check has another result. As `plan`."""
        host = (event.cluster, event.address, event.port)
        self._verdicts[host] = Verdict(event.healthy, event.reason, event.at)
        self._note(self._intent, {event.cluster}, event.port)
        self._changed(self._clusters_of({event.cluster}))
        return self.plan(now)

    def reconcile(self, hosts: Iterable[HostHealth], now: float) -> float | None:
        """All results at once, after a start of Envoy or of the agent. As `plan`."""
        touched = set()
        for host in hosts:
            key = (host.cluster, host.address, host.port)
            known = self._verdicts.get(key)
            if host.pending or (known is not None and known.healthy == host.healthy):
                continue
            self._verdicts[key] = Verdict(host.healthy, "" if host.healthy else "active", now)
            touched.add(host.cluster)
        self._reconciled = True
        self._note(self._intent, touched)
        self._changed(self._clusters_of(touched))
        return self.plan(now)

    def envoy_down(self, now: float) -> None:
        """Envoy is gone, and with it everything that it knew."""
        self._verdicts.clear()
        clusters = [hosted.key for hosted in self._intent.hosted] if self._intent else []
        self._intent = None
        self._down = True
        self._changed(clusters)
        self.plan(now)

    def leave(self, intent: Intent, now: float) -> bool:
        """Withdraw what `intent` no longer holds, before it is taken from Envoy. True if there was something."""
        kept = {self._name(hosted, endpoint) for hosted, endpoint in _pairs(intent)}
        gone = self._announced - kept
        if not gone or self._intent is None:
            return False
        hosted = tuple(
            replace(item, endpoints=tuple(e for e in item.endpoints if self._name(item, e) in kept))
            for item in self._intent.hosted
        )
        self._intent = replace(self._intent, hosted=hosted)
        self.plan(now)
        return True

    def plan(self, now: float) -> float | None:
        """Tell the speaker what has changed; return when to plan again though nothing happens, Unix seconds."""
        known = self._intent is not None or self._down
        if self._announcer is None or not self._reconciled or not known:
            return None
        desired = self._desired(now)
        plan = self._announcer.plan(desired, self._numbers, now)
        self._announced = set(desired)
        if plan.announce or plan.withdraw or not self._spoken:  # the first word opens the BGP sessions
            self._spoken = True
            self._speak(plan)
        starts = [*self._draining.values(), *(() if self._drained_at is None else (self._drained_at,))]
        ends = [start + DRAIN for start in starts]
        times = [time for time in (plan.next_at, *ends) if time is not None and time > now]
        return min(times, default=None)

    def weight(self, cluster: ObjectKey, subset: str = "") -> int:
        """Sum of the weights of the cluster's healthy endpoints here: of a subset, or of all."""
        if self._intent is None:
            return 0
        return sum(
            endpoint.weight
            for hosted in self._intent.hosted
            if hosted.key == cluster
            for endpoint in hosted.endpoints
            if not endpoint.drained and (not subset or subset in endpoint.subsets) and self._healthy(hosted, endpoint)
        )

    def unhealthy(self, hosted: Hosted) -> frozenset[Socket]:
        """Endpoints that a health check found bad which is not Envoy's own of the cluster: Envoy must be told."""
        found = set()
        own = bool(hosted.health_checks) and hosted.health_checks[0].udp is None
        for endpoint in hosted.endpoints:
            probes = self._hosts(hosted, endpoint)[1 if own else 0 :]
            verdicts = [self._verdicts.get(host) for host in probes]
            if any(verdict is not None and not verdict.healthy for verdict in verdicts):
                found.add(endpoint.socket)
        return frozenset(found)

    def unserved(self, hosted: Hosted) -> frozenset[str]:
        """Subsets without a healthy endpoint here, if the cluster has a fallback: by itself Envoy takes it only for
        subsets without any endpoint."""
        if hosted.fallback is None:
            return frozenset()
        able = (each for each in hosted.endpoints if not each.drained and self._healthy(hosted, each))
        return frozenset(name for name, _ in hosted.subsets).difference(*(each.subsets for each in able))

    def endpoints(self) -> list[LocalEndpoint]:
        """Every endpoint of this site that Envoy has accepted."""
        found = []
        for hosted, endpoint in _pairs(self._intent) if self._intent else ():
            verdict = self._verdict(hosted, endpoint)
            name = self._name(hosted, endpoint)
            found.append(
                LocalEndpoint(
                    cluster=hosted.key,
                    endpoint=endpoint.key,
                    name=endpoint.name,
                    address=endpoint.socket.address,
                    port=endpoint.socket.port,
                    weight=endpoint.weight,
                    healthy=self._healthy(hosted, endpoint),
                    reason=_reason(hosted, endpoint, verdict),
                    since=verdict.since if verdict is not None else None,
                    announced=name in self._announced,
                    drained=endpoint.drained,
                    transitions=self._transitions.get(name, ()),
                )
            )
        return found

    def _desired(self, now: float) -> Mapping[str, HealthyEndpoint]:
        intent = self._intent
        if intent is None or (self._drained_at is not None and now >= self._drained_at + DRAIN):
            return {}
        return {
            self._name(hosted, endpoint): HealthyEndpoint(
                hosted.number,
                endpoint.weight,
                draining=intent.drained or endpoint.drained,
                subsets=frozenset(map(subset_mark, endpoint.subsets)),
            )
            for hosted, endpoint in _pairs(intent)
            if hosted.number
            and self._healthy(hosted, endpoint)
            and now < self._draining.get(self._name(hosted, endpoint), now) + DRAIN
        }

    def _healthy(self, hosted: Hosted, endpoint: Endpoint) -> bool:
        if not hosted.health_checks:
            return True
        verdict = self._verdict(hosted, endpoint)
        if verdict is None:  # a check was added to a cluster that is in use: it stays so until the first result
            return self._name(hosted, endpoint) in self._announced
        return verdict.healthy

    def _verdict(self, hosted: Hosted, endpoint: Endpoint) -> Verdict | None:
        """The first check that fails decides; else all must have passed."""
        verdicts = [self._verdicts.get(host) for host in self._hosts(hosted, endpoint)]
        known = [verdict for verdict in verdicts if verdict is not None]
        failed = [verdict for verdict in known if not verdict.healthy]
        if failed:
            return min(failed, key=lambda verdict: verdict.since)
        return max(known, key=lambda verdict: verdict.since) if known and len(known) == len(verdicts) else None

    def _note(self, intent: Intent | None, names: Collection[str] | None = None, port: int | None = None) -> None:
        """Write down what has changed: of all endpoints, or of those that Envoy checks by these names, at this port."""
        if intent is None:
            return
        clusters = intent.hosted if names is None else self._named(names)
        for hosted in clusters:
            for endpoint in hosted.endpoints if hosted.health_checks else ():
                verdict = self._verdict(hosted, endpoint) if port in (None, endpoint.socket.port) else None
                if verdict is None:
                    continue
                name = self._name(hosted, endpoint)
                before = self._transitions.get(name, ())
                if not before or before[-1].healthy != verdict.healthy:
                    transition = Transition(verdict.since, verdict.healthy, verdict.reason)
                    self._transitions[name] = (*before, transition)[-TRANSITIONS:]

    def _clusters_of(self, names: Collection[str]) -> list[ObjectKey]:
        return [hosted.key for hosted in self._named(names)]

    def _named(self, names: Collection[str]) -> list[Hosted]:
        """The clusters that Envoy checks by these names."""
        if self._indexed is not self._intent:
            self._indexed = self._intent
            self._by_xds = {
                name: hosted
                for hosted in (self._intent.hosted if self._intent else ())
                for name in self._xds_names(hosted.key, len(hosted.health_checks))
            }
        found = (self._by_xds.get(name) for name in names)
        return list({hosted.key: hosted for hosted in found if hosted is not None}.values())

    def _hosts(self, hosted: Hosted, endpoint: Endpoint) -> list[_Host]:
        names = self._xds_names(hosted.key, len(hosted.health_checks))
        return [(name, endpoint.socket.address, endpoint.socket.port) for name in names]

    @staticmethod
    def _name(hosted: Hosted, endpoint: Endpoint) -> str:
        return f"{hosted.key}|{endpoint.name}"


def _reason(hosted: Hosted, endpoint: Endpoint, verdict: Verdict | None) -> str:
    if not hosted.health_checks:
        reason = "no health check"
    elif verdict is None:
        reason = "not checked yet"
    else:
        reason = "passes its health checks" if verdict.healthy else f"fails its health check: {verdict.reason}"
    return f"drained, {reason}" if endpoint.drained else reason


def _pairs(intent: Intent) -> Iterable[tuple[Hosted, Endpoint]]:
    return ((hosted, endpoint) for hosted in intent.hosted for endpoint in hosted.endpoints)
