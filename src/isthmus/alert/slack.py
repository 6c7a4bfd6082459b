"""A notification as a message of Slack's incoming webhooks, in Block Kit's blocks.

Their limits: 150 characters in a header, 3000 in a text of a section, 50 blocks.
"""

from datetime import UTC, datetime
from typing import Any

from isthmus.alert.alert import Alert
from isthmus.alert.notification import Notification

MOST = 10
"""Alerts of one message; of more it is said how many there are."""
_HEADER, _TEXT = 150, 3000
_FALLBACK = 1000


def emit_slack(notification: Notification, console: str) -> dict[str, Any]:
    """The JSON. `console` is the URL of the console."""
    alerts = (*notification.firing, *notification.resolved)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _short(notification.title, _HEADER)}}
    ]
    texts = [_short(_line(each), _TEXT) for each in alerts[:MOST]]
    blocks += [{"type": "section", "text": {"type": "mrkdwn", "text": text}} for text in texts]
    left = f"{len(alerts) - MOST} more alerts. " if len(alerts) > MOST else ""
    foot = f"{left}<{_escape(console)}/alerts|Alerts in the console>"
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": foot}]})
    return {"text": _short(_escape(notification.title), _FALLBACK), "blocks": blocks}


def _line(alert: Alert) -> str:
    condition = alert.condition
    over = alert.resolved_at is not None
    mark = ":white_check_mark:" if over else ":red_circle:" if condition.severity == "critical" else ":warning:"
    began = datetime.fromtimestamp(alert.since, UTC).strftime("%Y-%m-%d %H:%M")
    end = ", over" if over else ""
    return f"{mark} *{_escape(condition.subject)}* {_escape(condition.text)}\n{condition.rule}, since {began} UTC{end}"


def _escape(text: str) -> str:
    """Slack's three control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
