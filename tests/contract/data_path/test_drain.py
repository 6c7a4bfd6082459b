"""Draining and removing an endpoint finishes its requests: none fails, here or from another site, under load."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import httpx
import pytest

from isthmus.model import Object, ObjectKey

from .conftest import StartApp, StartSite
from .rig import until_served
from .test_data_path import callers, deployment, parse_objects, some_ports


async def keep_asking(port: int, seen: Counter[str], stop: asyncio.Event) -> None:
    """One client after the other on one connection; every answer counts under the application's name, or its status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not stop.is_set():
        writer.write(b"POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 0\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        body = await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
        status = head.split(" ")[1]
        seen[json.loads(body)["app"] if status == "200" else status] += 1
    writer.close()


def drained(objects: dict[ObjectKey, Object], name: str) -> dict[ObjectKey, Object]:
    return {
        key: obj.model_copy(update={"spec": obj.spec.model_copy(update={"drained": True})})
        if (key.kind, key.name) == ("Endpoint", name)
        else obj
        for key, obj in objects.items()
    }


@pytest.mark.parametrize("drain_first", [True, False])
async def test_no_request_fails(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient, drain_first: bool
) -> None:
    apps = {name: await start_app(name, delay=0.05) for name in ("goes", "stays")}
    ports = some_ports("ams", "fra")
    text = deployment(
        ports,
        endpoints={name: ("fra", app.port) for name, app in apps.items()},
        route=", retry: {attempts: 0}",
    )
    objects = parse_objects(text) | callers("ams", "fra")
    nodes = {site: await start_site(site) for site in ("ams", "fra")}
    for node in nodes.values():
        await node.apply(objects)
    for site in nodes:
        await until_served(client, f"http://127.0.0.1:{ports[site]}/", "shop.example")
    seen, stop = Counter[str](), asyncio.Event()
    load = [asyncio.create_task(keep_asking(ports[site], seen, stop)) for site in nodes for _ in range(8)]

    async def until_more(name: str, requests: int) -> None:
        wanted = seen[name] + requests
        async with asyncio.timeout(60):
            while seen[name] < wanted:  # noqa: ASYNC110 - counted elsewhere
                await asyncio.sleep(0.01)

    await until_more("goes", 20)
    apps["goes"].delay = 1.0  # what is under way when the endpoint leaves takes its time
    asked = apps["goes"].requests
    async with asyncio.timeout(60):
        while apps["goes"].requests < asked + 4:  # noqa: ASYNC110 - counted elsewhere
            await asyncio.sleep(0.01)
    if drain_first:
        await nodes["fra"].apply(drained(objects, "goes"))
        await until_more("stays", 20)
        asked = apps["goes"].requests
        await until_more("stays", 50)
        assert apps["goes"].requests == asked  # nothing new
    text = deployment(ports, endpoints={"stays": ("fra", apps["stays"].port)}, route=", retry: {attempts: 0}")
    gone = parse_objects(text) | callers("ams", "fra")
    for node in nodes.values():
        await node.apply(gone)
    await until_more("stays", 50)
    stop.set()
    await asyncio.gather(*load)
    assert set(seen) == {"goes", "stays"}
    assert seen["goes"] + seen["stays"] == apps["goes"].requests + apps["stays"].requests - 2
