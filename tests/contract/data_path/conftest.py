"""Data paths of two sites, `ams` and `fra`, and what runs beside them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from isthmus.identity import Authority

from .rig import TRUST_DOMAIN, App, SiteNode

StartApp = Callable[..., Awaitable[App]]
StartSite = Callable[[str], Awaitable[SiteNode]]


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.create(TRUST_DOMAIN, datetime.now(UTC))


@pytest.fixture
async def start_site(authority: Authority) -> AsyncIterator[StartSite]:
    directory = Path(tempfile.mkdtemp(prefix="isd-"))
    nodes: list[SiteNode] = []

    async def start(site: str) -> SiteNode:
        node = SiteNode(site, directory / site, authority)
        nodes.append(node)
        await node.start()
        return node

    yield start
    for node in nodes:
        await node.stop()
    shutil.rmtree(directory)


@pytest.fixture
async def start_app() -> AsyncIterator[StartApp]:
    apps: list[App] = []

    async def start(name: str, **settings: object) -> App:
        app = App(name, **settings)  # type: ignore[arg-type]
        apps.append(app)
        await app.start()
        return app

    yield start
    for app in apps:
        await app.stop()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as client:
        yield client
