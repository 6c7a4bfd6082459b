"""The egress side: which of this site's endpoints are healthy, and what other sites are told about them.

An endpoint is announced when Envoy has accepted the cluster with it and, if the cluster has health checks, has found it
healthy. While Envoy is down nothing is announced. A drained site announces its endpoints as draining, and withdraws
them when `DRAIN` seconds have passed; so does an endpoint that is drained by itself.

Until Envoy has accepted a first intent and was asked for its findings, nothing is planned at all: what a running BGP
speaker announces from before stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from isthmus.compile.intent import Hosted, Intent, Socket
from isthmus.engine.envoy import HealthEvent, HostHealth
from isthmus.health.announcer import AnnouncementPlan, Announcer, EndpointNumbers, HealthyEndpoint
from isthmus.health.route import EndpointRoute
from isthmus.model.key import ObjectKey
from isthmus.model.subset import subset_mark
from isthmus.site.local_cluster import Host, LocalCluster, LocalMember

TRANSITIONS = 10
"""The latest transitions of an endpoint that are remembered."""
DRAIN = 10.0
"""Seconds from announcing endpoints as draining to their withdrawal."""


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
        self._clusters: dict[ObjectKey, LocalCluster] = {}
        self._by_xds: dict[str, LocalCluster] = {}
        self._wanted: dict[ObjectKey, Mapping[str, HealthyEndpoint]] = {}
        self._verdicts: dict[Host, Verdict] = {}
        self._heard = False
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
        self._wanted.clear()

    def routes(self) -> tuple[EndpointRoute, ...]:
        """Everything announced: what a speaker that starts afresh must be told."""
        return self._announcer.announced() if self._announcer is not None else ()

    def confirm(self, intent: Intent, now: float, *, again: bool = False) -> float | None:
        """Envoy has accepted `intent`. Returns when to call `plan` again though nothing happens, Unix seconds.

        `again`: an Envoy that has just connected has what was confirmed before, and may have found out about endpoints
        of an intent that is on its way. It says so once, so that is kept.
        """
        turned = self._intent is None or self._intent.drained != intent.drained
        changed, gone = self._use(intent)
        self._down = False
        if not intent.drained:
            self._drained_at = None
        elif self._drained_at is None:
            self._drained_at = now if self._announced else 0.0
        self._draining = {
            name: self._draining.get(name, now if name in self._announced else 0.0)
            for cluster in self._clusters.values()
            for name in cluster.drained
        }
        if again:  # perhaps before this intent was confirmed for the first time
            self._keep_numbers(self._numbers.allocate(_names(self._clusters.values())))
        elif changed or gone or self._heard:
            self._retain()
        if turned:
            self._wanted.clear()
            changed = list(self._clusters.values())
        self._note(changed)
        self._changed([cluster.hosted.key for cluster in changed])
        return self.plan(now)

    def in_force(self, intent: Intent) -> Intent:
        """Of an intent that Envoy has not been given, what it has nevertheless: without the endpoints that count as
        healthy unchecked and that Envoy has not told of."""
        hosted = tuple(self._known(each) for each in map(self._cluster, intent.hosted))
        return replace(intent, hosted=hosted)

    def _known(self, cluster: LocalCluster) -> Hosted:
        found = (each for each in cluster.members if each.checked or not self._verdicts.keys().isdisjoint(each.hosts))
        known = tuple(each.endpoint for each in found)
        return cluster.hosted if len(known) == len(cluster.members) else replace(cluster.hosted, endpoints=known)

    def hear(self, event: HealthEvent, now: float) -> float | None:
        """A health check has another result. As `plan`."""
        host = (event.cluster, event.address, event.port)
        self._verdicts[host] = Verdict(event.healthy, event.reason, event.at)
        self._take([event.cluster], event.port)
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
        self._take(touched)
        return self.plan(now)

    def envoy_down(self, now: float) -> None:
        """Envoy is gone, and with it everything that it knew."""
        self._verdicts.clear()
        clusters = list(self._clusters)
        self._use(None)
        self._down = True
        self._changed(clusters)
        self.plan(now)

    def leave(self, intent: Intent, now: float) -> bool:
        """Withdraw what `intent` no longer holds, before it is taken from Envoy. True if there was something."""
        if self._intent is None:
            return False
        kept = _names(map(self._cluster, intent.hosted))
        if self._announced <= kept:
            return False
        hosted = (
            each.hosted
            if each.names <= kept
            else replace(each.hosted, endpoints=tuple(e.endpoint for e in each.members if e.name in kept))
            for each in self._clusters.values()
        )
        self._use(replace(self._intent, hosted=tuple(hosted)))
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
        known = self._clusters.get(cluster)
        return sum(
            member.endpoint.weight
            for member in (known.members if known is not None else ())
            if not member.endpoint.drained
            and (not subset or subset in member.endpoint.subsets)
            and self._healthy(member)
        )

    def unhealthy(self, hosted: Hosted) -> frozenset[Socket]:
        """Endpoints that a health check found bad which is not Envoy's own of the cluster: Envoy must be told."""
        found = set()
        own = bool(hosted.health_checks) and hosted.health_checks[0].udp is None
        for member in self._cluster(hosted).members:
            verdicts = [self._verdicts.get(host) for host in member.hosts[1 if own else 0 :]]
            if any(verdict is not None and not verdict.healthy for verdict in verdicts):
                found.add(member.endpoint.socket)
        return frozenset(found)

    def unserved(self, hosted: Hosted) -> frozenset[str]:
        """Subsets without a healthy endpoint here, if the cluster has a fallback: by itself Envoy takes it only for
        subsets without any endpoint."""
        if hosted.fallback is None:
            return frozenset()
        members = self._cluster(hosted).members
        able = (each.endpoint for each in members if not each.endpoint.drained and self._healthy(each))
        return frozenset(name for name, _ in hosted.subsets).difference(*(each.subsets for each in able))

    def endpoints(self) -> list[LocalEndpoint]:
        """Every endpoint of this site that Envoy has accepted."""
        return [self._show(cluster.hosted, each) for cluster in self._clusters.values() for each in cluster.members]

    def _show(self, hosted: Hosted, member: LocalMember) -> LocalEndpoint:
        endpoint, verdict = member.endpoint, self._verdict(member)
        return LocalEndpoint(
            cluster=hosted.key,
            endpoint=endpoint.key,
            name=endpoint.name,
            address=endpoint.socket.address,
            port=endpoint.socket.port,
            weight=endpoint.weight,
            healthy=self._healthy(member),
            reason=_reason(member, verdict),
            since=verdict.since if verdict is not None else None,
            announced=member.name in self._announced,
            drained=endpoint.drained,
            transitions=self._transitions.get(member.name, ()),
        )

    def _desired(self, now: float) -> Mapping[str, HealthyEndpoint]:
        """What should be announced. A cluster is looked at again when it or its health has changed, or time counts."""
        intent = self._intent
        if intent is None or (self._drained_at is not None and now >= self._drained_at + DRAIN):
            self._wanted.clear()
            return {}
        found: dict[str, HealthyEndpoint] = {}
        for key, cluster in self._clusters.items():
            wanted = self._wanted.get(key)
            if wanted is None:
                wanted = self._wants(cluster, intent.drained, now)
                if not cluster.drained:
                    self._wanted[key] = wanted
            found.update(wanted)
        return found

    def _wants(self, cluster: LocalCluster, drained: bool, now: float) -> Mapping[str, HealthyEndpoint]:
        number = cluster.hosted.number
        return {
            member.name: HealthyEndpoint(
                number,
                member.endpoint.weight,
                draining=drained or member.endpoint.drained,
                subsets=frozenset(map(subset_mark, member.endpoint.subsets)),
            )
            for member in (cluster.members if number else ())
            if self._healthy(member) and now < self._draining.get(member.name, now) + DRAIN
        }

    def _healthy(self, member: LocalMember) -> bool:
        if not member.checked:
            return True
        verdict = self._verdict(member)
        if verdict is None:  # a check was added to a cluster that is in use: it stays so until the first result
            return member.name in self._announced
        return verdict.healthy

    def _verdict(self, member: LocalMember) -> Verdict | None:
        """The first check that fails decides; else all must have passed."""
        if len(member.hosts) == 1:
            return self._verdicts.get(member.hosts[0])
        verdicts = [self._verdicts.get(host) for host in member.hosts]
        known = [verdict for verdict in verdicts if verdict is not None]
        failed = [verdict for verdict in known if not verdict.healthy]
        if failed:
            return min(failed, key=lambda verdict: verdict.since)
        return max(known, key=lambda verdict: verdict.since) if known and len(known) == len(verdicts) else None

    def _use(self, intent: Intent | None) -> tuple[list[LocalCluster], list[LocalCluster]]:
        """Take an intent as what Envoy has: (the clusters that are new or other than before, those that are gone).

        A cluster that stays costs nothing: the compiler gives the same object again.
        """
        before = self._clusters
        now = {hosted.key: self._cluster(hosted) for hosted in (intent.hosted if intent is not None else ())}
        changed = [cluster for key, cluster in now.items() if before.get(key) is not cluster]
        gone = [cluster for key, cluster in before.items() if now.get(key) is not cluster]
        self._intent, self._clusters = intent, now
        for cluster in gone:
            self._wanted.pop(cluster.hosted.key, None)
            for name in cluster.xds_names:
                self._by_xds.pop(name, None)
        self._by_xds.update((name, cluster) for cluster in changed for name in cluster.xds_names)
        return changed, gone

    def _cluster(self, hosted: Hosted) -> LocalCluster:
        known = self._clusters.get(hosted.key)
        if known is not None and known.hosted is hosted:
            return known
        return LocalCluster(hosted, self._xds_names(hosted.key, len(hosted.health_checks)))

    def _retain(self) -> None:
        """Forget what is known of endpoints that are no more, and give numbers to new ones."""
        self._heard = False
        names = _names(self._clusters.values())
        for name in self._transitions.keys() - names:
            del self._transitions[name]
        self._keep_numbers(self._numbers.retain(names).allocate(names))
        hosts: set[Host] = set()
        hosts.update(*(cluster.hosts for cluster in self._clusters.values()))
        for host in self._verdicts.keys() - hosts:
            del self._verdicts[host]

    def _keep_numbers(self, numbers: EndpointNumbers) -> None:
        if numbers is not self._numbers:
            self._save(numbers)
            self._numbers = numbers

    def _take(self, names: Iterable[str], port: int | None = None) -> None:
        """The health of clusters that Envoy checks by these names has changed: of all endpoints, or those at a port."""
        self._heard = True
        found = (self._by_xds.get(name) for name in names)
        clusters = list({each.hosted.key: each for each in found if each is not None}.values())
        for cluster in clusters:
            self._wanted.pop(cluster.hosted.key, None)
        self._note(clusters, port)
        self._changed([cluster.hosted.key for cluster in clusters])

    def _note(self, clusters: Iterable[LocalCluster], port: int | None = None) -> None:
        """Write down what has changed of the endpoints of these clusters: of all, or of those at this port."""
        for cluster in clusters:
            for member in cluster.members if cluster.hosted.health_checks else ():
                verdict = self._verdict(member) if port in (None, member.endpoint.socket.port) else None
                if verdict is None:
                    continue
                before = self._transitions.get(member.name, ())
                if not before or before[-1].healthy != verdict.healthy:
                    transition = Transition(verdict.since, verdict.healthy, verdict.reason)
                    self._transitions[member.name] = (*before, transition)[-TRANSITIONS:]


def _reason(member: LocalMember, verdict: Verdict | None) -> str:
    if not member.checked:
        reason = "no health check"
    elif verdict is None:
        reason = "not checked yet"
    else:
        reason = "passes its health checks" if verdict.healthy else f"fails its health check: {verdict.reason}"
    return f"drained, {reason}" if member.endpoint.drained else reason


def _names(clusters: Iterable[LocalCluster]) -> set[str]:
    names: set[str] = set()
    names.update(*(cluster.names for cluster in clusters))
    return names
