"""Two consoles on one PostgreSQL: one writes, the other takes over."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from isthmus.console.backup import backup, restore
from isthmus.console.process import Console
from isthmus.console.settings import ConsoleSettings


@pytest.fixture
async def directory() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="isf") as name:
        yield Path(name)


def make(state: Path, url: str) -> Console:
    return Console(
        ConsoleSettings(state, "127.0.0.1:0", "127.0.0.1:0", url, trust_domain="test.example", telemetry=False)
    )


async def create_site(console: Console, admin: Path, name: str) -> None:
    async with httpx.AsyncClient(verify=False, timeout=60) as client:
        response = await client.post(
            f"{console.url}/api/v1/sites",
            json={"metadata": {"name": name}},
            headers={"Authorization": f"Bearer {admin.read_text().strip()}"},
        )
    assert response.status_code == 201, response.text


async def test_a_second_console_takes_over_when_the_first_ends(postgres: Any, directory: Path) -> None:
    url = postgres.create_database("failover")
    first = make(directory / "one", url)
    await first.start()
    admin = directory / "one" / "admin.token"
    await create_site(first, admin, "fra")
    shutil.copytree(directory / "one" / "authority", directory / "two" / "authority")
    second = make(directory / "two", url)
    starting = asyncio.create_task(second.start())
    done, _ = await asyncio.wait({starting}, timeout=3)
    assert not done, "it stands by"
    await first.stop()
    async with asyncio.timeout(60):
        await starting
    assert [key.name for key in second.deployment.records] == ["fra"]
    await create_site(second, admin, "nyc")
    await second.stop()


async def test_a_console_whose_lock_is_gone_ends(postgres: Any, directory: Path) -> None:
    url = postgres.create_database("lost")
    console = make(directory / "one", url)
    await console.start()
    postgres.query("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'lost'")
    async with asyncio.timeout(60):
        await console.lost()
    await console.stop()


async def test_a_backup_moves_a_deployment_from_sqlite_to_postgresql(postgres: Any, directory: Path) -> None:
    small = make(directory / "small", f"sqlite:///{directory}/small.db")
    await small.start()
    admin = directory / "small" / "admin.token"
    await create_site(small, admin, "fra")
    await small.stop()
    backup(directory / "small", f"sqlite:///{directory}/small.db", directory / "b.zip")
    url = postgres.create_database("moved")
    summary = restore(directory / "large", url, directory / "b.zip")
    assert summary.objects == 1
    assert summary.epoch > 1
    large = make(directory / "large", url)
    await large.start()
    await create_site(large, admin, "nyc")
    assert [key.name for key in large.deployment.records] == ["fra", "nyc"]
    await large.stop()
