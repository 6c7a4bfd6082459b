"""A site's gauges, read off its agent and its Envoy.

The first sample of each minute tells all of them, the others what has changed: of thousands of sites, most are as they
were.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import httpx

from isthmus.compile.intent import Intent, Listener, Stream
from isthmus.emit.envoy import name as xds
from isthmus.site.agent import SiteAgent
from isthmus.telemetry.gauge import MOST, Gauge

_CONNECTIONS = r"^((http|listener|cluster)\..+\.(down|up)stream_cx_active|udp\..+\.downstream_sess_active)$"
_FRESH = 60.0
"""Seconds after a change of health in which hearing of it counts: later it was a session that came back."""


_MINUTE = 60.0
_EVENTS = ("health_transitions", "health_lag_seconds")
"""Told whenever there is one: the same value again is another."""
_STEADY = ("certificate_seconds",)
"""Told with all others only: it changes all the time, and says nothing by that."""


class Gauges:
    """`take` once per sample."""

    def __init__(self, agent: SiteAgent, clock: Callable[[], float] = time.time) -> None:
        self._agent = agent
        self._clock = clock
        self._taken = clock()
        self._behind: float | None = None
        self._open: set[tuple[str, str]] = set()
        self._told: dict[tuple[str, str], float] = {}
        self._minute = -1.0

    async def take(self) -> list[Gauge]:
        """The values of now. Connections are missing while Envoy does not answer."""
        now = self._clock()
        found = [*self._state(now), *self._health(now)]
        plan = self._agent.plan
        try:
            numbers = await self._agent.envoy.admin.counters(_CONNECTIONS)
        except (httpx.HTTPError, ValueError, KeyError):
            numbers = {}
        if plan is not None and numbers:
            counts = count_connections(numbers, plan_labels(plan.intent))
            # a zero is told once: most of many clusters have none most of the time
            found += [Gauge(*key, value) for key, value in sorted(counts.items()) if value or key in self._open]
            self._open = {key for key, value in counts.items() if value}
        self._taken = now
        minute = now // _MINUTE
        whole, self._minute = minute != self._minute, minute
        before, self._told = self._told, {(each.name, each.label): each.value for each in found}
        return (found if whole else changes_of(found, before))[:MOST]

    def _state(self, now: float) -> Iterator[Gauge]:
        agent = self._agent
        state = agent.refresh()
        yield Gauge("process_up", "agent", 1)
        for name, engine in (("envoy", state.envoy), ("gobgp", state.bgp)):
            yield Gauge("process_up", name, engine.state == "running")
            yield Gauge("process_restarts", name, engine.restarts)
        for region, session in agent.ingress.table.sessions().items():
            yield Gauge("bgp_session_up", region, str(session) == "live")
        for region, connection in agent.uplink.connections.items():
            yield Gauge("stream_up", region, connection.connected)
        if state.certificate_until is not None:
            yield Gauge("certificate_seconds", "", state.certificate_until - now)
        if state.received == state.applied:
            self._behind = None
        elif self._behind is None:
            self._behind = now
        yield Gauge("configuration_lag_seconds", "", 0 if self._behind is None else now - self._behind)

    def _health(self, now: float) -> Iterator[Gauge]:
        endpoints = self._agent.egress.endpoints()
        healthy = sum(each.healthy for each in endpoints)
        yield Gauge("endpoints", "healthy", healthy)
        yield Gauge("endpoints", "unhealthy", len(endpoints) - healthy)
        changes: Counter[str] = Counter()
        for each in endpoints:
            changes[str(each.endpoint)] += sum(self._taken < change.at <= now for change in each.transitions)
        yield from (Gauge("health_transitions", key, count) for key, count in sorted(changes.items()) if count)
        remote = list(self._agent.ingress.remote_endpoints())
        stale = sum(each.entry.stale_since is not None for each in remote)
        yield Gauge("remote_endpoints", "fresh", len(remote) - stale)
        yield Gauge("remote_endpoints", "stale", stale)
        lags: dict[str, float] = {}
        for one in remote:
            changed, heard = one.entry.route.changed_at / 1000, one.entry.heard_at
            if self._taken < heard <= now and heard - changed < _FRESH:
                lags[one.site] = max(lags.get(one.site, 0.0), heard - changed)
        yield from (Gauge("health_lag_seconds", site, lag) for site, lag in sorted(lags.items()))


def changes_of(found: Sequence[Gauge], before: Mapping[tuple[str, str], float]) -> list[Gauge]:
    """What is to be told of a sample when all of `before` was."""
    return [
        each
        for each in found
        if each.name in _EVENTS or (each.name not in _STEADY and before.get((each.name, each.label)) != each.value)
    ]


def plan_labels(intent: Intent) -> dict[str, str]:
    """What Envoy's statistics of clients' connections are of: a virtual host, or a socket that several share."""
    return {name: label for each in intent.listeners for name, label in _labels(each)}


def _labels(listener: Listener) -> Iterator[tuple[str, str]]:
    socket = xds.ingress_listener(listener.socket)
    if listener.virtual_hosts:
        alone = listener.virtual_hosts[0].key.path if len(listener.virtual_hosts) == 1 else socket
        yield f"http.{xds.statistics(socket)}.downstream_cx_active", alone
    for chain in listener.chains:
        if not isinstance(chain.to, Stream):
            key = chain.to.key
            yield f"http.{xds.statistics(xds.chain(listener.socket, key))}.downstream_cx_active", key.path
    if listener.stream is not None:
        path = listener.stream.key.path
        yield f"listener.{str(listener.socket).replace(':', '_')}.downstream_cx_active", path
        yield f"udp.{xds.statistics(socket)}.downstream_sess_active", path


def count_connections(numbers: Mapping[str, int], labels: Mapping[str, str]) -> dict[tuple[str, str], float]:
    """Open connections by gauge and label."""
    found: dict[tuple[str, str], float] = {}
    for name, value in numbers.items():
        if name in labels:
            key = ("connections_downstream", labels[name])
        elif name.startswith("cluster."):
            cluster = xds.parse_cluster(name.removeprefix("cluster.").removesuffix(".upstream_cx_active"))
            if cluster is None:
                continue
            key = ("connections_upstream", cluster.path)
        else:
            continue
        found[key] = found.get(key, 0) + value
    return found
