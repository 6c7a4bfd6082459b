"""The console's pages of alerts and events, and what outlives a start."""

from __future__ import annotations

import time
from typing import Any

from isthmus.protocol import AppliedReport, PresenceReport, Rejection, Version

from .conftest import Running
from .visitor import Browser, admin

FRA = "default/site/fra"


async def disturb(shop: Running) -> None:
    """Site nyc is offline for longer than is borne, and regions are."""
    context = shop.console.context
    assert context.alerting is not None
    context.observation.presence("x", PresenceReport(FRA, True, time.time()))
    await context.alerting.look(time.time() + 100)
    await context.alerting.look(time.time() + 200)


async def test_alerts_are_listed_silenced_and_remembered(browser: Browser, shop: Running) -> None:
    await admin(browser, shop)
    await disturb(shop)
    page = (await browser.http.get("/alerts?state=firing&q=nyc")).text
    assert "Site nyc is connected to no region." in page
    assert "Region eu" not in page
    link = "/alerts/silences?matchers=alertname%3Dsite-offline%0Asubject%3DSite+nyc#new"
    assert link in page
    form = (await browser.http.get(link)).text
    assert "alertname=site-offline\nsubject=Site nyc</textarea>" in form
    refused = await browser.act("/alerts/silences", matchers="colour=red", comment="x", **{"for": "2h"})
    assert refused.status_code == 422
    assert "is no matcher" in refused.text
    assert ">colour=red</textarea>" in refused.text
    assert (await browser.act("/alerts/silences", matchers="", comment="", **{"for": "x"})).status_code == 422
    made = await browser.act("/alerts/silences", matchers="site=nyc", comment="it moves", **{"for": "2h"})
    assert made.headers["location"].startswith("/alerts/silences?done=")
    assert "firing, silent" in (await browser.http.get("/alerts")).text
    assert "1 silent" in (await browser.http.get("/")).text
    [silence] = (await shop.ask("GET", "/alerts/silences"))["items"]
    await browser.act(f"/alerts/silences/{silence['id']}/expire")
    assert "firing, silent" not in (await browser.http.get("/alerts")).text
    history = (await browser.http.get("/alerts/history?rule=site-offline")).text
    assert "still fires" in history
    assert "Region eu" not in history
    assert (await browser.http.get("/alerts/history?before=nonsense&rule=none")).status_code == 200


async def test_a_receiver_is_tested_from_its_page(browser: Browser, shop: Running) -> None:
    await admin(browser, shop)
    assert "Nobody is told of alerts yet." in (await browser.http.get("/alerts/receivers")).text
    spec: Any = {"webhook": {"url": f"https://localhost:{shop.console.port}/"}}
    metadata = {"name": "hook", "namespace": "default"}
    spec["webhook"]["bearerToken"] = {"name": "hook"}
    await shop.apply(
        {"apiVersion": "isthmus/v1", "kind": "Secret", "metadata": metadata, "spec": {"value": "t0ken"}},
        {"apiVersion": "isthmus/v1", "kind": "AlertReceiver", "metadata": metadata, "spec": spec},
    )
    index = shop.console.deployment.index
    kinds = {key.kind for subject in index.subjects() for key in index.slice_of(subject)}
    assert "VirtualHost" in kinds
    assert kinds.isdisjoint({"AlertReceiver", "AlertPolicy", "Secret", "SealedSecret"})  # no site needs them
    answer = await browser.act("/alerts/receivers/default/hook/test")
    page = (await browser.http.get(answer.headers["location"])).text
    assert (
        "The test was not taken. AlertReceiver default/hook: localhost has only addresses that are not public" in page
    )
    assert "fails" in page
    assert "[TEST] [FIRING] test Test" in page


async def test_who_may_only_read_changes_nothing(browser: Browser, shop: Running) -> None:
    token = (await shop.ask("POST", "/tokens", {"role": "read", "name": "eyes"}, status=201))["token"]
    await browser.post("/sign-in", {"token": token})
    await disturb(shop)
    assert "Silence<" not in (await browser.http.get("/alerts")).text
    assert "New silence" not in (await browser.http.get("/alerts/silences")).text
    form = {"matchers": "site=nyc", "comment": "x", "for": "2h"}
    assert (await browser.act("/alerts/silences", **form)).status_code == 403
    assert (await shop.ask("GET", "/alerts/silences"))["items"] == []


async def test_events_outlive_a_start_and_page(browser: Browser, shop: Running) -> None:
    context = shop.console.context
    for number in range(60):
        report = PresenceReport(FRA, number % 2 == 0, time.time() - 60 + number)
        context.watch.feed_presence(context.observation, "eu", report)
        context.observation.presence("eu", report)
    rejection = Rejection("default/Route/default/all", "nack", "", "no\0such\ncluster")
    context.watch.feed_applied(context.observation, AppliedReport(FRA, Version(1, 1), (rejection,)), time.time())
    await shop.restart()
    first = await shop.ask("GET", "/events?limit=50")
    assert (len(first["items"]), first["items"][0]["text"]) == (50, "rejected: no such cluster")
    assert first["items"][0]["object"] == "default/Route/default/all"
    rest = await shop.ask("GET", f"/events?limit=50&before={first['before']}")
    assert (len(rest["items"]), rest["before"]) == (11, None)
    numbers = [each["number"] for each in (*first["items"], *rest["items"])]
    assert numbers == sorted(numbers, reverse=True)
    assert [each["level"] for each in (await shop.ask("GET", "/events?text=such&subject=" + FRA))["items"]] == ["bad"]
    shop.console.context.watch.feed_presence(
        shop.console.context.observation, "us", PresenceReport(FRA, True, time.time())
    )
    newest = (await shop.ask("GET", "/events?limit=1"))["items"][0]
    assert (newest["number"], newest["text"]) == (numbers[0] + 1, "connected through us")
    again = Browser(shop)
    await admin(again, shop)
    page = (await again.http.get("/events")).text
    assert "connected through us" in page
    assert 'rel="next"' in page
    await again.http.aclose()
