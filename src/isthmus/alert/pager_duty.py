"""A notification as an event of PagerDuty's Events API v2: a group is an incident, known by its `dedup_key`."""

from datetime import UTC, datetime
from typing import Any

from isthmus.alert.notification import Notification

_SUMMARY = 1024
_DETAILS = 50
"""Alerts that are told in the details: an event has 512 KB at most."""


def emit_pager_duty(notification: Notification, routing_key: str, console: str) -> dict[str, Any]:
    """The JSON. `console` is the URL of the console."""
    head = {"routing_key": routing_key, "dedup_key": notification.group.digest}
    if not notification.firing:
        return {**head, "event_action": "resolve"}
    first = min(notification.firing, key=lambda each: each.since)
    conditions = [each.condition for each in notification.firing]
    text = notification.firing[0].condition.text if len(conditions) == 1 else notification.title
    payload: dict[str, Any] = {
        "summary": text[:_SUMMARY],
        "source": ", ".join(sorted({each.site or each.subject for each in conditions}))[:_SUMMARY],
        "severity": notification.severity,
        "timestamp": datetime.fromtimestamp(first.since, UTC).isoformat(timespec="milliseconds"),
        "component": conditions[0].subject[:_SUMMARY],
        "group": notification.group.policy,
        "class": ", ".join(sorted({each.rule for each in conditions})),
        "custom_details": {
            "firing": [each.text for each in conditions[:_DETAILS]],
            "resolved": [each.condition.text for each in notification.resolved[:_DETAILS]],
            "num_firing": len(conditions),
            "num_resolved": len(notification.resolved),
        },
    }
    return {
        **head,
        "event_action": "trigger",
        "payload": payload,
        "client": "Isthmus",
        "client_url": f"{console}/alerts",
        "links": [{"href": f"{console}/alerts", "text": "Alerts in the console"}],
    }
