"""The agent's own statistics in Prometheus' text format, in front of Envoy's."""

from __future__ import annotations

import time
from collections.abc import Iterable

import httpx
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from isthmus.discovery.dns.limit import Verdict
from isthmus.site.agent import SiteAgent
from isthmus.site.discovery import Discovery
from isthmus.site.telemetry import SiteTelemetry


class _Telemetry(Collector):
    def __init__(self, telemetry: SiteTelemetry) -> None:
        self._telemetry = telemetry

    def collect(self) -> Iterable[Metric]:
        return self._telemetry.collect()


class _Dns(Collector):
    def __init__(self, discovery: Discovery) -> None:
        self._discovery = discovery

    def collect(self) -> Iterable[Metric]:
        text = "Questions to the site's DNS server over UDP; truncated and dropped are beyond a prefix's limit."
        found = CounterMetricFamily("isthmus_site_dns_questions", text, labels=["got"])
        for verdict in Verdict:
            found.add_metric([verdict.value], self._discovery.verdicts.get(verdict, 0))
        return [found]


class Metrics:
    """Gauges that are set when they are asked for: the agent's state is their only source."""

    def __init__(self, agent: SiteAgent) -> None:
        self._agent = agent
        self._registry = CollectorRegistry()

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"isthmus_site_{name}", text, labels, registry=self._registry)

        self._revision = gauge("revision", "Revision of the manifest.", "state")
        self._rejections = gauge("rejections", "Objects that are not in use as they were asked for.")
        self._engine_up = gauge("engine_up", "Whether a supervised process runs.", "engine")
        self._engine_restarts = gauge(
            "engine_restarts", "Restarts of a supervised process since the agent's.", "engine"
        )
        self._endpoints = gauge("endpoints", "Endpoints of this site.", "state")
        self._remote = gauge("remote_endpoints", "Endpoints of other sites.", "state")
        self._stream = gauge("stream_up", "Whether the stream to a region works.", "region")
        self._registry.register(_Dns(agent.discovery))
        if agent.telemetry is not None:
            self._registry.register(_Telemetry(agent.telemetry))
        self._certificate = gauge("certificate_seconds", "Seconds until the certificate is no longer valid.")

    async def collect(self) -> bytes:
        """The text. Envoy's part is missing while it does not answer."""
        agent = self._agent
        state = agent.refresh()
        for name, version in (("received", state.received), ("applied", state.applied)):
            self._revision.labels(name).set(version[1] if version else 0)
        self._rejections.set(len(state.rejections))
        for name, engine in (("envoy", state.envoy), ("gobgp", state.bgp)):
            self._engine_up.labels(name).set(engine.state == "running")
            self._engine_restarts.labels(name).set(engine.restarts)
        healthy = [each.healthy for each in agent.egress.endpoints()]
        self._endpoints.labels("healthy").set(sum(healthy))
        self._endpoints.labels("unhealthy").set(len(healthy) - sum(healthy))
        stale = [each.entry.stale_since is not None for each in agent.ingress.remote_endpoints()]
        self._remote.labels("fresh").set(len(stale) - sum(stale))
        self._remote.labels("stale").set(sum(stale))
        for region, connection in agent.uplink.connections.items():
            self._stream.labels(region).set(connection.connected)
        if state.certificate_until is not None:
            self._certificate.set(state.certificate_until - time.time())
        try:
            return generate_latest(self._registry) + await agent.envoy.admin.statistics()
        except httpx.HTTPError:
            return generate_latest(self._registry)
