"""Subsets of one cluster's endpoints, on one site and across sites, with real Envoys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from .conftest import StartApp, StartSite
from .h2_app import H2App
from .rig import App, choice, until_served
from .test_data_path import Shop, callers, deployment, parse_objects, some_ports

SUBSETS = (
    "subsets: [{name: v10, selector: [version=10]}, {name: v11, selector: [version=11]}, {name: none, selector: [x]}]"
)


def canary(ports: dict[str, int], endpoints: dict[str, tuple[str, int]], cluster: str = "", route: str = "") -> str:
    """A cluster with subsets by the version in the endpoints' names (`v10-1`), and routes that ask for them."""
    text = deployment(ports, endpoints=endpoints, cluster=f", {SUBSETS}{cluster}")
    for name in endpoints:
        text = text.replace(
            f"kind: Endpoint\nmetadata: {{name: {name}}}",
            f'kind: Endpoint\nmetadata: {{name: {name}, labels: {{version: "{name[1:3]}"}}}}',
        )
    split = (
        "forward: {clusters: [{cluster: {name: web}, subset: v10, weight: 95}, "
        "{cluster: {name: web}, subset: v11, weight: 5}]"
    )
    text = text.replace("forward: {clusters: [{cluster: {name: web}}]", split)
    text = text.replace("routes: [{name: all}]", "routes: [{name: none}, {name: any}, {name: copied}, {name: all}]")
    for name, subset in (("none", ", subset: none"), ("any", "")):
        text += f"""
---
apiVersion: isthmus/v1
kind: Route
metadata: {{name: {name}}}
spec:
  match: [{{path: {{prefix: /{name}}}}}]
  forward: {{clusters: [{{cluster: {{name: web}}{subset}}}]}}"""
    return f"""{text}
---
apiVersion: isthmus/v1
kind: Route
metadata: {{name: copied}}
spec:
  match: [{{path: {{prefix: /copied}}}}]
  forward:
    clusters: [{{cluster: {{name: web}}, subset: v10}}]
    mirrors: [{{cluster: {{name: web}}, subset: v11}}]"""


async def copies(shop: Shop, apps: list[App], count: int) -> set[str]:
    """Who has seen requests that v10 answers, when v11 has got a copy of each."""
    answered = await versions(shop, count, "copied")
    assert {name[:3] for name in answered} == {"v10"}

    def seen(version: str) -> int:
        return sum(each[":path"] == "/copied" for app in apps if app.name.startswith(version) for each in app.seen)

    async with asyncio.timeout(60):
        while seen("v11") < count:
            await shop.get("any")
    assert (seen("v10"), seen("v11")) == (count, count)
    got = [each for app in apps for each in app.seen if each[":path"] == "/copied"]
    assert not [header for each in got for header in each if header.startswith("x-isthmus-")]
    return {app.name for app in apps if any(each[":path"] == "/copied" for each in app.seen)}


async def versions(shop: Shop, requests: int, path: str = "") -> dict[str, int]:
    found: dict[str, int] = {}
    for _ in range(requests):
        response = await shop.get(path)
        key = response.json()["app"] if response.status_code == 200 else str(response.status_code)
        found[key] = found.get(key, 0) + 1
    return found


@pytest.mark.parametrize("algorithm", ["ROUND_ROBIN", "MAGLEV"])
async def test_subsets_of_one_site(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient, algorithm: str
) -> None:
    apps = [await start_app(name) for name in ("v10-1", "v10-2", "v11-1")]
    ports = some_ports("ams")
    endpoints = {app.name: ("ams", app.port) for app in apps}
    ams = await start_site("ams")
    await ams.apply(parse_objects(canary(ports, endpoints, f", loadBalancing: {algorithm}")))
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example")
    counts = await versions(shop, 400)
    assert set(counts) <= {"v10-1", "v10-2", "v11-1"}
    assert 3 <= counts["v11-1"] <= 48  # of 20 in the mean; otherwise once in 3 million runs
    assert await versions(shop, 5, "none") == {"503": 5}
    assert "v11-1" in await copies(shop, apps, 10)
    fallbacks = {"ANY": {"v10-1", "v10-2", "v11-1"}, "DEFAULT, defaultSubset: v11": {"v11-1"}}
    for fallback, expected in fallbacks.items():
        text = canary(ports, endpoints, f", subsetFallback: {fallback}")
        await ams.apply(parse_objects(text))
        assert set(await versions(shop, 50, "none")) == expected
    assert len(await versions(shop, 50, "any")) == 3


