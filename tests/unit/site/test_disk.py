"""The log files of a site stay small, whatever Envoy does meanwhile."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from isthmus.engine.envoy import Admin
from isthmus.site import disk as module
from isthmus.site.directory import SiteDirectory
from isthmus.site.disk import Disk


class Envoy(Admin):
    """Opens its logs anew when told to, unless it is away."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.log, self.away, self.asked = path, True, 0

    async def reopen_logs(self) -> None:
        self.asked += 1
        if self.away:
            raise httpx.ConnectError("away")
        self.log.write_bytes(b"new")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.01)


async def test_a_log_that_could_not_be_opened_anew_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LOG", 10)
    monkeypatch.setattr(module, "LOOK", 0.01)
    directory = SiteDirectory(tmp_path / "s")
    directory.access_log.write_bytes(b"x" * 11)
    envoy, disk = Envoy(directory.access_log), Disk(directory)
    task = asyncio.create_task(disk.keep_logs_small(envoy))
    await until(lambda: envoy.asked >= 2)
    assert not task.done()
    envoy.away = False
    await until(lambda: directory.access_log.exists() and directory.access_log.read_bytes() == b"new")
    assert directory.access_log.with_name("access.log.1").read_bytes() == b"x" * 11
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    disk.close()
    directory.release()
    await envoy.close()
