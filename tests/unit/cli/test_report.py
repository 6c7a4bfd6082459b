"""What `isthmus status SITE` prints of service discovery."""

from __future__ import annotations

import json

import pytest

from isthmus.cli.report import print_signals, print_site_report
from isthmus.discovery.found import Found, failed, good
from isthmus.discovery.ledger import Ledger, Lookup
from isthmus.discovery.query import DnsQuery
from isthmus.discovery.record import VipRecord
from isthmus.model.key import ObjectKey
from isthmus.site.discovery import PublishedRecord
from isthmus.site.report import SiteState, emit_report

REGISTRY = ObjectKey("default", "ServiceDiscovery", "shared", "corp")
QUERY = DnsQuery("web.test", "A", 80)


def report(*, exceptions_only: bool = False, broken: bool = True) -> dict:
    lookup, system = Lookup(REGISTRY, QUERY), Lookup(None, QUERY)
    ledger = Ledger()
    ledger.retain([lookup, system])
    ledger.hear(lookup, good(100, {Found("10.0.0.1", 80), Found("10.0.0.2", 80, healthy=False)}))
    if broken:
        ledger.hear(lookup, failed(160, "10.0.0.53:53 answered SERVFAIL"))
    ledger.hear(system, good(100, {Found("10.0.0.3", 80)}))
    host = ObjectKey("default", "VirtualHost", "shop", "web")
    records = [VipRecord(f"{label}.test", 443, ("192.0.2.1",), "outside", host) for label in ("a", "b", "c")]
    published = [PublishedRecord(REGISTRY, each, error) for each, error in zip(records, ("", "no", None), strict=True)]
    body = emit_report(
        SiteState("fra", "default", "1", 0.0),
        endpoints=(),
        remote=(),
        choices={},
        streams={},
        sessions={},
        discovered=ledger.entries,
        published=published,
        exceptions_only=exceptions_only,
    )
    return json.loads(body)


def test_age_and_error_of_every_question(capsys: pytest.CaptureFixture[str]) -> None:
    print_site_report(report(), now=220)
    printed = capsys.readouterr().out
    (line,) = [line for line in printed.splitlines() if "shared/corp" in line and "dns A" in line]
    words = " ".join(line.split())
    assert words.startswith("shared/corp dns A web.test port 80 2 1 2 ")
    assert words.endswith(" 10.0.0.53:53 answered SERVFAIL")
    assert "system" in printed
    states = {line.split()[1]: line.split()[4] for line in printed.splitlines() if ".test  " in line and "443" in line}
    assert states == {"a.test": "published", "b.test": "failed", "c.test": "pending"}


def test_what_is_told_to_the_console_does_not_change_with_each_answer() -> None:
    """The time of an answer that is as it should be is left out; that of one that is not stands still."""
    told = {each["registry"]: each["answeredAt"] for each in report(exceptions_only=True)["discovery"]}
    assert told == {str(REGISTRY): 100, "": None}
    assert all(each["answeredAt"] == 100 for each in report(broken=False)["discovery"])


def test_receivers_of_telemetry_with_what_was_lost(capsys: pytest.CaptureFixture[str]) -> None:
    idle = {"waiting": {"items": 0, "bytes": 0}, "lost": {}, "lostAt": None, "error": "", "errorSince": None}
    found = [
        {"receiver": "shop/logs", "target": "http https://a.b", "since": 100, "delivered": 7, **idle},
        {
            **{"receiver": "shop/far", "target": "otlp https://c.d", "since": 100, "delivered": 0},
            **{"waiting": {"items": 12, "bytes": 800}, "lost": {"buffer": 3}, "lostAt": 210},
            **{"error": "c.d does not answer", "errorSince": 160},
        },
    ]
    print_site_report({"telemetry": {"receivers": found}}, now=220)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "shop/logs http https://a.b sending 2 min 7 0 0" in lines
    assert "shop/far otlp https://c.d failing 1 min 0 12 (800 bytes) 3 buffer 10 s c.d does not answer" in lines


def test_what_planes_send_of_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    fine = {"signal": "metrics", "target": "OTLP http://a.b", "since": 100, "delivered": 7, "deliveredAt": 210}
    fails = {"signal": "logs", "target": "OTLP http://a.b", "since": 100, "delivered": 0, "deliveredAt": None}
    told = [
        ("console", {**fine, "waiting": 0, "waitingBytes": 0, "lost": {}, "error": "", "errorSince": None}),
        (
            "eu",
            {
                **{**fails, "waiting": 5, "waitingBytes": 900, "lost": {"buffer": 3}},
                **{"error": "a.b answered 404: no", "errorSince": 160},
            },
        ),
    ]
    print_signals(told, now=220)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "console metrics OTLP http://a.b sending 2 min 7 10 s 0 0" in lines
    assert "eu logs OTLP http://a.b failing 1 min 0 5 (900 bytes) 3 buffer a.b answered 404: no" in lines
