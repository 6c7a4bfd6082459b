"""A really running console: its own process's parts, in this event loop, on free ports, with TLS."""

import asyncio
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from isthmus.console.acme.worker import AcmeWorker
from isthmus.console.process import Console
from isthmus.console.settings import ConsoleSettings
from isthmus.exporter.journal import Journal

from .visitor import Browser


def document(kind: str, name: str, spec: Any = None, **metadata: Any) -> dict[str, Any]:
    """A document as people write it."""
    return {"apiVersion": "isthmus/v1", "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec or {}}


SHOP = [
    document("Region", "eu", {"address": "192.0.2.10"}),
    document("Region", "us", {"address": "192.0.2.20"}),
    document("Site", "fra", {"regions": ["eu"]}, labels={"place": "europe"}),
    document("Site", "nyc", {"regions": ["eu", "us"]}, labels={"place": "america"}),
    document("VirtualSite", "edge", {"selector": ["place=europe"]}),
    document("AdvertisePolicy", "edge", {"where": {"virtualSite": "edge"}, "address": "192.0.2.1"}),
    document("Endpoint", "web-1", {"where": {"site": "nyc"}, "address": "127.0.0.1", "port": 8080}),
    document("Cluster", "web", {"endpoints": [{"name": "web-1"}]}),
    document("Route", "all", {"forward": {"clusters": [{"cluster": {"name": "web"}}]}}),
    document(
        "VirtualHost",
        "shop",
        {"domains": ["shop.example"], "routes": [{"name": "all"}], "advertisePolicies": [{"name": "edge"}]},
    ),
]
"""fra takes clients in, nyc runs the application."""


class Running:
    """A running console and a client with the administrator's token."""

    def __init__(self, settings: ConsoleSettings, journal: Journal | None = None) -> None:
        self.settings = settings
        self.console = Console(settings, journal)
        self.http: httpx.AsyncClient

    @property
    def state(self) -> Path:
        return self.settings.state

    async def start(self) -> None:
        await self.console.start()
        self.http = self.client((self.state / "admin.token").read_text().strip())

    def client(self, token: str | None) -> httpx.AsyncClient:
        context = ssl.create_default_context(cafile=str(self.state / "ca.pem"))
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{self.console.port}", verify=context, headers=headers, timeout=30
        )

    async def stop(self) -> None:
        if hasattr(self, "http"):
            await self.http.aclose()
        await self.console.stop()

    async def restart(self) -> None:
        """End, and start again with the same state on the same ports."""
        self.settings = replace(
            self.settings,
            listen=f"127.0.0.1:{self.console.port}",
            stream=f"127.0.0.1:{self.console.stream_port}",
        )
        await self.stop()
        self.console = Console(self.settings)
        await self.start()

    async def ask(self, method: str, path: str, body: Any = None, *, status: int = 200, **more: Any) -> Any:
        """One request below /api/v1; the JSON of the answer, which must have that status."""
        response = await self.http.request(method, f"/api/v1{path}", json=body, **more)
        assert response.status_code == status, f"{response.status_code}: {response.text}"
        return response.json()

    async def apply(self, *documents: Any, status: int = 200, **more: Any) -> Any:
        return await self.ask("POST", "/apply", {"documents": list(documents), **more}, status=status)


@pytest.fixture(autouse=True)
def no_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """A console by itself asks no ACME server, which would be a real one, however long a test takes."""

    class Idle(AcmeWorker):
        async def run(self) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr("isthmus.console.process.AcmeWorker", Idle)


@pytest.fixture(autouse=True)
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks for alerts when a test has it look, at the time that the test says, and not between."""
    monkeypatch.setattr("isthmus.console.alerting.INTERVAL", 86_400.0)


@pytest.fixture
def directory() -> Any:
    with tempfile.TemporaryDirectory(prefix="isc") as name:
        yield Path(name)


@pytest.fixture
def settings(directory: Path) -> ConsoleSettings:
    return ConsoleSettings(
        directory / "console", "127.0.0.1:0", "127.0.0.1:0", trust_domain="test.example", telemetry=False
    )


@pytest.fixture
async def console(settings: ConsoleSettings) -> AsyncIterator[Running]:
    running = Running(settings)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def shop(console: Running) -> Running:
    """A console with the shop applied."""
    await console.apply(*SHOP)
    return console


@pytest.fixture
async def browser(shop: Running) -> AsyncIterator[Browser]:
    opened = Browser(shop)
    yield opened
    await opened.http.aclose()


async def wait_until(condition: Callable[[], Any], what: str) -> None:
    """Wait, bounded, until something is true; the condition may be a coroutine function."""
    deadline = time.monotonic() + 60
    while True:
        result = condition()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return
        assert time.monotonic() < deadline, f"{what} did not come true"
        await asyncio.sleep(0.02)


@pytest.fixture
def until() -> Callable[[Callable[[], Any], str], Awaitable[None]]:
    return wait_until


@pytest.fixture
def documents() -> Callable[..., dict[str, Any]]:
    return document
