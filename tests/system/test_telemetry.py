"""What requests did reaches the console, whatever is away meanwhile, and counts once."""

import asyncio
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from isthmus.client import ConsoleError
from isthmus.demo.deployment import CONSOLE, isthmus, wait_until
from isthmus.demo.shop import Shop

from .conftest import Measure, report

RECEIVER = {
    "apiVersion": "isthmus/v1",
    "kind": "TelemetryReceiver",
    "metadata": {"name": "requests", "namespace": "shared"},
    "spec": {"where": {"site": "ams"}, "file": {"name": "requests.log"}},
}


async def ask(shop: Shop, path: str, **query: Any) -> Any:
    return await shop.deployment.ask("GET", f"/telemetry/{path}?{urlencode(query, doseq=True)}")


async def found(shop: Shop, path: str, count: int, seconds: float = 60) -> list[dict[str, Any]]:
    """The ingress records of requests for a path, once so many have come."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = await ask(shop, "records", where=["log=ingress", f"path={path}"], limit=1000)
            if len(answer["items"]) >= count:
                items: list[dict[str, Any]] = answer["items"]
                return items
        except (ConsoleError, OSError):  # console or store are starting
            pass
        assert time.monotonic() < deadline, f"{path} is missing"
        await asyncio.sleep(0.3)


async def whole(shop: Shop, request_id: str) -> dict[str, Any]:
    """The path of a request, once both sites have told their part."""
    deadline = time.monotonic() + 60
    while True:
        path: dict[str, Any] = await ask(shop, f"records/{request_id}")
        if len(path["hops"]) == 2:
            return path
        assert time.monotonic() < deadline, path
        await asyncio.sleep(0.3)


async def counted(shop: Shop, labels: dict[str, str], requests: int, since: str) -> dict[str, Any]:
    """The signals of requests from a site to another, once so many were counted: records are seen before them."""
    deadline = time.monotonic() + 60
    while True:
        answer = await ask(shop, "signals", since=since, by=["site", "peer"], where=["cluster=shop/web"], split="true")
        for group in answer["groups"]:
            if group["labels"] == labels and group["total"]["requests"] >= requests:
                found: dict[str, Any] = group
                return found
        assert time.monotonic() < deadline, answer["groups"]
        await asyncio.sleep(0.3)


async def test_requests_are_told_by_every_site_that_they_pass(shop: Shop, measured: Measure) -> None:
    since = str(time.time() - 1)
    await shop.ask("ams", 30, "/told")  # ams has no endpoints of its own: these cross the fabric
    await shop.ask("fra", 20, "/told")
    began = time.monotonic()
    records = await found(shop, "/told", 50)
    measured(f"requests seen in the console within {time.monotonic() - began:.1f} s")
    assert len({record["requestId"] for record in records}) == 50
    crossed = next(record for record in records if record["site"] == "ams")
    assert (crossed["peer"], crossed["virtualHost"], crossed["cluster"]) == ("fra", "shop/shop", "shop/web")
    path = await whole(shop, crossed["requestId"])
    assert [hop["log"] for hop in path["hops"]] == ["ingress", "egress"]
    assert path["hops"][1]["endpoint"]
    places = [path[place] for place in ("ingress", "fabric", "egress", "application")]
    assert all(value >= 0 for value in places)
    assert abs(sum(places) - path["total"]) < 0.1

    pair = await counted(shop, {"site": "ams", "peer": "fra"}, 30, since=since)
    assert sum(point["requests"] for point in pair["points"]) == pair["total"]["requests"]
    assert {place for place, value in pair["total"]["latency"].items() if value} == {
        "total", "ingress", "fabric", "egress", "application",
    }  # fmt: skip
    graph = await ask(shop, "graph", since=since, group="namespace")
    edges = {(edge["source"], edge["target"]) for edge in graph["edges"]}
    assert {("virtual-host:shop/shop", "cluster:shop/web"), ("site:ams", "site:fra")} <= edges
    rollout, deadline = {"requests": 0}, time.monotonic() + 60
    while rollout["requests"] < 50:
        assert time.monotonic() < deadline, rollout
        window = int(time.time() - float(since)) + 5
        rollout = await ask(shop, "rollout", route=crossed["route"], cluster="shop/web", seconds=window)
    assert rollout["errorRate"] < 0.5  # requests of the test before may count


async def test_nothing_is_lost_while_console_and_a_region_are_away(shop: Shop, measured: Measure) -> None:
    file = shop.deployment.state("ams") / "log-files" / "shared" / "requests.log"
    await shop.deployment.apply([RECEIVER])
    await wait_until(lambda: bool(report(shop, "ams")["telemetry"]["receivers"]), 60, "ams has a receiver", pause=0.3)
    await shop.ask("ams", 1, "/marked")  # Envoy tells in order: what came before has counted when this is seen
    await found(shop, "/marked", 1)
    before = report(shop, "ams")["telemetry"]["requests"]
    await shop.ask("ams", 10, "/buffered")
    await shop.deployment.kill(CONSOLE)
    await shop.ask("ams", 20, "/buffered")
    region = shop.regions[0]
    await shop.deployment.kill(region)
    await shop.ask("ams", 30, "/buffered")
    await wait_until(
        lambda: report(shop, "ams")["telemetry"]["requests"] >= before + 60,
        60,
        "ams has kept what Envoy told",
        pause=0.3,
    )
    # a receiver of the site's own needs neither
    await wait_until(lambda: lines_of(file, "/buffered") == 60, 60, "the file has 60 records", pause=0.3)
    await shop.deployment.kill("ams")  # and the agent itself
    await shop.ask("fra", 15, "/buffered")
    for name in ("ams", region, CONSOLE):
        shop.deployment.start(name)
    await wait_until(lambda: shop.deployment.processes["ams"].running, 60, "ams runs")
    records = await found(shop, "/buffered", 75, 90)
    assert len(records) == 75
    assert len({record["requestId"] for record in records}) == 75
    lost = (await ask(shop, "status"))["lost"]
    assert [each for each in lost if each["reason"] == "buffer"] == []
    assert "telemetry" in report(shop, "fra")
    measured("75 of 75 requests, once each")


def lines_of(file: Path, path: str) -> int:
    """Records of requests for a path in a file."""
    lines = file.read_text().splitlines() if file.exists() else []
    return sum(json.loads(line)["path"] == path for line in lines)


async def test_traffic_from_the_shell(shop: Shop) -> None:
    await shop.ask("ams", 10, "/shell")
    records = await found(shop, "/shell", 10)
    table = command(shop, "traffic", "--by", "site", "--by", "peer", "--where", "cluster=shop/web")
    head, *lines = table.splitlines()
    assert head.split()[:3] == ["SITE", "PEER", "RATE/S"]
    assert any(line.split()[:2] == ["ams", "fra"] for line in lines)
    found_there = command(shop, "requests", "--where", "path=/shell", "--where", "log=ingress")
    assert found_there.count("/shell") == 10
    request = records[0]["requestId"]
    await whole(shop, request)
    path = command(shop, "requests", request)
    assert "ams: ingress" in path
    assert "fra: egress" in path
    assert "APPLICATION" in path
    endpoints = command(shop, "apis", "shop/shop")
    [told] = [line.split() for line in endpoints.splitlines() if line.split()[1:2] == ["/shell"]]
    assert int(told[2]) >= 10
    assert "shop/shop" in command(shop, "apis")
    document = json.loads(command(shop, "apis", "shop/shop", "-o", "openapi"))
    assert "200" in document["paths"]["/shell"]["get"]["responses"]


def command(shop: Shop, *arguments: str) -> str:
    """What a command of the shell prints."""
    done = subprocess.run(
        isthmus(*arguments),
        env={
            **os.environ,
            "ISTHMUS_URL": shop.deployment.url,
            "ISTHMUS_TOKEN_FILE": str(shop.deployment.token_file),
            "ISTHMUS_CA": str(shop.deployment.ca_file),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_an_alert_names_an_endpoint_that_is_down(shop: Shop, measured: Measure) -> None:
    began = time.monotonic()
    await shop.deployment.kill("fra-1")
    while True:
        answer = await shop.deployment.ask("GET", "/alerts")
        found = [each for each in answer["items"] if each["rule"] == "endpoint-down" and "fra-1" in each["text"]]
        if found:
            break
        assert time.monotonic() < began + 90, answer["items"]
        await asyncio.sleep(0.5)
    measured(f"seen within {time.monotonic() - began:.0f} s")
    assert found[0]["state"] in ("pending", "firing")
    assert "Site fra" in found[0]["subject"]


@pytest.mark.timeout(300)
async def test_sites_tell_what_they_are_like(shop: Shop) -> None:
    """Connections, processes and sessions as time series, in the same batches as requests."""
    wanted = {
        ("connections_upstream", "shop/web"), ("endpoints", "healthy"), ("process_up", "envoy"),
        ("process_up", "gobgp"), ("bgp_session_up", "eu"), ("stream_up", "eu"), ("certificate_seconds", ""),
        ("configuration_lag_seconds", ""),
    }  # fmt: skip
    target = shop.target("fra", "/gauge")
    _, idle = await asyncio.open_connection(target.address, target.port)
    deadline = time.monotonic() + 150  # everything is told once a minute
    try:
        while True:
            await shop.ask("fra", 5, "/gauge")
            seen: dict[tuple[str, str], float] = {}
            for name in {"connections_downstream", *(name for name, _ in wanted)}:
                answer = await ask(shop, "gauges", name=name, site="fra", since="-5m")
                seen |= {(name, each["label"]): each["points"][-1]["most"] for each in answer["series"]}
            open_ones = max((value for (name, _), value in seen.items() if name == "connections_downstream"), default=0)
            if wanted <= seen.keys() and open_ones >= 1:  # an earlier look may have been before it was opened
                break
            assert time.monotonic() < deadline, (wanted - seen.keys(), open_ones)
            await asyncio.sleep(0.5)
    finally:
        idle.close()
    assert seen["process_up", "envoy"] == seen["bgp_session_up", "eu"] == 1
    assert seen["certificate_seconds", ""] > 86_400
    assert seen["endpoints", "healthy"] >= 1
