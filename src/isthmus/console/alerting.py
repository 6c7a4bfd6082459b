"""What the console finds wrong: looked at every few seconds, from what sites and regions say and what requests did."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import structlog

from isthmus.alert.alert import REMEMBERED, Alerts, AlertState, Condition
from isthmus.console.database import StoreError
from isthmus.console.deployment import Deployment
from isthmus.console.finding import Findings, find_conditions, receiver_conditions, title_of
from isthmus.console.finding import printable_line as _line
from isthmus.console.notifier import Notifier
from isthmus.console.observation import Observation
from isthmus.console.record import StoredObject
from isthmus.console.store import Store
from isthmus.console.telemetry import ConsoleTelemetry
from isthmus.model.certificate import Certificate
from isthmus.model.key import DEFAULT_TENANT, ObjectKey, parse_key
from isthmus.model.pem import certificate_expiry, parse_pem_certificates
from isthmus.slice import region_subject, site_subject
from isthmus.telemetry.question import Selection, ask_latencies, ask_losses, ask_signals
from isthmus.telemetry.signal import add_counts, split_latencies
from isthmus.telemetry.store import QueryRefused, StoreUnavailable
from isthmus.telemetry.window import plan_window

INTERVAL = 10.0
_OF_TRAFFIC = ("error-rate", "latency", "telemetry-lost")
_ERROR_SHARE, _FEWEST = 0.05, 20
_SLOW = 2000.0
_EXPIRES = 3 * 86_400.0
"""Seconds; a certificate with a lifetime below twelve days is expiring in the last quarter of it."""
_GRACE = 60.0
"""Seconds after a start in which nobody is missed: regions and sites connect again."""
_LONGEST_NAME = 63
HISTORY = 30 * 86_400.0
"""Seconds that alerts are kept after they were resolved."""

log = structlog.get_logger()


class Alerting:
    """`load`, then `run` until cancelled; `alerts` is what it knows, `notifier` who is told."""

    def __init__(
        self,
        deployment: Deployment,
        observation: Observation,
        telemetry: ConsoleTelemetry | None,
        store: Store,
        notifier: Notifier,
    ) -> None:
        self._deployment = deployment
        self._observation = observation
        self._telemetry = telemetry
        self._store = store
        self._started = time.time()
        self._kept: dict[str, AlertState] = {}
        self._keys: tuple[int, dict[str, list[ObjectKey]]] = (-1, {})
        self._findings: dict[str, Findings] = {}
        self._terms: dict[ObjectKey, tuple[str, float, float]] = {}
        self.notifier = notifier
        self.alerts = Alerts()

    async def load(self) -> None:
        """Go on from what was kept. Raises StoreError."""
        known = await self._deployment.call(self._store.alerts, time.time() - REMEMBERED)
        self.alerts = Alerts(known)
        self._kept = {each.id: each.state for each in known}
        await self.notifier.load()

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.look(time.time())
            except Exception:  # a report that nobody foresaw must not end all alerts
                log.exception("alert.look_failed")

    async def look(self, now: float) -> None:
        """Look once, keep what was found, and tell what is due."""
        conditions = [*self._regions(now), *self._sites(now), *self._certificates(now), *self._refused()]
        unknown: tuple[str, ...] = ()
        if self._telemetry is not None:
            if not self._telemetry.ready:
                conditions.append(Condition("telemetry-store", "Console", _line(self._telemetry.error)))
                unknown = _OF_TRAFFIC
            else:
                try:
                    conditions += await self._traffic(self._telemetry, now)
                except (StoreUnavailable, QueryRefused) as error:
                    conditions.append(Condition("telemetry-store", "Console", _line(error)))
                    unknown = _OF_TRAFFIC
        for alert in self.alerts.update(conditions, now, lambda each: self._unknown(each, unknown, now)):
            condition = alert.condition
            log.warning(f"alert.{alert.state}", rule=condition.rule, subject=condition.subject, text=condition.text)
        for step in (self._keep, self._plan):  # who is to be told is told, whatever could not be kept
            try:
                await step(now)
            except StoreError as error:
                log.error("alert.not_kept", reason=str(error))

    async def _plan(self, now: float) -> None:
        await self.notifier.plan(self.alerts.list(), now)

    async def _keep(self, now: float) -> None:
        """Write down what has changed since the last time."""
        current = {each.id: each for each in self.alerts.list()}
        fresh = [each for each in current.values() if self._kept.get(each.id) is not each.state]
        left = [key for key, state in self._kept.items() if key not in current and state is not AlertState.RESOLVED]
        if fresh or left:
            await self._deployment.call(self._store.put_alerts, fresh, left, now - HISTORY)
        self._kept = {key: each.state for key, each in current.items()}

    def _unknown(self, condition: Condition, rules: tuple[str, ...], now: float) -> bool:
        """Whether a condition that was not found may hold nevertheless, since nobody could look."""
        if condition.rule in rules:
            return True
        early = now - self._started <= _GRACE
        if condition.rule in ("site-offline", "region-offline"):
            return early and not self._connected(condition)
        key = ObjectKey(DEFAULT_TENANT, "Site", "", condition.site)
        if condition.rule in _OF_TRAFFIC or not condition.site or key not in self._deployment.records:
            return False
        known = self._observation.of(site_subject(key))
        if not known.connected:
            return True
        return known.applied is None if condition.rule == "configuration-rejected" else known.status is None

    def _connected(self, condition: Condition) -> bool:
        """Of a site or region; also when it was deleted, for then nobody waits for it."""
        kind, _, name = condition.subject.partition(" ")
        key = ObjectKey(DEFAULT_TENANT, kind, "", name)
        subject = site_subject(key) if kind == "Site" else region_subject(key)
        return key not in self._deployment.records or self._observation.of(subject).connected

    def _of_kind(self, kind: str) -> Iterator[StoredObject]:
        """The objects of a kind, by key. All objects are looked through only when some have changed."""
        deployment = self._deployment
        if self._keys[0] != deployment.revision:
            known: dict[str, list[ObjectKey]] = {each: [] for each in ("Region", "Site", "Certificate")}
            for key in deployment.records:
                if key.kind in known and key.tenant == DEFAULT_TENANT:
                    known[key.kind].append(key)
            self._keys = (deployment.revision, {each: sorted(keys) for each, keys in known.items()})
            for gone in self._findings.keys() - {key.name for key in known["Site"]}:
                del self._findings[gone]
            for lost in self._terms.keys() - set(known["Certificate"]):
                del self._terms[lost]
        found = (deployment.records.get(key) for key in self._keys[1][kind])
        return (record for record in found if record is not None)

    def _regions(self, now: float) -> Iterator[Condition]:
        for record in self._of_kind("Region"):
            known = self._observation.of(region_subject(record.object.key))
            if not known.connected and now - self._started > _GRACE:
                name = f"Region {record.object.metadata.name}"
                yield Condition(
                    "region-offline", name, f"{name} is not connected to the console.", object=str(record.object.key)
                )

    def _sites(self, now: float) -> Iterator[Condition]:
        for record in self._of_kind("Site"):
            site = record.object.metadata.name
            name, key = f"Site {site}", str(record.object.key)
            known = self._observation.of(site_subject(record.object.key))
            if not known.connected:
                if now - self._started > _GRACE:
                    yield Condition("site-offline", name, f"{name} is connected to no region.", site, object=key)
                continue
            if known.behind_since is not None:
                text = f"{name} has not used its newest manifest for {now - known.behind_since:.0f} s."
                yield Condition("lag", name, text, site, object=key)
            for each in known.rejections:
                about = self._about(each.key)
                text = _line(f"{name} rejects {title_of(each.key)}: {each.message}")
                yield Condition("configuration-rejected", _line(f"{name}: {title_of(each.key)}"), text, site, *about)
            findings = self._findings.get(site)
            if findings is None or findings.status is not known.status:
                findings = self._findings[site] = find_conditions(site, known.status)
            for found in (*findings.conditions, *receiver_conditions(findings, now)):
                namespace, obj = self._about(found.object) if found.object else ("", key)
                yield replace(found, namespace=namespace, object=obj)
            until = findings.certificate_until
            if until is not None and until < now + _EXPIRES:
                hours = (max(now, until) - now) / 3600
                text = f"The certificate of {name} is valid for another {hours:.0f} hours."
                yield Condition("certificate-expiring", name, text, site, object=key)

    def _certificates(self, now: float) -> Iterator[Condition]:
        """Those that clients are shown, as far as their chains are known here."""
        for record in self._of_kind("Certificate"):
            certificate, key = record.object, record.object.key
            if not isinstance(certificate, Certificate) or certificate.chain is None:
                continue
            chain, start, until = self._terms.get(key, ("", 0.0, 0.0))
            if chain != certificate.chain:
                chain = certificate.chain
                until = certificate_expiry(chain).timestamp()
                start = parse_pem_certificates(chain)[0].not_valid_before_utc.timestamp()
                self._terms[key] = (chain, start, until)
            if until - now < min(_EXPIRES, (until - start) / 4):
                hours = max(0.0, until - now) / 3600
                text = f"{key.title} is valid for another {hours:.0f} hours."
                yield Condition("certificate-expiring", key.title, text, "", key.namespace, str(key))

    def _refused(self) -> Iterator[Condition]:
        """Objects of another release, each once."""
        for key, found in groupby(self._deployment.refused(), lambda each: each.object):
            if key is not None:
                reasons = "; ".join(f"{each.field}: {each.message}" if each.field else each.message for each in found)
                text = _line(f"{key.title} is not accepted as it is stored: {reasons}")
                yield Condition("object-refused", key.title, text, "", key.namespace, str(key))

    def _about(self, text: str) -> tuple[str, str]:
        """Namespace and key of an object that a site names: of one that there is, for a site may say anything."""
        try:
            key = parse_key(text)
        except ValueError:
            return "", ""
        return (key.namespace, str(key)) if key in self._deployment.records else ("", "")

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
            namespace, _, name = host.partition("/")
            about = ("", *self._about(str(ObjectKey(DEFAULT_TENANT, "VirtualHost", namespace, name))))
            subject = _line(f"VirtualHost {host}")
            if share > _ERROR_SHARE:
                text = _line(f"{share:.1%} of {counts.requests} requests to {host} failed in five minutes.")
                found.append(Condition("error-rate", subject, text, *about))
            p99 = places.get(key, {}).get("total", {}).get("p99", 0.0)
            if p99 > _SLOW:
                text = _line(f"One request in a hundred to {host} takes over {p99 / 1000:.1f} s.")
                found.append(Condition("latency", subject, text, *about))
        for loss in losses:
            who = f"{str(loss['role']).capitalize()} {loss['site']}"
            text = _line(f"Nothing is told of {loss['requests']} requests of {who} ({loss['reason']}).")
            site = _line(loss["site"])[:_LONGEST_NAME] if loss["role"] == "site" else ""
            found.append(Condition("telemetry-lost", _line(f"{who}: {loss['reason']}"), text, site))
        return found
