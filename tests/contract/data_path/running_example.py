"""An example of `examples/` on the data paths of its sites, with its applications."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from isthmus.demo.address import AddressPlan
from isthmus.demo.example import load_example
from isthmus.identity import Authority
from isthmus.model import Object, ObjectKey, System
from isthmus.model.document import parse_documents

from .rig import TRUST_DOMAIN, App, SiteNode, access

INGRESS = {"ams": "192.0.2.10", "fra": "192.0.2.20"}
"""The address of each site, in the examples' own addresses."""


@dataclass
class RunningExample:
    """A client of `shop.example` at every site."""

    client: httpx.AsyncClient
    plan: AddressPlan
    urls: dict[str, str]
    apps: dict[str, App]
    nodes: dict[str, SiteNode]

    async def ask(
        self, path: str, method: str = "GET", site: str = "ams", content: bytes = b"", **headers: str
    ) -> httpx.Response:
        self.client.cookies.clear()
        sent = {"host": "shop.example", "accept-encoding": "identity"}
        sent |= {key.replace("_", "-"): value for key, value in headers.items()}
        return await self.client.request(method, self.urls[site] + path, headers=sent, content=content)

    async def apply(self, *paths: str) -> None:
        """Make these examples, later ones in place of earlier ones, what the sites do."""
        objects = load_objects(self.plan, *paths)
        for node in self.nodes.values():
            await node.apply(objects)


@asynccontextmanager
async def run_example(*paths: str, apps: Mapping[str, tuple[str, int]], ready: str) -> AsyncIterator[RunningExample]:
    """Start sites and applications (by name: the site and the port as the example writes them), and wait until every
    site answers 200 to the path `ready`."""
    plan, directory, authority = (
        AddressPlan(),
        Path(tempfile.mkdtemp(prefix="isr-")),
        Authority.create(TRUST_DOMAIN, datetime.now(UTC)),
    )
    running = {
        name: App(
            name,
            address=plan.address(INGRESS[site]),
            port=plan.port(port),
            headers={"content-type": "application/json", "x-app": name, "x-powered-by": "tests"},
        )
        for name, (site, port) in apps.items()
    }
    nodes = {site: SiteNode(site, directory / site, authority) for site in INGRESS}
    urls = {site: f"http://{plan.address(address)}:{plan.port(8080)}" for site, address in INGRESS.items()}
    try:
        for app in running.values():
            await app.start()
        for node in nodes.values():
            await node.start()
        async with httpx.AsyncClient(timeout=60) as client:
            example = RunningExample(client, plan, urls, running, nodes)
            await example.apply(*paths)
            for site in nodes:
                async with asyncio.timeout(60):
                    while True:
                        with contextlib.suppress(httpx.TransportError):
                            if (await example.ask(ready, site=site)).status_code == 200:
                                break
                        await asyncio.sleep(0.02)
            yield example
    finally:
        for node in nodes.values():
            await node.stop()
        for app in running.values():
            await app.stop()
        shutil.rmtree(directory)


def load_objects(plan: AddressPlan, *paths: str) -> dict[ObjectKey, Object]:
    """The objects of these examples, later ones in place of earlier ones, as `number_objects` has them."""
    return number_objects([document for path in paths for document in load_example(path, plan)])


def number_objects(documents: Iterable[dict[str, Any]]) -> dict[ObjectKey, Object]:
    """The objects, numbered as the console would, with every site allowed to call every cluster."""
    declared: dict[ObjectKey, Object] = {}
    for document in documents:
        parsed = parse_documents([document])
        assert parsed.diagnostics == ()
        declared |= {obj.key: obj for obj in parsed.objects}
    objects = {
        key: obj.with_system(System(created=index, number=index if obj.kind in ("Site", "Cluster") else None))
        for index, (key, obj) in enumerate(declared.items(), 1)
    }
    clusters = [key.name for key in objects if key.kind == "Cluster"]
    return objects | {obj.key: obj for obj in (access(cluster, *INGRESS) for cluster in clusters)}
