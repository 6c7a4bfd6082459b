"""What the console finds wrong: looked at every few seconds, from what sites and regions say and what requests did."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import structlog
from pydantic_core import from_json

from isthmus.console.deployment import Deployment
from isthmus.console.observation import Observation
from isthmus.console.telemetry import ConsoleTelemetry
from isthmus.model.key import DEFAULT_TENANT
from isthmus.slice import region_subject, site_subject
from isthmus.telemetry.alert import Alerts, Condition
from isthmus.telemetry.question import Selection, ask_latencies, ask_losses, ask_signals
from isthmus.telemetry.signal import add_counts, split_latencies
from isthmus.telemetry.store import QueryRefused, StoreUnavailable
from isthmus.telemetry.window import plan_window

INTERVAL = 10.0
_OF_TRAFFIC = ("error-rate", "latency", "telemetry-lost")
_ERROR_SHARE, _FEWEST = 0.05, 20
_SLOW = 2000.0
_EXPIRES = 3 * 86_400.0
_GRACE = 60.0
"""Seconds after a start in which nobody is missed: regions and sites connect again."""

log = structlog.get_logger()


class Alerting:
    """`run` until cancelled; `alerts` is what it knows."""

    def __init__(self, deployment: Deployment, observation: Observation, telemetry: ConsoleTelemetry | None) -> None:
        self._deployment = deployment
        self._observation = observation
        self._telemetry = telemetry
        self._started = time.time()
        self.alerts = Alerts()

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.look(time.time())
            except Exception:  # a report that nobody foresaw must not end all alerts
                log.exception("alert.look_failed")

    async def look(self, now: float) -> None:
        """Look once."""
        conditions = [*self._regions(now), *self._sites(now)]
        unknown: tuple[str, ...] = ()
        if self._telemetry is not None:
            if not self._telemetry.ready:
                conditions.append(Condition("telemetry-store", "Console", self._telemetry.error))
                unknown = _OF_TRAFFIC
            else:
                try:
                    conditions += await self._traffic(self._telemetry, now)
                except (StoreUnavailable, QueryRefused) as error:
                    conditions.append(Condition("telemetry-store", "Console", str(error)))
                    unknown = _OF_TRAFFIC
        for alert in self.alerts.update(conditions, now, unknown):
            condition = alert.condition
            log.warning(f"alert.{alert.state}", rule=condition.rule, subject=condition.subject, text=condition.text)

    def _regions(self, now: float) -> Iterator[Condition]:
        for record in self._deployment.of_kind("Region", DEFAULT_TENANT):
            known = self._observation.of(region_subject(record.object.key))
            if not known.connected and now - self._started > _GRACE:
                name = f"Region {record.object.metadata.name}"
                yield Condition("region-offline", name, f"{name} is not connected to the console.")

    def _sites(self, now: float) -> Iterator[Condition]:
        for record in self._deployment.of_kind("Site", DEFAULT_TENANT):
            name = f"Site {record.object.metadata.name}"
            known = self._observation.of(site_subject(record.object.key))
            if not known.connected:
                if now - self._started > _GRACE:
                    yield Condition("site-offline", name, f"{name} is connected to no region.")
                continue
            if known.behind_since is not None:
                yield Condition(
                    "lag", name, f"{name} has not used its newest manifest for {now - known.behind_since:.0f} s."
                )
            for each in known.rejections:
                yield Condition(
                    "configuration-rejected", f"{name}: {each.key}", f"{each.key} at {name}: {each.message}"
                )
            yield from _reported(name, _parse(known.status), now)

    async def _traffic(self, telemetry: ConsoleTelemetry, now: float) -> list[Condition]:
        window = plan_window(now - 300, now, 300, now)
        selection = Selection(DEFAULT_TENANT, window, ("virtual_host",))
        questions = (ask_signals(selection), ask_latencies(selection), ask_losses(DEFAULT_TENANT, now - 600, now + 60))
        signals, latencies, losses = [await telemetry.store.query(each.sql, each.parameters) for each in questions]
        places = split_latencies(latencies, [], [], selection.by)
        found = []
        for key, counts in add_counts(signals, selection.by).items():
            host = key[1][0]
            if not host or counts.requests < _FEWEST:
                continue
            share = counts.failed / counts.requests
            if share > _ERROR_SHARE:
                text = f"{share:.1%} of {counts.requests} requests to {host} failed in five minutes."
                found.append(Condition("error-rate", f"VirtualHost {host}", text))
            p99 = places.get(key, {}).get("total", {}).get("p99", 0.0)
            if p99 > _SLOW:
                text = f"One request in a hundred to {host} takes over {p99 / 1000:.1f} s."
                found.append(Condition("latency", f"VirtualHost {host}", text))
        for loss in losses:
            subject = f"{str(loss['role']).capitalize()} {loss['site']}"
            text = f"Nothing is told of {loss['requests']} requests of {subject} ({loss['reason']})."
            found.append(Condition("telemetry-lost", f"{subject}: {loss['reason']}", text))
        return found


def _parse(status: bytes | None) -> dict[str, Any]:
    try:
        parsed = from_json(status or b"{}", allow_inf_nan=False)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _reported(name: str, report: dict[str, Any], now: float) -> Iterator[Condition]:
    """What a site's own report shows. It is not ours: anything in it may be missing or of another type."""
    for engine in ("envoy", "bgp"):
        state = report.get(engine)
        if isinstance(state, dict) and state.get("state") == "down":
            program = "Envoy" if engine == "envoy" else "The BGP speaker"
            yield Condition(
                "engine-down",
                f"{name}: {engine}",
                f"{program} of {name} does not run: {state.get('error') or 'no reason given'}.",
            )
    certificate = report.get("certificate")
    until = certificate.get("validUntil") if isinstance(certificate, dict) else None
    if isinstance(until, int | float) and until - now < _EXPIRES:
        hours = max(0.0, until - now) / 3600
        yield Condition(
            "certificate-expiring", name, f"The certificate of {name} is valid for another {hours:.0f} hours."
        )
    endpoints = report.get("endpoints")
    healthy: dict[str, list[bool]] = {}
    for each in endpoints if isinstance(endpoints, list) else ():
        if not isinstance(each, dict):
            continue
        cluster, endpoint = str(each.get("cluster")), str(each.get("endpoint"))
        good = each.get("healthy") is True
        healthy.setdefault(cluster, []).append(good)
        if not good:
            text = f"{endpoint} of {cluster} at {name} is unhealthy: {each.get('reason') or 'no reason given'}"
            yield Condition("endpoint-down", f"{name}: {endpoint} of {cluster}", text)
    for cluster, states in healthy.items():
        if not any(states):
            yield Condition("cluster-down", f"{name}: {cluster}", f"No endpoint of {cluster} is healthy at {name}.")
