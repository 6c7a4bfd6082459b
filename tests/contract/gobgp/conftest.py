"""A deployment per test, ended afterwards."""

import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bgp_deployment import Deployment


@pytest.fixture
async def deployment() -> AsyncIterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="bgp") as directory:  # short: Unix sockets
        made = Deployment(Path(directory))
        try:
            yield made
        finally:
            await made.stop()
