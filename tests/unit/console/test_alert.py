"""What a console finds wrong, from what its sites say."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from isthmus.console.alerting import Alerting
from isthmus.console.database import StoreError
from isthmus.console.finding import Findings, find_conditions
from isthmus.console.notifier import Notifier
from isthmus.console.observation import Observation
from isthmus.protocol import AppliedReport, PresenceReport, Rejection, StatusReport, Version

from .conftest import SHOP, Running, document

FRA, EU = "default/site/fra", "default/region/eu"


def report(now: float, **values: Any) -> StatusReport:
    """A site's report, healthy but for `values`."""
    good = {
        "envoy": {"state": "running"},
        "bgp": {"state": "running"},
        "certificate": {"validUntil": now + 10 * 86_400},
        "endpoints": [],
    }
    return StatusReport(FRA, json.dumps({**good, **values}).encode(), now)


def watched(console: Running, observation: Observation, telemetry: Any = None) -> Alerting:
    """What finds alerts in these observations, on the console's store."""
    deployment, store = console.console.deployment, console.console.context.store
    return Alerting(deployment, observation, telemetry, store, Notifier(deployment, store, ()))


class Told:
    """A telemetry store that answers with what sites told of virtual hosts, and of losses."""

    ready, error = True, ""

    def __init__(self, hosts: list[str], losses: list[tuple[str, str]]) -> None:
        counts = dict.fromkeys(("requests", "retries", "received", "sent", "total_sum"), 100)
        signals = [{"virtual_host": host, "code": 503, "error": "UF", **counts} for host in hosts]
        lost = [{"role": "site", "site": site, "reason": reason, "requests": 4} for site, reason in losses]
        self._answers = {"signal": signals, "latency": [], "loss": lost}
        self.store = self

    async def query(self, sql: str, parameters: Any) -> list[dict[str, Any]]:
        return next(rows for table, rows in self._answers.items() if f"FROM {table}" in sql)


async def test_alerts_follow_what_sites_say(console: Running) -> None:
    await console.http.post("/api/v1/apply", json={"documents": SHOP})
    observation = Observation()
    alerting = watched(console, observation)
    now = time.time()
    for subject in (FRA, "default/site/nyc", EU, "default/region/us"):
        observation.presence("x", PresenceReport(subject, True, now))
    observation.status(report(now))
    await alerting.look(now)
    assert alerting.alerts.list() == []

    key = "default/Route/default/all"
    observation.applied(AppliedReport(FRA, Version(1, 1), (Rejection(key, "nack", "", "no"),)), Version(1, 1), now)
    down = {"cluster": "default/Cluster/default/web", "endpoint": "web-1", "healthy": False, "reason": "timeout"}
    broken: dict[str, Any] = {
        "envoy": {"state": "down", "error": "exited with status 1"},
        "certificate": {"validUntil": now + 3600},
        "endpoints": [down, "nonsense"],
    }
    observation.status(report(now + 1, **broken))
    observation.presence("x", PresenceReport("default/site/nyc", False, now))
    observation.presence("x", PresenceReport(EU, False, now))
    await alerting.look(now + 100)
    found = {each.condition.rule: each.condition.text for each in alerting.alerts.list()}
    assert set(found) == {
        "site-offline", "region-offline", "engine-down", "certificate-expiring", "endpoint-down", "cluster-down",
        "configuration-rejected",
    }  # fmt: skip
    assert found["endpoint-down"] == "web-1 of Cluster default/web is unhealthy at Site fra: timeout"
    assert found["cluster-down"] == "No endpoint of Cluster default/web is healthy at Site fra."
    assert found["engine-down"] == "Envoy of Site fra does not run: exited with status 1."

    observation.status(StatusReport(FRA, b'{"envoy": 7, "endpoints": {"a": 1}, "certificate": null}', now + 2))
    await alerting.look(now + 110)
    assert {each.condition.rule for each in alerting.alerts.list()} == {
        "site-offline", "region-offline", "configuration-rejected",
    }  # fmt: skip


