"""A store as the console starts it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from isthmus.console.telemetry import ConsoleTelemetry
from isthmus.telemetry.retention import Retention


async def until_ready(telemetry: ConsoleTelemetry) -> None:
    deadline = asyncio.get_running_loop().time() + 60
    while not telemetry.ready:
        assert asyncio.get_running_loop().time() < deadline, telemetry.error
        await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def telemetry() -> AsyncIterator[ConsoleTelemetry]:
    """One embedded store for the module's tests, in a short directory."""
    with tempfile.TemporaryDirectory(prefix="isthmus-") as directory:
        found = ConsoleTelemetry(Path(directory) / "telemetry", None, Retention())
        found.start()
        try:
            await until_ready(found)
            yield found
        finally:
            await found.stop()
