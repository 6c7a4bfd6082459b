"""The example of docs/clusters.md: one cluster for each need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest
import pytest_asyncio

from isthmus.emit.envoy import nominal_choices

from .proxied_app import ProxiedApp
from .running_example import RunningExample, run_example

pytestmark = pytest.mark.asyncio(loop_scope="module")
APPS = {"ams-1": ("ams", 9101), "fra-1": ("fra", 9101), "fra-2": ("fra", 9102), "fra-3": ("fra", 9103)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop() -> AsyncIterator[RunningExample]:
    async with run_example("clusters", apps=APPS, ready="/") as example:
        for node in example.nodes.values():
            for cluster in node.intent.clusters:
                choices = partial(nominal_choices, node.intent, cluster)
                await node.choose(cluster.key.name, choices())
        yield example


async def apps(shop: RunningExample, path: str, site: str, requests: int = 12, **headers: str) -> set[str]:
    found = set()
    for _ in range(requests):
        response = await shop.ask(path, site=site, **headers)
        assert response.status_code == 200, response.text
        found.add(response.json()["app"])
    return found


async def test_nearest_endpoints_are_those_of_the_own_site(shop: RunningExample) -> None:
    assert await apps(shop, "/", "ams") == {"ams-1"}
    assert await apps(shop, "/", "fra") == {"fra-1", "fra-2"}  # the third is drained


async def test_preferred_site_takes_all(shop: RunningExample) -> None:
    for site in ("ams", "fra"):
        assert await apps(shop, "/preferred", site) == {"fra-1", "fra-2"}


async def test_keys_stick(shop: RunningExample) -> None:
    chosen = set()
    for user in range(45):
        found = {app for site in ("ams", "fra") for app in await apps(shop, "/sticky", site, 2, x_user=f"user-{user}")}
        assert len(found) == 1
        chosen |= found
    assert chosen == {"ams-1", "fra-1", "fra-2"}


async def test_subset_and_its_fallback(shop: RunningExample) -> None:
    for site in ("ams", "fra"):
        assert await apps(shop, "/pictures", site) == {"fra-2"}
        assert await apps(shop, "/huge", site) == {"fra-2"}


async def test_urgent_requests_use_both_sites(shop: RunningExample) -> None:
    assert await apps(shop, "/guarded", "ams", 30) == {"ams-1", "fra-1"}


async def test_chance_reaches_everybody(shop: RunningExample) -> None:
    for site in ("ams", "fra"):
        found: set[str] = set()
        async with asyncio.timeout(60):
            while found != {"ams-1", "fra-1", "fra-2"}:
                found |= await apps(shop, "/anybody", site, 6)


async def test_client_addresses_stick_at_every_site(shop: RunningExample) -> None:
    chosen = set()
    for number in range(2, 14):
        transport = httpx.AsyncHTTPTransport(local_address=f"127.0.0.{number}")
        async with httpx.AsyncClient(transport=transport, timeout=60) as client:
            asked = [f"{url}/by-client" for url in shop.urls.values() for _ in range(2)]
            found = {(await client.get(url, headers={"host": "shop.example"})).json()["app"] for url in asked}
        assert len(found) == 1
        chosen |= found
    assert "ams-1" in chosen
    assert chosen & {"fra-1", "fra-2"}


async def test_application_is_told_the_client(shop: RunningExample) -> None:
    proxied = ProxiedApp(None, shop.plan.address("192.0.2.10"), shop.plan.port(9104))
    proxied.start()
    try:
        transport = httpx.AsyncHTTPTransport(local_address="127.0.0.7")
        async with httpx.AsyncClient(transport=transport, timeout=60) as client:
            response = await client.get(f"{shop.urls['ams']}/told", headers={"host": "shop.example"})
        assert response.status_code == 200
        assert proxied.seen[-1][:2] == ("V2", "127.0.0.7")
    finally:
        proxied.stop()


async def test_servers_are_asked_by_their_own_names(shop: RunningExample) -> None:
    """At any site, and also when the nearest is left for another."""
    names = {"ams-1": "ams.bucket.example", "fra-1": "fra.bucket.example"}

    async def seen(path: str, site: str, requests: int) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for _ in range(requests):
            answer = (await shop.ask(path, site=site)).json()
            assert not [header for header in answer["headers"] if header.startswith("x-isthmus-")]
            found.setdefault(answer["app"], set()).add(answer["headers"]["host"])
        return found

    for site in ("ams", "fra"):
        assert await seen("/buckets", site, 20) == {app: {name} for app, name in names.items()}
        near = f"{site}-1"
        assert await seen("/near-bucket", site, 3) == {near: {names[near]}}
    port = shop.apps["ams-1"].port
    await shop.apps["ams-1"].stop()
    try:
        async with asyncio.timeout(60):  # a request may be under way on a connection that has just ended
            while (answer := await shop.ask("/near-bucket")).status_code != 200:
                pass
        assert (answer.json()["app"], answer.json()["headers"]["host"]) == ("fra-1", "fra.bucket.example")
    finally:
        shop.apps["ams-1"].port = port
        await shop.apps["ams-1"].start()
