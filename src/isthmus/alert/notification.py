"""What is told: a group of alerts, those that fire and those that are over. And the same as JSON, to be kept."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from isthmus.alert.alert import Alert, AlertState, Condition


@dataclass(frozen=True, slots=True)
class GroupKey:
    """A policy (its key as text), and the values of the labels that it groups by."""

    policy: str
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        inside = ", ".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.policy}:{{{inside}}}"

    @property
    def digest(self) -> str:
        """32 hexadecimal digits: what incidents and threads of messages are known by."""
        return sha256(str(self).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Notification:
    """One message. `is_test`: somebody pressed a button, and nothing is wrong."""

    group: GroupKey
    firing: tuple[Alert, ...]
    resolved: tuple[Alert, ...] = ()
    is_test: bool = False

    @property
    def status(self) -> str:
        """`firing` while anything of the group fires, else `resolved`."""
        return "firing" if self.firing else "resolved"

    @property
    def severity(self) -> str:
        """The worst of its alerts."""
        found = {each.condition.severity for each in self.firing or self.resolved}
        return "critical" if "critical" in found else "warning"

    @property
    def title(self) -> str:
        """One line: `[FIRING:2] site-offline`."""
        alerts = self.firing or self.resolved
        count = f":{len(alerts)}" if len(alerts) > 1 else ""
        labels = " ".join(value for _, value in self.group.labels if value)
        subject = alerts[0].condition.subject if len(alerts) == 1 else ""
        rules = sorted({each.condition.rule for each in alerts})
        about = " ".join(part for part in (labels or ", ".join(rules[:3]), subject) if part)
        return f"{'[TEST] ' if self.is_test else ''}[{self.status.upper()}{count}] {about}"


def emit_alert(alert: Alert) -> dict[str, Any]:
    """An alert as it is kept."""
    return asdict(alert)


def parse_alert(document: Mapping[str, Any]) -> Alert:
    """What `emit_alert` gave."""
    return Alert(
        Condition(**document["condition"]),
        AlertState(document["state"]),
        document["since"],
        document["fired_at"],
        document["resolved_at"],
    )


def emit_notification(notification: Notification) -> str:
    """A notification as it is kept."""
    return json.dumps(
        {
            "policy": notification.group.policy,
            "labels": notification.group.labels,
            "firing": [emit_alert(each) for each in notification.firing],
            "resolved": [emit_alert(each) for each in notification.resolved],
            "test": notification.is_test,
        },
        sort_keys=True,
    )


def parse_notification(text: str) -> Notification:
    """What `emit_notification` gave."""
    document = json.loads(text)
    labels = tuple((name, value) for name, value in document["labels"])
    return Notification(
        GroupKey(document["policy"], labels),
        tuple(parse_alert(each) for each in document["firing"]),
        tuple(parse_alert(each) for each in document["resolved"]),
        document["test"],
    )
