"""A real Envoy under supervision, with its discovery server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from isthmus.emit.envoy.bootstrap import Bootstrap, emit_bootstrap
from isthmus.engine.envoy import Admin, AdsServer, EnvoyProcess, EnvoySettings


class Rig:
    """One state directory; processes and servers over it can come and go."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[EnvoyProcess] = []
        self.servers: list[AdsServer] = []
        self.admin = Admin(directory / "admin.sock")
        self.client = httpx.AsyncClient(timeout=60)

    def settings(self, **changes: int) -> EnvoySettings:
        bootstrap = Bootstrap(
            tenant="default",
            site="fra",
            node="0",
            ads_socket=str(self.directory / "ads.sock"),
            admin_socket=str(self.directory / "admin.sock"),
            **changes,
        )
        return EnvoySettings(self.directory, emit_bootstrap(bootstrap))

    def process(self, **changes: int) -> EnvoyProcess:
        process = EnvoyProcess(self.settings(**changes))
        self.processes.append(process)
        return process

    async def server(self) -> AdsServer:
        server = AdsServer(self.directory / "ads.sock")
        await server.start()
        self.servers.append(server)
        return server

    async def text(self, port: int) -> str:
        return (await self.client.get(f"http://127.0.0.1:{port}/")).text

    async def close(self) -> None:
        await self.client.aclose()
        await self.admin.close()
        for server in self.servers:
            await server.stop()
        for process in self.processes[:-1]:
            await process.detach()
        for process in self.processes[-1:]:
            await process.stop()


@pytest.fixture
def state_directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="ist-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
async def rig(state_directory: Path) -> AsyncIterator[Rig]:
    rig = Rig(state_directory)
    yield rig
    await rig.close()
