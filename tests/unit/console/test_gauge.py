"""Charts of gauges: sums over labels, zeros where a site was heard and said nothing, gaps where it was not."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from isthmus.console.api.gauge import GaugePoint, GaugesAnswer, GaugeSeries
from isthmus.console.error import RequestRefused
from isthmus.console.web.gauge import OF_SITE, draw_gauges, draw_site, of_cluster, of_virtual_host

from .conftest import Running
from .visitor import Browser, admin

ANSWERS = {
    ("process_up", "agent"): {0: 1, 30: 1, 90: 1},
    ("connections_downstream", "shop/shop"): {0: 4, 90: 2},
    ("connections_downstream", "shop/api"): {0: 1},
    ("health_lag_seconds", "ams"): {0: 0.5},
    ("health_lag_seconds", "nyc"): {0: 2.0},
    ("health_transitions", "default/Endpoint/shop/a"): {0: 2},
    ("health_transitions", "default/Endpoint/shop/b"): {0: 1, 90: 1},
    ("process_up", "envoy"): {0: 1, 30: 0.5, 90: 0},
    ("stream_up", "eu"): {0: 1, 30: 1, 90: 1},
    ("certificate_seconds", ""): {0: 7200, 30: 3600, 90: 1800},
}


class Page:
    """What a page's visit gives to the drawing."""

    context = caller = None

    def query(self, name: str) -> str:
        return {"since": "0", "until": "120"}.get(name, "")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_gauges(context: Any, names: list[str], where: dict[str, Any], *_: Any) -> dict[str, GaugesAnswer]:
        series: dict[str, list[GaugeSeries]] = {name: [] for name in names}
        for (name, label), points in ANSWERS.items():
            if name in names and label in where.get("label", [label]):
                told = [GaugePoint(at=at, mean=each, least=each, most=each, total=each) for at, each in points.items()]
                series[name].append(GaugeSeries(site="fra", label=label, points=told))
        return {
            name: GaugesAnswer(name=name, description="", since=0, until=120, step=30, series=found, more=0)
            for name, found in series.items()
        }

    monkeypatch.setattr("isthmus.console.web.gauge.api.read_gauges", read_gauges)


@pytest.mark.usefixtures("store")
async def test_charts_of_gauges() -> None:
    page: Any = Page()
    connections, changes, lag, certificate = await draw_gauges(page, OF_SITE, ["fra"])
    assert json.loads(connections.data)["series"][0] == ["5", "0", None, "2"]
    assert [line.name for line in connections.lines] == ["of clients"]
    assert json.loads(changes.data)["series"] == [["3", "0", None, "1"]]
    assert json.loads(lag.data)["series"][0] == ["2", "0", None, "0"]
    assert (certificate.unit, json.loads(certificate.data)["series"]) == ("h", [["2", "1", None, "0.5"]])
    [own] = await draw_gauges(page, of_virtual_host("shop/shop", ()), ["fra"])
    assert json.loads(own.data)["series"][0] == ["4", "0", None, "2"]
    assert await draw_gauges(page, of_virtual_host("shop/none", ()), ["fra"]) == ()


@pytest.mark.usefixtures("store")
async def test_changes_of_health_are_of_the_endpoints_behind_an_object() -> None:
    page: Any = Page()
    [both] = await draw_gauges(
        page, of_cluster("shop/web", ["default/Endpoint/shop/a", "default/Endpoint/shop/b"]), ["fra"]
    )
    assert json.loads(both.data)["series"] == [["3", "0", None, "1"]]
    [one] = await draw_gauges(page, of_cluster("shop/web", ["default/Endpoint/shop/b"]), ["fra"])
    assert json.loads(one.data)["series"] == [["1", "0", None, "1"]]
    [calm] = await draw_gauges(page, of_cluster("shop/web", ["default/Endpoint/shop/c"]), ["fra"])
    assert json.loads(calm.data)["series"] == [["0", "0", None, "0"]]


