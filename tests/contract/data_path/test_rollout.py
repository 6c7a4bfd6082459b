"""The walkthrough of docs/rollout.md: version 11 for those who ask, for one in twenty, for everybody, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .running_example import RunningExample, run_example

pytestmark = pytest.mark.asyncio(loop_scope="module")
APPS = {"ams-10": ("ams", 9010), "fra-10": ("fra", 9010), "fra-11": ("fra", 9011)}
BEFORE = ("rollout/1-places.yaml", "rollout/2-before.yaml")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop() -> AsyncIterator[RunningExample]:
    async with run_example(*BEFORE, apps=APPS, ready="/") as example:
        yield example


async def versions(shop: RunningExample, requests: int, site: str, **headers: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(requests):
        found[(await shop.ask("/", site=site, **headers)).json()["app"]] += 1
    return found


async def test_only_those_who_ask_get_the_new_version(shop: RunningExample) -> None:
    for site in ("ams", "fra"):
        assert set(await versions(shop, 20, site)) == {"ams-10", "fra-10"}
        assert await versions(shop, 5, site, x_version="11") == {"fra-11": 5}
        assert await versions(shop, 5, site, cookie="a=b; version=11") == {"fra-11": 5}


async def test_canary_gets_one_request_in_twenty(shop: RunningExample) -> None:
    await shop.apply(*BEFORE, "rollout/3-canary.yaml")
    found = await versions(shop, 500, "ams") + await versions(shop, 500, "fra")
    # 1,000 draws at 5 %: outside of this range once in 20 million runs
    assert 18 <= found["fra-11"] <= 92, found
    assert {"ams-10", "fra-10"} <= set(found)
    assert await versions(shop, 5, "ams", x_version="11") == {"fra-11": 5}


async def test_everybody_and_back(shop: RunningExample) -> None:
    await shop.apply(*BEFORE, "rollout/4-done.yaml")
    for site in ("ams", "fra"):
        assert await versions(shop, 10, site) == {"fra-11": 10}
    await shop.apply(*BEFORE)
    assert set(await versions(shop, 20, "ams")) == {"ams-10", "fra-10"}
