"""How endpoints are used: limits, outliers, connections, and keys that keep their endpoint at every ingress site."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import httpx

from isthmus.emit.envoy import nominal_choices

from .conftest import StartApp, StartSite
from .rig import access, choice, free_port, parse_objects, until_served
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


class ProxiedApp:
    """Says in its answer which address the PROXY protocol named."""

    def __init__(self) -> None:
        self.port = 0
        self.seen: list[bytes] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        self.seen.append(line)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


async def test_limits_outliers_and_connections_across_sites(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    """The settings hold at the egress site, for requests of another site: ingress trips nothing first."""
    good, bad, slow = await start_app("good"), await start_app("bad", status=500), await start_app("slow", delay=0.5)
    ports = some_ports("ams", "fra")
    text = deployment(
        ports,
        endpoints={
            "good": ("fra", good.port),
            "bad": ("fra", bad.port),
            "slow": ("fra", slow.port),
            "checked": ("fra", (await start_app("checked")).port),
            "closed": ("fra", free_port()),
        },
    )
    both = "{endpoints: [{name: good}, {name: bad}]"
    clusters = {
        "limited": "{endpoints: [{name: slow}], circuitBreakers: {default: {maxRequests: 1}}}",
        "outlier": both + ", outlierDetection: {consecutive5xx: 3, baseEjectionTime: 30s}}",
        "plain": both + "}",
        "once": "{endpoints: [{name: good}], connectionPool: {maxRequestsPerConnection: 1}}",
        "kept": "{endpoints: [{name: good}]}",
        "sure": "{endpoints: [{name: checked}, {name: closed}], healthChecks: [{name: tcp}]}",
        "panic": "{endpoints: [{name: checked}, {name: closed}], healthChecks: [{name: tcp}], panicThreshold: 60}",
    }
    text = with_clusters(text, clusters)
    text += """
---
apiVersion: isthmus/v1
kind: HealthCheck
metadata: {name: tcp}
spec: {tcp: {}, interval: 50ms, timeout: 1s}"""
    objects = parse_objects(text) | callers("ams")
    objects |= {obj.key: obj for obj in (access(name, "ams") for name in clusters)}
    for site in ("ams", "fra"):
        await (await start_site(site)).apply(objects)
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url + "kept", "shop.example")

    answers = await asyncio.gather(*(shop.get("limited") for _ in range(3)), shop.get("limited-high"))
    assert sorted(each.status_code for each in answers[:3]) == [200, 503, 503]
    assert answers[3].status_code == 200  # counted for itself
    assert "x-isthmus-priority" not in answers[3].json()["headers"]

    await until_served(client, shop.url + "sure", "shop.example")
    assert await statuses(shop, "sure", 10) == {200: 10}
    assert (await statuses(shop, "panic", 10))[503] >= 3  # half of its endpoints is too few: it uses all of them

    assert (await statuses(shop, "plain", 20))[500] == 10  # an application's error is its answer
    await statuses(shop, "outlier", 8)
    assert await statuses(shop, "outlier", 20) == {200: 20}

    connections = [good.connections]
    for path in ("once", "kept"):
        assert await statuses(shop, path, 5) == {200: 5}
        connections.append(good.connections)
    assert connections[1] - connections[0] == 5
    assert connections[2] - connections[1] <= 1


async def test_proxy_protocol_names_the_client(start_site: StartSite) -> None:
    proxied = ProxiedApp()
    await proxied.start()
    ports = some_ports("ams")
    text = deployment(
        ports, endpoints={"a": ("ams", proxied.port)}, cluster=", proxyProtocol: V1, endpointSelection: LOCAL_ONLY"
    )
    await (await start_site("ams")).apply(parse_objects(text))
    for address in ("127.0.0.5", "127.0.0.6"):
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address=address)) as client:
            await until_served(client, f"http://127.0.0.1:{ports['ams']}/", "shop.example")
        assert proxied.seen[-1].startswith(f"PROXY TCP4 {address} 127.0.0.1 ".encode())
    proxied.stop()


async def statuses(shop: Shop, path: str, requests: int) -> Counter[int]:
    return Counter([(await shop.get(path)).status_code for _ in range(requests)])


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
