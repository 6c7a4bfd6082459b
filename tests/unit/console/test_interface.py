"""Endpoints of APIs, over the API and as pages."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from isthmus.console.catalog import ApiCatalog, is_served
from isthmus.telemetry.batch import Batch
from isthmus.telemetry.decoder import Decoder
from isthmus.telemetry.naming import Naming
from isthmus.telemetry.retention import Retention
from isthmus.telemetry.sampling import Sampling, sample
from isthmus.telemetry.store import TelemetryStore

from ..telemetry.message import entry, message
from .conftest import Running
from .visitor import Browser, admin

ROUTE = "default/default/shop|default/home"


def batch(token: str, *entries: Any, log: str = "ingress", rule: Sampling | None = None) -> Batch:
    records = Decoder(Naming("ams")).parse(log, [message(*entries)])
    if rule is not None:
        records = sample(records, rule, 1.0)
    return Batch("default/site/ams", token, time.time(), len(entries), {"record": records})


def asked(path: str, **values: Any) -> Any:
    return entry(path=path, route=ROUTE, cluster="default/default/web@local", at=datetime.now(UTC), **values)


@pytest.fixture
async def learned(shop: Running) -> AsyncIterator[Running]:
    """A console that has heard of some requests to the shop."""
    store = TelemetryStore("http://127.0.0.1:9")
    apis = ApiCatalog(store, Retention())
    apis.is_served = partial(is_served, shop.console.context.deployment)
    users = [asked(f"/users/{number}?page=1", total=1000 * number) for number in range(1, 31)]
    apis.learn("default", batch("1", *users, asked("/users/me"), asked("/users/5", code=503), asked("/.env", code=404)))
    apis.learn("default", batch("1", *users))  # the same batch again
    apis.learn("default", batch("2", asked("/orders/<script>", uri="spiffe://d/app")))
    apis.learn("default", batch("3", asked("/users/7", request_id="x-ffff"), log="ingress credential"))
    shop.console.context.telemetry = SimpleNamespace(apis=apis, ready=True, error="")  # type: ignore[assignment]
    yield shop
    shop.console.context.telemetry = None
    await store.close()


async def test_what_is_known_is_told(learned: Running) -> None:
    [host] = (await learned.ask("GET", "/apis"))["items"]
    assert (host["virtualHost"], host["endpoints"], host["requests"]) == ("default/shop", 3, 34)
    answer = await learned.ask("GET", "/apis/default/shop?search=users")
    assert answer["unmatched"] == {"4xx": 1}
    me, users = sorted(answer["endpoints"], key=lambda each: -len(each["path"]))[::-1]
    assert (me["path"], users["path"]) == ("/users/me", "/users/{userId}")
    assert users["variables"] == [{"name": "userId", "kind": "integer"}]
    assert (users["requests"], users["errors"]) == (32, 1)
    assert users["codes"] == {"200": 31, "503": 1}
    assert users["latency"]["p50"] == pytest.approx(15, rel=0.1)
    assert (users["authenticated"], users["credentials"]["header"]) == ("sometimes", 1)
    assert users["query"] == {"page": pytest.approx(30 / 32, rel=0.01)}
    assert [each["name"] for each in users["clusters"]] == ["default/web"]


async def test_a_virtual_host_that_nobody_declared_is_not_learned(learned: Running) -> None:
    apis = learned.console.context.telemetry.apis  # type: ignore[union-attr]
    forged = [
        entry(
            path="/users/7",
            route=f"default/{host}|default/home",
            cluster="default/default/web@local",
            at=datetime.now(UTC),
        )
        for host in ("default/forged", "other/shop", "default/shop")
    ]
    apis.learn("default", batch("4", *forged))
    assert apis.hosts("default") == ["default/shop"]
    [host] = (await learned.ask("GET", "/apis"))["items"]
    assert host["requests"] == 35


async def test_an_edge_of_the_graph_has_its_own_figures(learned: Running) -> None:
    path = "/apis/default/shop?client=spiffe%3A%2F%2Fd%2Fapp"
    [order] = (await learned.ask("GET", path))["endpoints"]
    assert (order["method"], order["requests"]) == ("GET", 1)
    assert (await learned.ask("GET", "/apis/default/shop?cluster=default/other"))["endpoints"] == []


async def test_one_endpoint_has_its_distributions(learned: Running) -> None:
    path = "/apis/default/shop/endpoint?method=GET&path=/users/{userId}"
    answer = await learned.ask("GET", path)
    assert sum(each["requests"] for each in answer["latencyBins"]) == 32
    assert answer["latencyBins"][0]["middle"] < 2 < 25 < answer["latencyBins"][-1]["middle"]
    await learned.ask("GET", path.replace("userId", "other"), status=404)


async def test_openapi_names_the_domains(learned: Running) -> None:
    document = await learned.ask("GET", "/apis/default/shop/openapi")
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "https://shop.example"}]
    assert "/users/{userId}" in document["paths"]


async def test_what_is_not_there_is_said(learned: Running) -> None:
    await learned.ask("GET", "/apis/default/nowhere", status=404)
    learned.console.context.telemetry = None
    answer = await learned.ask("GET", "/apis", status=503)
    assert "telemetry" in answer["error"]["message"]


async def test_counts_make_up_for_records_that_were_not_kept() -> None:
    store = TelemetryStore("http://127.0.0.1:9")
    apis = ApiCatalog(store, Retention())
    entries = [
        asked(f"/users/{number}", request_id=f"{number * 16 % 65_536:032x}", total=10) for number in range(4_096)
    ]
    apis.learn("default", batch("1", *entries, rule=Sampling(share=0.25, slow=0)))
    [users], _ = apis.endpoints("default", "default/shop")
    assert users.usage.tally.requests == pytest.approx(4_096, rel=0.1)
    await store.close()


async def test_pages_show_it(browser: Browser, learned: Running) -> None:
    await admin(browser, learned)
    text = (await browser.http.get("/apis")).text
    assert 'href="/apis/default/shop"' in text
    text = (await browser.http.get("/apis/default/shop?sort=slow")).text
    assert "/users/{userId}" in text
    assert "<script>" not in text
    assert "/users/me" not in (await browser.http.get("/apis/default/shop?q=orders")).text
    detail = await browser.http.get("/apis/default/shop/endpoint?method=GET&path=/users/{userId}")
    assert "Latency from" in detail.text
    assert "/requests?virtual_host=default%2Fshop&amp;method=GET&amp;path=%2Fusers%2F" in detail.text
    saved = await browser.http.get("/apis/default/shop/openapi.json")
    assert saved.json()["openapi"] == "3.1.0"
    assert "attachment" in saved.headers["content-disposition"]
    assert (await browser.http.get("/apis/default/nowhere")).status_code == 404
