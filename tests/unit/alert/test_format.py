"""What receivers are sent, against the formats that they publish."""

from __future__ import annotations

import json
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from isthmus.alert.alert import Alert, AlertState, Condition
from isthmus.alert.email import emit_email
from isthmus.alert.notification import GroupKey, Notification, emit_notification, parse_notification
from isthmus.alert.pager_duty import emit_pager_duty
from isthmus.alert.slack import emit_slack
from isthmus.alert.webhook import MOST, emit_webhook
from isthmus.model.alert_receiver import Email

CONSOLE = "https://console.example:7400"
GROUP = GroupKey("default/AlertPolicy/shop/all", (("alertname", "endpoint-down"),))
HOSTILE = "<!channel> & <b>bold</b>\u2026"


def alert(
    number: int, *, over: bool = False, text: str = "web-1 is unhealthy: timeout", rule: str = "endpoint-down"
) -> Alert:
    condition = Condition(rule, f"Site fra: web-{number}", text, "fra", "shop", "default/Cluster/shop/web")
    since = 1_790_000_000.0 + number
    state = AlertState.RESOLVED if over else AlertState.FIRING
    return Alert(condition, state, since, since + 30, since + 600 if over else None)


ONE = Notification(GROUP, (alert(1),))
MIXED = Notification(GROUP, (alert(1), alert(2, text=HOSTILE)), (alert(3, over=True),))
OVER = Notification(GROUP, (), (alert(1, over=True),))
MANY = Notification(GROUP, tuple(alert(each, text="x" * 500) for each in range(1000)))
WORST = Notification(GROUP, (alert(1), alert(2, rule="cluster-down")), is_test=True)
ALL = [ONE, MIXED, OVER, MANY, WORST]


def check(name: str, document: Any) -> None:
    schema = json.loads((Path(__file__).parent / "schema" / f"{name}.json").read_text())
    jsonschema.validate(json.loads(json.dumps(document)), schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("notification", ALL)
def test_every_form_is_as_published(notification: Notification) -> None:
    check("webhook", emit_webhook(notification, "shop/hook", CONSOLE))
    check("slack", emit_slack(notification, CONSOLE))
    event = emit_pager_duty(notification, "0123456789abcdef0123456789abcdef", CONSOLE)
    check("pager_duty", event)
    assert len(json.dumps(event)) < 512 * 1024
    assert parse_notification(emit_notification(notification)) == notification


def test_a_webhook_tells_what_the_alerts_have_in_common() -> None:
    sent = emit_webhook(MIXED, "shop/hook", CONSOLE)
    assert (sent["status"], sent["groupLabels"]) == ("firing", {"alertname": "endpoint-down"})
    assert sent["commonLabels"] == {
        "alertname": "endpoint-down", "severity": "warning", "site": "fra", "namespace": "shop",
        "object": "default/Cluster/shop/web",
    }  # fmt: skip
    assert [each["status"] for each in sent["alerts"]] == ["firing", "firing", "resolved"]
    assert sent["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"
    assert sent["alerts"][2]["endsAt"] == "2026-09-21T14:23:23.000Z"
    many = emit_webhook(MANY, "shop/hook", CONSOLE)
    assert (len(many["alerts"]), many["truncatedAlerts"]) == (MOST, 500)


def test_slack_reads_no_commands_in_what_sites_say() -> None:
    text = json.dumps(emit_slack(MIXED, CONSOLE), ensure_ascii=False)
    assert "<!channel>" not in text
    assert "&lt;!channel&gt; &amp; &lt;b&gt;" in text


def test_an_incident_is_closed_by_the_key_that_opened_it() -> None:
    opened, closed = (emit_pager_duty(each, "k" * 32, CONSOLE) for each in (ONE, OVER))
    assert (opened["event_action"], closed["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == closed["dedup_key"]
    assert opened["payload"]["severity"] == "warning"
    assert emit_pager_duty(WORST, "k" * 32, CONSOLE)["payload"]["severity"] == "critical"
    other = Notification(GroupKey(GROUP.policy, (("alertname", "latency"),)), ONE.firing)
    assert emit_pager_duty(other, "k" * 32, CONSOLE)["dedup_key"] != opened["dedup_key"]


def test_an_email_is_the_same_as_text_and_as_html() -> None:
    email = Email(to=("ops@example.org", "o'neill@example.org"), sender="isthmus@example.org", host="mail.example.org")
    sent = message_from_bytes(emit_email(MIXED, email, CONSOLE, "d1", 1_790_000_000).as_bytes(), policy=policy.default)
    assert sent["Subject"] == "[FIRING:2] endpoint-down"
    assert (sent["To"], sent["Message-ID"]) == ("ops@example.org, o'neill@example.org", "<d1@example.org>")
    assert sent["Auto-Submitted"] == "auto-generated"
    plain, html = (sent.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    for text in (plain.get_content(), html.get_content()):
        assert "web-1 is unhealthy: timeout" in text
        assert "Firing (2)" in text
        assert "Over (1)" in text
        assert f"{CONSOLE}/alerts" in text
    assert "<b>bold</b>" not in html.get_content()


def test_no_text_of_a_site_makes_a_header() -> None:
    condition = Condition("endpoint-down", "x\nBcc: everybody@example.org", "a\r\n.\r\nb")
    told = Notification(GroupKey("p"), (Alert(condition, AlertState.FIRING, 0.0, 1.0),))
    email = Email(to=("ops@example.org",), sender="isthmus@example.org", host="mail.example.org")
    sent = message_from_bytes(emit_email(told, email, CONSOLE, "d1", 0).as_bytes(), policy=policy.default)
    assert sent["Bcc"] is None
    assert sent["Subject"] == "[FIRING] endpoint-down x Bcc: everybody@example.org"
