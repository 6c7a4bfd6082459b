"""How endpoints are used: limits, outliers, connections, and keys that keep their endpoint at every ingress site."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from isthmus.emit.envoy import nominal_choices

from ...port import free_port
from ..envoy.material import until
from .conftest import StartApp, StartSite
from .proxied_app import ProxiedApp
from .rig import SiteNode, access, choice, parse_objects, until_served
from .test_data_path import Shop, callers, deployment, some_ports


def with_clusters(text: str, clusters: dict[str, str]) -> str:
    """More clusters of the same endpoints (their specs), each behind the path of its name; and `/NAME-high`."""
    names = [f"{name}{suffix}" for name in clusters for suffix in ("-high", "")]
    routes = ", ".join(f"{{name: {name}}}" for name in names)
    text = text.replace("routes: [{name: all}]", f"routes: [{routes}, {{name: all}}]")
    for name, spec in clusters.items():
        text += f"""
---
apiVersion: isthmus/v1
kind: Cluster
metadata: {{name: {name}}}
spec: {spec}"""
        for suffix, priority in (("-high", ", priority: HIGH"), ("", "")):
            text += f"""
---
apiVersion: isthmus/v1
kind: Route
metadata: {{name: {name}{suffix}}}
spec:
  match: [{{path: {{prefix: /{name}{suffix}}}}}]
  forward: {{clusters: [{{cluster: {{name: {name}}}}}], retry: {{attempts: 0}}{priority}}}"""
    return text


async def test_limits_outliers_and_connections_across_sites(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    """The settings hold at the egress site, for requests of another site: ingress trips nothing first."""
    good, bad, slow = await start_app("good"), await start_app("bad", status=500), await start_app("slow")
    pooled = await start_app("pooled")
    ports = some_ports("ams", "fra")
    text = deployment(
        ports,
        endpoints={
            "good": ("fra", good.port),
            "bad": ("fra", bad.port),
            "slow": ("fra", slow.port),
            "pooled": ("fra", pooled.port),
            "checked": ("fra", (await start_app("checked")).port),
            "closed": ("fra", free_port()),
        },
    )
    both = "{endpoints: [{name: good}, {name: bad}]"
    clusters = {
        "limited": "{endpoints: [{name: slow}], circuitBreakers: {default: {maxRequests: 1}}}",
        "single": "{endpoints: [{name: pooled}], "
        "circuitBreakers: {default: {maxConnections: 1, maxPendingRequests: 1}}}",
        "untried": "{endpoints: [{name: bad}], circuitBreakers: {default: {maxRetries: 0}}}",
        "idle": "{endpoints: [{name: pooled}], connectionPool: {idleTimeout: 50ms}}",
        "aged": "{endpoints: [{name: pooled}], connectionPool: {maxConnectionDuration: 50ms}}",
        "outlier": both + ", outlierDetection: {consecutive5xx: 3, baseEjectionTime: 30s}}",
        "plain": both + "}",
        "once": "{endpoints: [{name: good}], connectionPool: {maxRequestsPerConnection: 1}}",
        "kept": "{endpoints: [{name: good}]}",
        "sure": "{endpoints: [{name: checked}, {name: closed}], healthChecks: [{name: tcp}]}",
        "panic": "{endpoints: [{name: checked}, {name: closed}], healthChecks: [{name: tcp}], panicThreshold: 60}",
    }
    text = with_clusters(text, clusters)
    tried = "clusters: [{cluster: {name: untried}}], retry: {attempts: "
    text = text.replace(tried + "0", tried + "1, statusCodes: [500]")
    text += """
