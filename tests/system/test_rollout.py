"""`isthmus rollout` on real traffic: a version with a defect (a subset) is taken back, a good one (a cluster) gets
everything."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from isthmus.cli.error import Exit
from isthmus.demo.shop import Shop
from isthmus.demo.traffic import Traffic

from .conftest import Isthmus

NEXT = "nyc-next"
VERSIONS = """
apiVersion: isthmus/v1
kind: Cluster
metadata: {namespace: shop, name: versions}
spec:
  endpoints: [{name: fra-1}, {name: fra-2}, {name: nyc-1}, {name: nyc-2}, {name: nyc-next}]
  healthChecks: [{name: web}]
  subsets: [{name: v1, selector: [version=v1]}, {name: v2, selector: [version=v2]}]
---
apiVersion: isthmus/v1
kind: Route
metadata: {namespace: shop, name: pages}
spec: {forward: {clusters: [{cluster: {name: versions}, subset: v1}]}}
"""


async def rollout(isthmus: Isthmus, shop: Shop, canary: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, outcome, and what it said."""
    words = ["start", "pages", "-n", "shop", "--canary", canary, "--steps", "20,100", "--every", "4s"]
    async with Traffic(shop.target("ams"), 100):
        ended = await isthmus("rollout", *words, "--least-requests", "30", "--latency-ratio", "1000", "-o", "json")
    return ended.code, json.loads(ended.out), ended.err


async def until_versions(shop: Shop, *wanted: str) -> None:
    """Wait until requests at ams are answered by these versions."""
    async with asyncio.timeout(60):
        while set((await shop.ask("ams", 50)).versions) != set(wanted):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.1)


async def test_a_version_with_a_defect_is_taken_back_and_a_good_one_gets_everything(
    shop: Shop, isthmus: Isthmus
) -> None:
    await shop.deployment.kill(NEXT)
    shop.start_instance(NEXT, failing=50)
    applied = await isthmus("apply", "-f", "-", stdin=VERSIONS)
    assert applied.code == Exit.OK, applied.err
    code, outcome, said = await rollout(isthmus, shop, "versions:v2")
    assert (code, outcome["state"], outcome["percent"]) == (Exit.NEGATIVE, "undone", 0), said
    assert outcome["steps"][-1]["canary"]["failed"] > outcome["steps"][-1]["stable"]["failed"]
    assert "20 % to versions:v2" in said
    assert "requests failed" in said
    await until_versions(shop, "v1")

    await shop.deployment.kill(NEXT)
    shop.start_instance(NEXT)
    await shop.deployment.apply([shop.document("Route", "pages")])
    code, outcome, said = await rollout(isthmus, shop, "web-next")
    assert (code, outcome["state"], outcome["percent"]) == (Exit.OK, "done", 100), said
    assert [step["percent"] for step in outcome["steps"]] == [20, 100]
    await until_versions(shop, "v2")

    status = await isthmus("rollout", "status", "pages", "-n", "shop")
    assert status.code == Exit.OK, status.err
    assert status.out.startswith("web-next has 100 % of shop/pages; done")
    undone = await isthmus("rollout", "undo", "pages", "-n", "shop")
    assert undone.out == "web-next has 0 % of shop/pages\n", undone.err