async def test_a_look_takes_apart_only_what_is_new(console: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await console.http.post("/api/v1/apply", json={"documents": SHOP})
    observation, now = Observation(), time.time()
    alerting, taken = watched(console, observation), []

    def find(site: str, status: bytes | None) -> Findings:
        taken.append((site, status is not None))
        return find_conditions(site, status)

    monkeypatch.setattr("isthmus.console.alerting.find_conditions", find)
    for subject in (FRA, "default/site/nyc", EU, "default/region/us"):
        observation.presence("x", PresenceReport(subject, True, now))
    observation.status(report(now, envoy={"state": "down"}))
    for later in (0, 31, 40):
        await alerting.look(now + later)
    assert sorted(taken) == [("fra", True), ("nyc", False)]
    assert [(each.condition.rule, each.state) for each in alerting.alerts.list()] == [("engine-down", "firing")]
    await console.apply(document("Site", "fra", {"regions": ["eu"]}, labels={"in": "all"}))
    await alerting.look(now + 50)
    assert len(taken) == 2, "an edit changes nothing in what sites have said"
    observation.status(report(now + 60, certificate={"validUntil": now + 3 * 86_400}))
    await alerting.look(now + 61)
    assert {each.condition.rule for each in alerting.alerts.list() if each.state != "resolved"} == {
        "certificate-expiring"
    }
    assert len(taken) == 3
    await alerting.look(now + 7_261)
    [expiring] = [each for each in alerting.alerts.list() if each.condition.rule == "certificate-expiring"]
    assert expiring.condition.text.endswith("for another 70 hours."), "time goes on without a new report"
    assert len(taken) == 3


async def test_a_certificate_that_was_not_renewed_is_told(console: Running, pki: Any) -> None:
    now = time.time()
    for name, days in (("late", 2.0), ("good", 30.0)):
        issued = pki.issue("a.example", days=days)
        await console.apply(document("Certificate", name, {"chain": issued.chain, "privateKey": issued.private_key}))
    alerting = watched(console, Observation())
    await alerting.look(now)
    (alert,) = alerting.alerts.list()
    assert (alert.condition.rule, alert.condition.object) == (
        "certificate-expiring", "default/Certificate/default/late",
    )  # fmt: skip
    assert alert.condition.text.endswith(("is valid for another 48 hours.", "is valid for another 47 hours."))


async def test_alerts_by_api(console: Running) -> None:
    answer = (await console.http.get("/api/v1/alerts")).json()
    assert answer["items"] == []
    assert {rule["name"] for rule in answer["rules"]} >= {"site-offline", "error-rate", "certificate-expiring"}
    assert (await console.client("wrong").get("/api/v1/alerts")).status_code == 401


async def test_what_sites_tell_of_traffic_fits_every_database(console: Running) -> None:
    """PostgreSQL keeps no NUL, and no more than a column holds."""
    await console.http.post("/api/v1/apply", json={"documents": SHOP})
    hosts = ["default/shop", "x" * 100 + "/y", "a/b/c", "default/\0", "z" * 9_000]
    alerting = watched(console, Observation(), Told(hosts, [("fra", "\0\n" + "r" * 9_000), ("s" * 400, "buffer")]))
    await alerting.look(time.time())
    found = [each.condition for each in alerting.alerts.list()]
    assert sorted(each.rule for each in found) == ["error-rate"] * len(hosts) + ["telemetry-lost"] * 2
    for each in found:
        assert (each.subject + each.text + each.site + each.namespace + each.object).isprintable()
        assert max(len(each.subject), len(each.text)) <= 500
        assert max(len(each.site), len(each.namespace)) <= 63
    objects = {each.object: each.namespace for each in found if each.object}
    assert objects == {"default/VirtualHost/default/shop": "default"}, "only of an object that there is"


async def test_a_report_with_a_huge_time_ends_no_alerts(console: Running) -> None:
    await console.http.post("/api/v1/apply", json={"documents": SHOP})
    observation, now = Observation(), time.time()
    observation.presence("x", PresenceReport(FRA, True, now))
    observation.status(report(now, certificate={"validUntil": 10**400}, envoy={"state": "down"}))
    alerting = watched(console, observation)
    await alerting.look(now)
    assert [each.condition.rule for each in alerting.alerts.list()] == ["engine-down"]


async def test_who_is_to_be_told_is_told_of_what_cannot_be_kept(console: Running, monkeypatch: Any) -> None:
    hook = {"webhook": {"url": "https://hooks.example/"}}
    policy = {"receivers": [{"name": "hook"}], "match": {"rules": ["telemetry-lost"]}, "groupWait": "0s"}
    await console.apply(
        document("AlertReceiver", "hook", hook, namespace="shared"),
        document("AlertPolicy", "all", policy, namespace="shared"),
    )
    alerting = watched(console, Observation(), Told([], [("fra", "buffer")]))

    def refuse(*_: Any) -> None:
        raise StoreError("The database refused.")

    monkeypatch.setattr(console.console.context.store, "put_alerts", refuse)
    await alerting.look(time.time())
    assert alerting.notifier.waiting("default/AlertReceiver/shared/hook") == 1