@pytest.mark.usefixtures("store")
async def test_when_processes_and_streams_were_up() -> None:
    page: Any = Page()
    charts, states = await draw_site(page, "fra")
    assert len(charts) == 4
    assert states is not None
    envoy, stream = states.lanes
    assert [(piece.x, piece.width, piece.level) for piece in envoy.pieces] == [
        (0, 150, "good"),
        (150, 150, "warn"),
        (450, 150, "bad"),
    ]
    assert envoy.summary == "50 % up; 00:00:30 to 00:01:00 up for a part of the time; 00:01:30 to 00:02:00 down"
    assert (stream.name, stream.words, stream.summary) == ("Stream to eu", "100 %", "100 % up")
    assert [(piece.x, piece.width) for piece in stream.pieces] == [(0, 300), (450, 150)]


async def test_a_page_without_telemetry_has_no_charts(
    browser: Browser, shop: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> GaugesAnswer:
        raise RequestRefused(503, "no-telemetry", "This console takes no telemetry.")

    await admin(browser, shop)
    monkeypatch.setattr("isthmus.console.web.gauge.api.read_gauges", refuse)
    page = await browser.http.get("/virtualhosts/default/shop")
    assert page.status_code == 200
    assert "Open connections" not in page.text
    answer = await shop.ask("GET", "/telemetry/gauges?name=colour", status=422)
    assert "connections_downstream" in answer["error"]["message"]
    assert (await shop.ask("GET", "/telemetry/gauges?name=process_up", status=503))["error"]["code"] == "no-telemetry"


async def test_sums_are_of_all_sites_and_endpoints_or_say_of_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every site has a connection, and the health of every endpoint changes once at its own."""
    asked: list[int] = []

    async def read_gauges(
        context: Any, names: list[str], where: dict[str, Any], since: str, until: str, step: int, limit: int, sums: Any
    ) -> dict[str, GaugesAnswer]:
        assert set(sums) == {"connections_upstream", "health_transitions"}
        asked.append(len(where["site"]))
        assert len(quote(str(where), safe="")) < 60_000, "it fits a URL"
        endpoints = sum(label.startswith("default/Endpoint") for label in where["label"])
        connections = len(where["site"]) if "shop/web" in where["label"] else 0
        totals = {"connections_upstream": connections, "health_transitions": endpoints * len(where["site"])}
        series: dict[str, list[GaugeSeries]] = {}
        for name in names:
            label, value = ("agent", 1) if name == "process_up" else ("", totals[name])
            point = GaugePoint(at=0, mean=value, least=value, most=value, total=value)
            series[name] = [GaugeSeries(site="", label=label, points=[point])]
        return {
            name: GaugesAnswer(name=name, description="", since=0, until=60, step=60, series=found, more=0)
            for name, found in series.items()
        }

    monkeypatch.setattr("isthmus.console.web.gauge.api.read_gauges", read_gauges)
    page: Any = Page()
    drawings = of_cluster("shop/web", [f"default/Endpoint/{'n' * 40}/{number:040}" for number in range(1000)])
    connections, changes = await draw_gauges(page, drawings, [f"{number:063}" for number in range(450)])
    assert sum(asked) == 450 * 3
    assert (connections.title, json.loads(connections.data)["series"][0]) == ("Open connections", ["450"])
    assert json.loads(changes.data)["series"] == [["450\u202f000"]]
    connections, _ = await draw_gauges(page, drawings, [f"s{number}" for number in range(5000)])
    assert connections.title == "Open connections (of 800 of 5,000 sites)"
    assert json.loads(connections.data)["series"][0] == ["800"]
    many = of_cluster("shop/web", [f"default/Endpoint/{'n' * 40}/{number:040}" for number in range(9000)])
    asked.clear()
    connections, _ = await draw_gauges(page, many, [f"s{number}" for number in range(300)])
    assert len(asked) == 12
    assert re.fullmatch(r"Open connections \(of 200 of 300 sites, [34],\d{3} of 9,001 endpoints\)", connections.title)
    assert json.loads(connections.data)["series"][0] == ["200"]