---
apiVersion: isthmus/v1
kind: HealthCheck
metadata: {name: tcp}
spec: {tcp: {}, interval: 50ms, timeout: 60s}"""
    objects = parse_objects(text) | callers("ams")
    objects |= {obj.key: obj for obj in (access(name, "ams") for name in clusters)}
    nodes = {site: await start_site(site) for site in ("ams", "fra")}
    for node in nodes.values():
        await node.apply(objects)
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url + "kept", "shop.example")

    slow.held = asyncio.Event()
    asked = [asyncio.create_task(shop.get("limited")) for _ in range(3)]
    high = asyncio.create_task(shop.get("limited-high"))
    await until(lambda: sum(each.done() for each in asked) == 2 and slow.requests == 2)
    slow.held.set()
    assert sorted([(await each).status_code for each in asked]) == [200, 503, 503]
    assert (await high).status_code == 200  # counted for itself
    assert "x-isthmus-priority" not in (await high).json()["headers"]

    # with one connection, one request waits for it, and what comes then is refused; others go on
    pooled.held = asyncio.Event()
    asked = [asyncio.create_task(shop.get("single"))]
    await until(lambda: pooled.requests == 1)
    asked += [asyncio.create_task(shop.get("single")) for _ in range(2)]
    await until(lambda: sum(each.done() for each in asked) == 1)
    assert (pooled.requests, pooled.connections) == (1, 1)
    high = asyncio.create_task(shop.get("single-high"))
    await until(lambda: pooled.requests == 2)
    assert (await shop.get("kept")).status_code == 200
    pooled.held.set()
    assert sorted([(await each).status_code for each in (*asked, high)]) == [200, 200, 200, 503]
    assert pooled.connections == 2

    # tries are counted where they are made; the failure that there was stays the answer
    for path, tries in (("untried", 1), ("untried-high", 2)):
        before = bad.requests
        assert (await shop.get(path)).status_code == 500
        assert bad.requests - before == tries

    expected = {("fra", "/limited", "UO"), ("fra", "/single", "UO"), ("ams", "/untried", "UO")}
    await until(lambda: expected <= flagged(nodes))
    assert not {path for _, path, flags in flagged(nodes) if flags == "UO"} - {"/limited", "/single", "/untried"}

    before = len(pooled.open)
    assert (await shop.get("idle")).status_code == 200
    await until(lambda: len(pooled.open) == before)
    before = pooled.connections
    async with asyncio.timeout(60):
        while pooled.connections < before + 3:
            assert (await shop.get("aged")).status_code == 200

    await until_served(client, shop.url + "sure", "shop.example")
    assert await statuses(shop, "sure", 10) == {200: 10}
    assert (await statuses(shop, "panic", 10))[503] >= 3  # half of its endpoints is too few: it uses all of them

    assert (await statuses(shop, "plain", 20))[500] == 10  # an application's error is its answer
    async with asyncio.timeout(60):  # Envoy's threads tell each other of an outlier in their own time
        while await statuses(shop, "outlier", 20) != {200: 20}:
            pass

    connections = [good.connections]
    for path in ("once", "kept"):
        assert await statuses(shop, path, 5) == {200: 5}
        connections.append(good.connections)
    assert connections[1] - connections[0] == 5
    assert connections[2] - connections[1] <= 1


def flagged(nodes: dict[str, SiteNode]) -> set[tuple[str, str, str]]:
    """Site, path and flags of every line of the sites' logs."""
    lines = [(site, line) for site, node in nodes.items() for line in node.access_log.read_text().splitlines(True)]
    parsed = [(site, json.loads(line)) for site, line in lines if line.endswith("\n")]
    return {(site, line["path"], line["flags"]) for site, line in parsed}


@pytest.mark.parametrize(("version", "secure"), [("V1", False), ("V2", True)], ids=["plain", "tls"])
async def test_proxy_protocol_names_the_client(
    start_site: StartSite, pki: Any, tmp_path: Path, version: str, *, secure: bool
) -> None:
    tls = None
    if secure:
        issued = pki.issue("a.internal")
        (tmp_path / "app.pem").write_text(issued.private_key + issued.chain)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(tmp_path / "app.pem")
    proxied = ProxiedApp(tls)
    proxied.start()
    ports = some_ports("ams")
    cluster = f", proxyProtocol: {version}, endpointSelection: LOCAL_ONLY"
    if secure:
        cluster += ", tls: {sni: a.internal, verify: false}"
    text = deployment(ports, endpoints={"a": ("ams", proxied.port)}, cluster=cluster)
    await (await start_site("ams")).apply(parse_objects(text))
    for address in ("127.0.0.5", "127.0.0.6"):
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address=address)) as client:
            await until_served(client, f"http://127.0.0.1:{ports['ams']}/", "shop.example")
        assert proxied.seen[-1] == (version, address, "127.0.0.1")
    proxied.stop()


