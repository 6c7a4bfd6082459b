"""A notification as an e-mail: plain text, and the same as HTML."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape

from isthmus.alert.alert import Alert
from isthmus.alert.notification import Notification
from isthmus.model.alert_receiver import Email

MOST = 200
"""Alerts of one message; of more it is said how many there are."""
_CELL = "padding:4px 12px 4px 0;vertical-align:top"


def emit_email(notification: Notification, email: Email, console: str, delivery: str, at: float) -> EmailMessage:
    """The message.

    Args:
        console: URL of the console.
        delivery: names the delivery: a message that comes twice has the same Message-ID, and can be told by it.
        at: when it was made, seconds since 1970.
    """
    domain = email.sender.rpartition("@")[2]
    message = EmailMessage()
    name, _, host = email.sender.rpartition("@")
    message["From"] = Address("Isthmus", name, host)
    message["To"] = ", ".join(email.to)
    message["Subject"] = _one_line(notification.title)[:200]
    message["Date"] = format_datetime(datetime.fromtimestamp(at, UTC))
    message["Message-ID"] = f"<{delivery}@{domain}>"
    message["References"] = f"<{notification.group.digest}@{domain}>"  # mail programs show a group as a thread
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_plain(notification, console))
    message.add_alternative(_html(notification, console), subtype="html")
    return message


def _parts(notification: Notification) -> Iterator[tuple[str, tuple[Alert, ...], int]]:
    for title, alerts in (("Firing", notification.firing), ("Over", notification.resolved)):
        if alerts:
            yield title, alerts[:MOST], len(alerts)


def _plain(notification: Notification, console: str) -> str:
    lines = []
    for title, alerts, total in _parts(notification):
        lines.append(f"{title} ({total}):")
        for each in alerts:
            condition = each.condition
            lines += [f"- {_one_line(condition.text)}", f"  {condition.rule}, {condition.severity}, {_times(each)}"]
        if total > len(alerts):
            lines.append(f"- and {total - len(alerts)} more")
        lines.append("")
    return "\n".join((*lines, f"{console}/alerts", f"Sent by AlertPolicy {notification.group.policy}.")) + "\n"


def _html(notification: Notification, console: str) -> str:
    rows = []
    for title, alerts, total in _parts(notification):
        rows.append(f'<tr><th colspan="3" align="left" style="{_CELL}">{title} ({total})</th></tr>')
        for each in alerts:
            condition = each.condition
            cells = (condition.severity, condition.rule, f"{condition.text} ({_times(each)})")
            rows.append("<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in cells) + "</tr>")
        if total > len(alerts):
            rows.append(f'<tr><td colspan="3" style="{_CELL}">and {total - len(alerts)} more</td></tr>')
    link = f'<p><a href="{escape(console)}/alerts">Alerts in the console</a></p>'
    foot = f"<p>Sent by AlertPolicy {escape(notification.group.policy)}.</p>"
    table = f'<table style="border-collapse:collapse">{"".join(rows)}</table>'
    title = escape(notification.title)
    return f"<!doctype html><html><head><title>{title}</title></head><body>{table}{link}{foot}</body></html>\n"


def _times(alert: Alert) -> str:
    began = datetime.fromtimestamp(alert.since, UTC).strftime("%Y-%m-%d %H:%M")
    if alert.resolved_at is None:
        return f"since {began} UTC"
    ended = datetime.fromtimestamp(alert.resolved_at, UTC).strftime("%Y-%m-%d %H:%M")
    return f"{began} to {ended} UTC"


def _one_line(text: str) -> str:
    return " ".join(text.split())
