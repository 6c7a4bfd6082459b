"""One Knot for all tests of this folder: each uses names of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .knot import Knot


@pytest.fixture(scope="session")
def knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knot]:
    server = Knot(Path(tmp_path_factory.mktemp("knot")))
    server.start()
    yield server
    server.stop()
