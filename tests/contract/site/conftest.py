"""A deployment per test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .deployment import Deployment


@pytest.fixture
async def deployment() -> AsyncIterator[Deployment]:
    deployment = Deployment()
    try:
        yield deployment
    finally:
        await deployment.close()
