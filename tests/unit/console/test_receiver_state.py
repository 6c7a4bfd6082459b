"""What a console shows of receivers of telemetry, from what sites say."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from isthmus.console.alerting import Alerting
from isthmus.console.notifier import Notifier
from isthmus.console.receiver_state import parse_receivers
from isthmus.exporter.export import Exporter
from isthmus.exporter.setting import OtlpSettings
from isthmus.protocol import PresenceReport, StatusReport
from isthmus.telemetry.otlp import process_resource
from isthmus.telemetry.setting import HttpSettings

from .conftest import Running, document
from .visitor import Browser, admin

FRA = "default/site/fra"


def told(now: float) -> list[dict[str, Any]]:
    works = {"receiver": "default/works", "target": "file default/a.log", "since": now - 500, "delivered": 1200}
    fails = {"receiver": "default/fails", "target": "otlp https://c.example", "since": now - 500, "delivered": 3}
    gone = {"receiver": "default/gone", "target": "", "delivered": 0, "lost": {"removed": 9}, "lostAt": now - 5000}
    return [
        {**works, "waiting": {"items": 0, "bytes": 0}, "lost": {}, "lostAt": None, "error": "", "errorSince": None},
        {
            **fails,
            "waiting": {"items": 70, "bytes": 9000},
            "lost": {"buffer": 4000, "rejected": 2},
            "lostAt": now - 30,
            "error": "c.example answered 401: no",
            "errorSince": now - 200,
        },
        {**gone, "waiting": {"items": 0, "bytes": 0}, "error": ""},
    ]


async def report(shop: Running, now: float) -> None:
    targets = {"works": {"file": {"name": "a.log"}}, "fails": {"otlp": {"url": "https://c.example"}}}
    for name, target in targets.items():
        await shop.apply(document("TelemetryReceiver", name, {"where": {"site": "fra"}, **target}))
    context = shop.console.context
    context.observation.presence("x", PresenceReport(FRA, True, now))
    status = StatusReport(FRA, json.dumps({"telemetry": {"receivers": told(now)}}).encode(), now)
    context.watch.feed_status(status)
    context.observation.status(status)


async def test_pages_and_api_show_which_receivers_work(browser: Browser, shop: Running) -> None:
    await admin(browser, shop)
    await report(shop, time.time())
    page = await words(browser, "/sites/fra")
    assert re.search(r"default/works file default/a.log works 8 min.{0,40} 1\s?200 0 0 ", page), page
    assert re.search(r"default/fails otlp https://c.example fails c.example answered 401: no 3 min", page)
    assert re.search(r"3 70 4\s?002 4\s?000 buffer, 2 rejected", page)
    assert re.search(r"default/gone removed ", page)
    own = await words(browser, "/objects/telemetryreceivers/default/fails")
    assert re.search(r"Lost fra fails c.example answered 401: no", own)
    [state] = (await shop.ask("GET", "/status/objects/default/TelemetryReceiver/default/fails"))["receivers"]
    assert (state["site"], state["delivered"], state["waiting"], state["lost"]) == (
        "fra", 3, 70, {"buffer": 4000, "rejected": 2},
    )  # fmt: skip
    assert state["error"] == "c.example answered 401: no"


async def test_a_receiver_that_fails_or_loses_raises_an_alert(shop: Running) -> None:
    now = time.time()
    await report(shop, now)
    context = shop.console.context
    deployment = shop.console.deployment
    alerting = Alerting(deployment, context.observation, None, context.store, Notifier(deployment, context.store, ()))
    await alerting.look(now)
    found = [each.condition for each in alerting.alerts.list() if each.condition.rule == "telemetry-receiver"]
    assert [(each.subject, each.namespace, each.object) for each in found] == [
        ("Site fra: TelemetryReceiver default/fails", "default", "default/TelemetryReceiver/default/fails")
    ]
    assert found[0].text == (
        "TelemetryReceiver default/fails at Site fra fails: c.example answered 401: no, and has lost 4002 items."
    )


@pytest.mark.parametrize(
    "report",
    [
        {"telemetry": 7},
        {"telemetry": {"receivers": {"a": 1}}},
        {
            "telemetry": {
                "receivers": ["x", {}, {"receiver": 7, "waiting": 3, "lost": "all", "error": ["\0"], "lostAt": "x"}]
            }
        },
        {"telemetry": {"receivers": [{"delivered": 1e300, "lost": {"a": -1}, "since": True}]}},
    ],
)
def test_a_report_of_another_form_is_read_as_far_as_it_goes(report: dict[str, Any]) -> None:
    for each in parse_receivers("fra", report):
        assert each.word(0.0)[1]
        assert each.losses >= 0
        assert (each.receiver + each.error).isprintable()


@pytest.mark.parametrize(
    "status",
    ["nothing", [1], {"otlp": 5}, {"otlp": [3, None]}, {"otlp": [{"signal": ["logs"], "waiting": 4, "lost": [1]}]}],
)
async def test_a_region_may_say_anything_of_its_collector(shop: Running, status: Any) -> None:
    context = shop.console.context
    context.observation.status(StatusReport("default/region/eu", json.dumps(status).encode(), time.time()))
    answer = await shop.ask("GET", "/status")
    told = next(each for each in answer["regions"] if each["name"] == "eu")["otlp"]
    assert [(each["delivered"], each["waiting"], each["lost"], each["error"]) for each in told] in (
        [],
        [(0, 0, {}, "")],
    )


async def test_pages_show_what_console_and_regions_send_of_themselves(browser: Browser, shop: Running) -> None:
    await admin(browser, shop)
    assert "Collector" not in (await browser.http.get("/objects/regions/-/eu")).text
    told = {
        **{"signal": "logs", "target": "OTLP https://c.example", "delivered": 12, "waiting": {"items": 7, "bytes": 90}},
        **{"lost": {"buffer": 5}, "error": "c.example answered 404: <no>", "errorSince": time.time() - 200},
    }
    status = StatusReport("default/region/eu", json.dumps({"otlp": [told]}).encode(), time.time())
    shop.console.context.observation.status(status)
    page = await words(browser, "/objects/regions/-/eu")
    assert re.search(r"Collector its own metrics and log, to OTLP https://c.example ", page), page
    assert re.search(r"logs fails c.example answered 404: &lt;no&gt; 3 min.{0,40} 12 7 5 5 buffer", page), page

    async def nothing() -> bytes:
        return b""

    http = HttpSettings("http://127.0.0.1:1", "OTLP")
    resource = process_resource("console", "one", "1.2.3")
    shop.console.context.exporter = Exporter(OtlpSettings(http), resource, nothing, None)
    assert re.search(r"to OTLP http://127.0.0.1:1 .* metrics works ", await words(browser, "/settings"))


async def words(browser: Browser, path: str) -> str:
    """A page's text on one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>|\s+", " ", (await browser.http.get(path)).text))