async def statuses(shop: Shop, path: str, requests: int) -> Counter[int]:
    return Counter([(await shop.get(path)).status_code for _ in range(requests)])


ROUTES = {
    "compressed": "forward: {CLUSTERS}, compression: {algorithms: [zstd], minSize: 30}",
    "host": "forward: {hostRewrite: {header: x-host}, CLUSTERS}",
    "idle": "forward: {idleTimeout: 200ms, retry: {attempts: 0}, CLUSTERS}",
    "tries": "forward: {retry: {attempts: 1, on: [reset], perTryIdleTimeout: 200ms}, CLUSTERS}",
    "later": "forward: {retry: {attempts: 1, statusCodes: [503], rateLimited: {}}, CLUSTERS}",
}
"""What routes for the path of their name say."""


async def test_timeouts_waits_and_rewrites(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    app = await start_app("app", headers={"retry-after": "1", "content-type": "text/plain"})
    ports = some_ports("ams")
    text = deployment(ports, endpoints={"app": ("ams", app.port)})
    names = ", ".join(f"{{name: {name}}}" for name in ROUTES)
    text = text.replace("routes: [{name: all}]", f"routes: [{names}, {{name: all}}]")
    for name, spec in ROUTES.items():
        text += f"""
---
apiVersion: isthmus/v1
kind: Route
metadata: {{name: {name}}}
spec: {{match: [{{path: {{prefix: /{name}}}}}], {spec.replace("CLUSTERS", "clusters: [{cluster: {name: web}}]")}}}"""
    await (await start_site("ams")).apply(parse_objects(text))
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example")

    async with client.stream(
        "GET", shop.url + "compressed", headers={"host": "shop.example", "accept-encoding": "zstd"}
    ) as response:
        assert response.headers["content-encoding"] == "zstd"
        assert b"".join([part async for part in response.aiter_raw()]).startswith(b"\x28\xb5\x2f\xfd")  # RFC 8878

    assert (await shop.get("host", x_host="other.example")).json()["headers"]["host"] == "other.example"
    assert (await shop.get("host")).json()["headers"]["host"] == "shop.example"

    for path, tries in (("idle", 1), ("tries", 2)):
        before = app.requests
        assert (await shop.get(path, x_app_delay="20")).status_code == 504
        await until(lambda before=before, tries=tries: app.requests - before == tries)

    before, started = app.requests, time.monotonic()
    assert (await shop.get("later", x_app_status="503")).status_code == 503
    assert app.requests - before == 2
    assert time.monotonic() - started >= 0.99  # as the application asked for


async def test_rates_of_success_and_slow_starts(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    apps = [await start_app(f"good-{number}") for number in range(4)] + [await start_app("bad", status=500)]
    late = await start_app("late")
    ports = some_ports("ams")
    everybody = {app.name: ("ams", app.port) for app in (*apps, late)}
    rates = "successRate: {minimumEndpoints: 5, requestVolume: 5, deviations: 1.0}"
    compared = f"outlierDetection: {{interval: 300ms, baseEjectionTime: 30s, {rates}}}"

    def objects(slowly: str) -> Any:
        some = ", ".join(f"{{name: {app.name}}}" for app in apps)
        clusters = {
            "compared": f"{{endpoints: [{some}], {compared}}}",
            "slow": f"{{endpoints: [{slowly}], slowStart: {{window: 2s}}}}",
        }
        return parse_objects(with_clusters(deployment(ports, endpoints=everybody), clusters))

    ams = await start_site("ams")
    await ams.apply(objects("{name: good-0}"))
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url + "slow", "shop.example")
    begun = time.monotonic()
    async with asyncio.timeout(60):
        while 500 in await statuses(shop, "compared", 25):
            pass
    assert await statuses(shop, "compared", 20) == {200: 20}

    await asyncio.sleep(max(0.0, begun + 2 - time.monotonic()))  # until good-0 takes its whole share
    async with asyncio.timeout(60):
        while True:  # until that many requests were quick enough to see the beginning alone
            before, begun = late.requests, time.monotonic()
            await ams.apply(objects("{name: good-0}, {name: late}"))
            await statuses(shop, "slow", 40)
            if time.monotonic() - begun < 1:
                break
            await ams.apply(objects("{name: good-0}"))
    assert 1 <= late.requests - before <= 15
    async with asyncio.timeout(60):
        while True:
            before = late.requests
            await statuses(shop, "slow", 20)
            if late.requests - before == 10:
                return


async def test_keys_keep_their_endpoint_at_every_ingress_site(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    """1,000 keys through two ingresses; losing a site moves only its own keys."""
    sites = ("fra", "nyc", "osl")
    apps = {f"{site}-{index}": await start_app(f"{site}-{index}") for site in sites for index in (1, 2)}
    ports = some_ports("ams", *sites)
    endpoints = {name: (name[:3], app.port) for name, app in apps.items()}
    text = deployment(
        ports,
        endpoints=endpoints,
        cluster=", loadBalancing: MAGLEV",
        route=", hashPolicy: [{header: x-user}]",
    )
    text = with_clusters(text, {"ring": "{loadBalancing: RING_HASH, endpoints: [" + names(endpoints) + "]}"})
    text = text.replace(
        "{clusters: [{cluster: {name: ring}}]", "{hashPolicy: [{header: x-user}], clusters: [{cluster: {name: ring}}]"
    )
    objects = parse_objects(text)
    for cluster in ("web", "ring"):
        objects |= {(obj := access(cluster, "ams", "fra")).key: obj}
    nodes = {site: await start_site(site) for site in ("ams", *sites)}
    for node in nodes.values():
        await node.apply(objects)
    for site in ("ams", "fra"):
        await until_served(client, f"http://127.0.0.1:{ports[site]}/", "shop.example")
    keys = [f"user-{index}" for index in range(1000)]
    for path in ("", "ring"):
        before = await places(ports["ams"], path, keys)
        assert set(before.values()) == set(apps)
        assert await places(ports["fra"], path, keys) == before
        cluster = nodes["ams"].cluster(path or "web")
        left = [choice(site, 0, 2, cluster) for site in ("osl", "fra")]
        await nodes["ams"].choose(cluster.key.name, left)
        after = await places(ports["ams"], path, keys)
        moved = {key for key in keys if after[key] != before[key]}
        assert moved == {key for key in keys if before[key].startswith("nyc")}


def names(endpoints: dict[str, tuple[str, int]]) -> str:
    return ", ".join(f"{{name: {name}}}" for name in endpoints)


async def places(port: int, path: str, keys: list[str]) -> dict[str, str]:
    """Which application answers for each key. By hand, for there are thousands of requests."""
    found: dict[str, str] = {}

    async def ask(some: list[str]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for key in some:
            writer.write(f"GET /{path} HTTP/1.1\r\nhost: shop.example\r\nx-user: {key}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            found[key] = json.loads(await reader.readexactly(length))["app"]
        writer.close()

    await asyncio.gather(*(ask(keys[index::8]) for index in range(8)))
    return found


async def test_preferred_site_that_dies_fails_no_request(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    apps = {site: await start_app(site) for site in ("ams", "fra", "nyc")}
    ports = some_ports(*apps)
    text = deployment(
        ports,
        endpoints={site: (site, app.port) for site, app in apps.items()},
        cluster=", sitePreferences: [{site: nyc}, {site: fra}]",
    )
    objects = parse_objects(text) | callers(*apps)
    nodes = {site: await start_site(site) for site in apps}
    for node in nodes.values():
        await node.apply(objects)
    intent = nodes["ams"].intent
    await nodes["ams"].choose("web", nominal_choices(intent, intent.clusters[0]))
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example")
    assert await shop.count(10) == {"nyc": 10}
    await nodes["nyc"].kill()
    assert await shop.count(30) == {"fra": 30}
    await nodes["fra"].kill()
    assert await shop.count(30) == {"ams": 30}
