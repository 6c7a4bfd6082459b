"""Stand-ins of registries, and sources that ask them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from isthmus.discovery.consul.source import ConsulSource
from isthmus.discovery.kubernetes.source import KubernetesSource
from isthmus.discovery.setting import ConsulSettings, KubernetesSettings
from isthmus.model.key import ObjectKey

from .consul_server import ConsulServer
from .kubernetes_request import ALL
from .kubernetes_server import KubernetesServer
from .material import Certificates, Ear, Hasty, Told, kubeconfig, namespace

SECRET = ObjectKey("default", "Secret", "default", "registry")
StartSource = Callable[..., Awaitable[KubernetesSource]]
StartConsul = Callable[..., Awaitable[ConsulSource]]


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    return Certificates()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def cluster(certificates: Certificates) -> AsyncIterator[KubernetesServer]:
    """An API server with the namespace `shop`, whose token `t0k3n` may do everything."""
    server = KubernetesServer(tokens={"t0k3n": (ALL,)}, context=certificates.server_context())
    server.put(namespace("shop"))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def discover(cluster: KubernetesServer, certificates: Certificates, ear: Ear) -> AsyncIterator[StartSource]:
    """Starts sources in `cluster` that answer queries to `ear`."""
    sources: list[KubernetesSource] = []

    async def start(*queries: object, config: str = "", **settings: object) -> KubernetesSource:
        text = config or kubeconfig(cluster.url, certificates.ca, "t0k3n")
        source = KubernetesSource(
            KubernetesSettings(SECRET, **settings),  # type: ignore[arg-type]
            text,
            ear,
            random=Hasty(),
        )
        sources.append(source)
        await source.start()
        source.watch(frozenset(queries))  # type: ignore[arg-type]
        return source

    yield start
    for source in sources:
        await source.stop()


@pytest.fixture
async def consul() -> AsyncIterator[ConsulServer]:
    """An agent on plain HTTP that anybody may use."""
    server = ConsulServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def look(consul: ConsulServer, ear: Ear) -> AsyncIterator[StartConsul]:
    """Starts sources at `consul` that answer queries to `ear`."""
    sources: list[ConsulSource] = []

    async def start(*queries: object, token: str = "", client_key: str = "", **settings: object) -> ConsulSource:
        values = {"url": consul.url, **settings}
        source = ConsulSource(ConsulSettings(**values), ear, token=token, client_key=client_key, random=Hasty())  # type: ignore[arg-type]
        sources.append(source)
        await source.start()
        source.watch(frozenset(queries))  # type: ignore[arg-type]
        return source

    yield start
    for source in sources:
        await source.stop()
