"""A notification as Prometheus' Alertmanager sends it to webhooks, version 4: what reads those reads ours."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from isthmus.alert.alert import RULES, Alert
from isthmus.alert.notification import Notification

_NEVER = "0001-01-01T00:00:00Z"
MOST = 500
"""Alerts of one message; of more it is said how many were left out."""


def emit_webhook(notification: Notification, receiver: str, console: str) -> dict[str, Any]:
    """The JSON. `receiver` is `namespace/name`, `console` the URL of the console."""
    alerts = (*notification.firing, *notification.resolved)
    return {
        "version": "4",
        "groupKey": str(notification.group),
        "truncatedAlerts": max(0, len(alerts) - MOST),
        "status": notification.status,
        "receiver": receiver,
        "groupLabels": dict(notification.group.labels),
        "commonLabels": _common(each.condition.labels for each in alerts),
        "commonAnnotations": _common(_annotations(each) for each in alerts),
        "externalURL": console,
        "alerts": [_alert(each, console) for each in alerts[:MOST]],
    }


def _alert(alert: Alert, console: str) -> dict[str, Any]:
    return {
        "status": "firing" if alert.resolved_at is None else "resolved",
        "labels": alert.condition.labels,
        "annotations": _annotations(alert),
        "startsAt": _time(alert.since),
        "endsAt": _NEVER if alert.resolved_at is None else _time(alert.resolved_at),
        "generatorURL": f"{console}/alerts",
        "fingerprint": alert.condition.fingerprint,
    }


def _annotations(alert: Alert) -> dict[str, str]:
    return {"summary": alert.condition.text, "description": RULES[alert.condition.rule].summary}


def _common(sets: Iterable[dict[str, str]]) -> dict[str, str]:
    first, *others = sets
    return {name: value for name, value in first.items() if all(each.get(name) == value for each in others)}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