@pytest.mark.parametrize("selection", ["DISTRIBUTED", "LOCAL_PREFERRED"])
async def test_subsets_across_sites(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient, selection: str
) -> None:
    """Weights hold, a site without healthy endpoints of a subset is not asked for it, and no header leaks."""
    sites = {"v10-1": "ams", "v10-2": "fra", "v11-1": "fra", "v10-3": "nyc", "v11-2": "nyc"}
    apps = [await start_app(name) for name in sites]
    ports = some_ports("ams", "fra", "nyc")
    endpoints = {app.name: (sites[app.name], app.port) for app in apps}
    objects = parse_objects(canary(ports, endpoints, f", endpointSelection: {selection}"))
    objects |= callers("ams", "fra", "nyc")
    nodes = {site: await start_site(site) for site in ("ams", "fra", "nyc")}
    for node in nodes.values():
        await node.apply(objects)
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example")
    counts = await versions(shop, 400)
    new = sum(count for name, count in counts.items() if name.startswith("v11"))
    assert 3 <= new <= 48
    assert "503" not in counts
    if selection == "LOCAL_PREFERRED":
        assert set(counts) <= {"v10-1", "v11-1"}
    else:
        assert {"v10-1", "v10-2", "v10-3"} < set(counts)
    assert await versions(shop, 5, "none") == {"503": 5}
    assert "v11-1" in await copies(shop, apps, 10)
    response = await shop.get("any", x_isthmus_subset="v11")
    assert not [header for header in response.json()["headers"] if header.startswith("x-isthmus-")]
    assert len(await versions(shop, 30, "any")) == (1 if selection == "LOCAL_PREFERRED" else 5)
    cluster = nodes["ams"].cluster("web")
    await nodes["ams"].choose("web", [choice("nyc", 0, 1, cluster)], subset="v11")
    counts = await versions(shop, 300)
    assert "v11-1" not in counts
    assert counts["v11-2"] >= 1


@pytest.fixture
async def h2_app() -> AsyncIterator[H2App]:
    app = H2App("h2")
    await app.start()
    yield app
    await app.stop()


async def test_http2_endpoints_here_and_at_another_site(
    start_site: StartSite, start_app: StartApp, h2_app: H2App, client: httpx.AsyncClient
) -> None:
    ports = some_ports("ams", "fra")
    text = deployment(
        ports,
        endpoints={"l": ("ams", h2_app.port), "r": ("fra", h2_app.port)},
        cluster=", protocol: HTTP2, endpointSelection: LOCAL_PREFERRED, healthChecks: [{name: live}]",
    )
    text += """
---
apiVersion: isthmus/v1
kind: HealthCheck
metadata: {name: live}
spec: {http: {path: /healthz}, interval: 100ms, timeout: 60s}"""
    objects = parse_objects(text) | callers("ams", "fra")
    ams, fra = await start_site("ams"), await start_site("fra")
    await ams.apply(objects)
    await fra.apply(objects)
    shop = Shop(client, ports["ams"])
    here = await until_served(client, shop.url, "shop.example")
    assert here.json()["protocol"] == "HTTP/2"
    assert here.json()["headers"][":authority"] == "shop.example"
    cluster = ams.cluster("web")
    gone = dict(objects)
    del gone[next(key for key in objects if key.kind == "Endpoint" and key.name == "l")]
    await ams.apply(gone, {"web": [choice("fra", 0, 1, cluster)]})
    there = await until_served(client, shop.url, "shop.example")
    assert there.json()["protocol"] == "HTTP/2"
