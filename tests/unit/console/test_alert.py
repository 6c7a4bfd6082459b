"""What a console finds wrong, from what its sites say."""

from __future__ import annotations

import json
import time
from typing import Any

from isthmus.console.alerting import Alerting
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


def watched(console: Running, observation: Observation) -> Alerting:
    """What finds alerts in these observations, on the console's store."""
    deployment, store = console.console.deployment, console.console.context.store
    return Alerting(deployment, observation, None, store, Notifier(deployment, store, ()))


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
    assert found["endpoint-down"].endswith("web-1 of default/Cluster/default/web at Site fra is unhealthy: timeout")
    assert found["engine-down"] == "Envoy of Site fra does not run: exited with status 1."

    observation.status(StatusReport(FRA, b'{"envoy": 7, "endpoints": {"a": 1}, "certificate": null}', now + 2))
    await alerting.look(now + 110)
    assert {each.condition.rule for each in alerting.alerts.list()} == {
        "site-offline", "region-offline", "configuration-rejected",
    }  # fmt: skip


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
