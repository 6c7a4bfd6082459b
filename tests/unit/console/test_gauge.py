"""Charts of gauges: sums over labels, zeros where a site was heard and said nothing, gaps where it was not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.console.api.gauge import GaugePoint, GaugesAnswer, GaugeSeries
from isthmus.console.error import RequestRefused
from isthmus.console.web.gauge import OF_SITE, draw_gauges, of_virtual_host

from .conftest import Running
from .visitor import Browser, admin

ANSWERS = {
    ("process_up", "agent"): {0: 1, 30: 1, 90: 1},
    ("connections_downstream", "shop/shop"): {0: 4, 90: 2},
    ("connections_downstream", "shop/api"): {0: 1},
    ("health_lag_seconds", "ams"): {0: 0.5},
    ("health_lag_seconds", "nyc"): {0: 2.0},
}


class Page:
    """What a page's visit gives to the drawing."""

    context = caller = None

    def query(self, name: str) -> str:
        return {"since": "0", "until": "120"}.get(name, "")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gauges(context: Any, caller: Any, name: str, *_: Any) -> GaugesAnswer:
        series = [
            GaugeSeries(
                site="fra",
                label=label,
                points=[GaugePoint(at=at, mean=each, least=each, most=each, total=each) for at, each in points.items()],
            )
            for (gauge, label), points in ANSWERS.items()
            if gauge == name
        ]
        return GaugesAnswer(name=name, description="", since=0, until=120, step=30, series=series, more=0)

    monkeypatch.setattr("isthmus.console.web.gauge.api.gauges", gauges)


@pytest.mark.usefixtures("store")
async def test_charts_of_gauges() -> None:
    page: Any = Page()
    connections, lag = await draw_gauges(page, OF_SITE, "fra")
    assert json.loads(connections.data)["series"][0] == ["5", "0", None, "2"]
    assert [line.name for line in connections.lines] == ["of clients"]
    assert json.loads(lag.data)["series"][0] == ["2", "0", None, "0"]
    [own] = await draw_gauges(page, of_virtual_host("shop/shop"))
    assert json.loads(own.data)["series"][0] == ["4", "0", None, "2"]
    assert await draw_gauges(page, of_virtual_host("shop/none")) == ()


async def test_a_page_without_telemetry_has_no_charts(
    browser: Browser, shop: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> GaugesAnswer:
        raise RequestRefused(503, "no-telemetry", "This console takes no telemetry.")

    await admin(browser, shop)
    monkeypatch.setattr("isthmus.console.web.gauge.api.gauges", refuse)
    page = await browser.http.get("/virtualhosts/default/shop")
    assert page.status_code == 200
    assert "Open connections" not in page.text
    answer = await shop.ask("GET", "/telemetry/gauges?name=colour", status=422)
    assert "connections_downstream" in answer["error"]["message"]
    assert (await shop.ask("GET", "/telemetry/gauges?name=process_up", status=503))["error"]["code"] == "no-telemetry"
