"""Requests through one and two real Envoys, as clients, applications and other sites see them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
from collections import Counter

import httpx
import pytest

from isthmus.health.choice import SiteState

from ...port import free_port
from .conftest import StartApp, StartSite
from .rig import SiteNode, access, choice, everybody, parse_objects, until_served


def deployment(
    ports: dict[str, int],
    *,
    endpoints: dict[str, tuple[str, int]],
    cluster: str = "",
    route: str = "",
    weights: dict[str, int] | None = None,
) -> str:
    """Sites with ingress port `NAME` and fabric port `NAME-fabric`, one virtual host, one cluster `web`."""
    parts = [
        f"""
apiVersion: isthmus/v1
kind: Site
metadata: {{name: {site}}}
spec:
  fabric: {{addresses: [{{address: 127.0.0.1, port: {ports[site + "-fabric"]}}}]}}
---
apiVersion: isthmus/v1
kind: AdvertisePolicy
metadata: {{name: {site}}}
spec: {{where: {{site: {site}}}, address: 127.0.0.1, port: {ports[site]}}}"""
        for site in sorted({key.removesuffix("-fabric") for key in ports})
    ]
    parts.extend(
        f"""
apiVersion: isthmus/v1
kind: Endpoint
metadata: {{name: {name}}}
spec: {{where: {{site: {site}}}, address: 127.0.0.1, port: {port}, weight: {(weights or {}).get(name, 1)}}}"""
        for name, (site, port) in endpoints.items()
    )
    parts.append(f"""
apiVersion: isthmus/v1
kind: Cluster
metadata: {{name: web}}
spec: {{endpoints: [{", ".join(f"{{name: {name}}}" for name in endpoints)}]{cluster}}}
---
apiVersion: isthmus/v1
kind: Route
metadata: {{name: all}}
spec:
  forward: {{clusters: [{{cluster: {{name: web}}}}]{route}}}
---
apiVersion: isthmus/v1
kind: VirtualHost
metadata: {{name: shop}}
spec:
  domains: [shop.example]
  routes: [{{name: all}}]
  advertisePolicies: [{", ".join(f"{{name: {key}}}" for key in ports if not key.endswith("-fabric"))}]""")
    return "\n---\n".join(parts)


def some_ports(*sites: str) -> dict[str, int]:
    return {key: free_port() for site in sites for key in (site, f"{site}-fabric")}


def callers(*sites: str) -> dict[object, object]:
    obj = access("web", *sites)
    return {obj.key: obj}


class Shop:
    """A client of the virtual host at one site."""

    def __init__(self, client: httpx.AsyncClient, port: int) -> None:
        self._client = client
        self.url = f"http://127.0.0.1:{port}/"

    async def get(self, path: str = "", **headers: str) -> httpx.Response:
        sent = {"host": "shop.example"} | {key.replace("_", "-"): value for key, value in headers.items()}
        return await self._client.get(self.url + path, headers=sent)

    async def count(self, requests: int) -> Counter[str]:
        """Which application answered how many; an error counts under its status."""
        found: Counter[str] = Counter()
        for _ in range(requests):
            response = await self.get()
            found[response.json()["app"] if response.status_code == 200 else str(response.status_code)] += 1
        return found


async def test_request_crosses_sites_and_leaves_no_trace(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    app = await start_app("a", headers={"server": "shopd", "x-isthmus-local-reply": "1", "x-own": "kept"})
    ports = some_ports("ams", "fra")
    objects = parse_objects(deployment(ports, endpoints={"a": ("fra", app.port)})) | callers("ams")
    for site in ("ams", "fra"):
        await (await start_site(site)).apply(objects)
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example")
    before = app.requests
    response = await shop.get(
        "some//path?q=1",
        x_isthmus_cluster="default/default/other@local",
        x_isthmus_anything="1",
        x_mine="kept",
        x_envoy_original_path="/forged",
    )
    assert response.status_code == 200
    assert app.requests == before + 1
    seen = response.json()
    assert seen["path"] == "/some/path?q=1"
    assert seen["headers"]["host"] == "shop.example"
    assert seen["headers"]["x-mine"] == "kept"
    assert "," not in seen["headers"]["x-forwarded-for"]
    assert seen["headers"]["x-forwarded-proto"] == "http"
    assert not [header for header in seen["headers"] if header.startswith(("x-isthmus-", "x-envoy-original-"))]
    assert not [header for header in response.headers if header.startswith(("x-isthmus-", "x-envoy-"))]
    assert response.headers["x-own"] == "kept"
    assert response.headers.get_list("server") == ["isthmus"]


async def test_fabric_refuses_callers_and_clusters_that_are_not_allowed(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    app = await start_app("a")
    ports = some_ports("ams", "fra")
    objects = parse_objects(deployment(ports, endpoints={"a": ("fra", app.port)}))
    ams, fra = await start_site("ams"), await start_site("fra")
    await ams.apply(objects | callers("ams"))
    await fra.apply(objects | callers("nyc"))
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example", 403)
    await fra.apply(objects | callers("ams"))  # existing connections obey at once
    assert (await shop.get()).status_code == 200
    url = f"https://127.0.0.1:{ports['fra-fabric']}/"
    wanted = {"x-isthmus-cluster": "default/default/web@local", "host": "shop.example"}
    assert await fabric_status(ams, url, wanted) == 200
    assert await fabric_status(ams, url, wanted | {"x-isthmus-cluster": "default/default/other@local"}) == 403
    assert await fabric_status(ams, url, {"host": "shop.example"}) == 403
    assert await fabric_status(fra, url, wanted) == 403
    # httpx does not wrap an alert that comes after the handshake
    with pytest.raises((httpx.TransportError, ssl.SSLError)):
        async with httpx.AsyncClient(verify=False) as stranger:
            await stranger.get(url, headers=wanted)
    assert app.requests == 2


async def fabric_status(node: SiteNode, url: str, headers: dict[str, str]) -> int:
    """What the fabric listener answers to a caller with a site's certificate (curl speaks HTTP/2)."""
    for file, body in (("chain.pem", node.chain), ("key.pem", node.key)):
        (node.directory / file).write_bytes(body)
    arguments = ["-sk", "--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_code}", "--http2"]
    arguments += ["--cert", str(node.directory / "chain.pem"), "--key", str(node.directory / "key.pem")]
    for key, value in headers.items():
        arguments += ["-H", f"{key}: {value}"]
    process = await asyncio.create_subprocess_exec("curl", *arguments, url, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return int(out)


async def test_application_errors_stay_the_applications(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    app = await start_app("a", status=503)
    ports = some_ports("ams", "fra")
    objects = parse_objects(deployment(ports, endpoints={"a": ("fra", app.port)})) | callers("ams")
    for site in ("ams", "fra"):
        await (await start_site(site)).apply(objects)
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example", 503)
    async with asyncio.timeout(60):
        while app.requests == 0:
            await shop.get()
    before = app.requests
    response = await shop.get()
    assert response.status_code == 503
    assert response.json()["app"] == "a"
    assert app.requests == before + 1


async def test_egress_error_is_stripped_of_its_mark_and_tried_elsewhere(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    one, two = await start_app("fra"), await start_app("nyc")
    ports = some_ports("ams", "fra", "nyc")
    text = deployment(ports, endpoints={"f": ("fra", one.port), "n": ("nyc", two.port)})
    objects = parse_objects(text) | callers("ams")
    for site in ("ams", "fra", "nyc"):
        await (await start_site(site)).apply(objects)
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example")
    counts = await shop.count(20)
    assert set(counts) == {"fra", "nyc"}
    await one.stop()
    assert await shop.count(40) == {"nyc": 40}
    await two.stop()
    response = await shop.get()
    assert response.status_code == 503
    assert not [header for header in response.headers if header.startswith("x-isthmus-")]


@pytest.mark.parametrize("selection", ["DISTRIBUTED", "LOCAL_PREFERRED"])
async def test_dead_egress_site_fails_no_request(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient, selection: str
) -> None:
    one, two = await start_app("fra"), await start_app("nyc")
    ports = some_ports("ams", "fra", "nyc")
    text = deployment(
        ports,
        endpoints={"f": ("fra", one.port), "n": ("nyc", two.port)},
        cluster=f", endpointSelection: {selection}",
    )
    objects = parse_objects(text) | callers("ams")
    nodes = {site: await start_site(site) for site in ("ams", "fra", "nyc")}
    for node in nodes.values():
        await node.apply(objects)
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example")
    if selection == "LOCAL_PREFERRED":
        assert await shop.count(10) == {"fra": 10}
    await nodes["fra"].kill()
    assert await shop.count(40) == {"nyc": 40}


async def test_frozen_egress_site_is_left(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    one, two = await start_app("fra"), await start_app("nyc")
    ports = some_ports("ams", "fra", "nyc")
    text = deployment(
        ports,
        endpoints={"f": ("fra", one.port), "n": ("nyc", two.port)},
        cluster=", endpointSelection: LOCAL_PREFERRED",
    )
    objects = parse_objects(text) | callers("ams")
    nodes = {site: await start_site(site) for site in ("ams", "fra", "nyc")}
    for node in nodes.values():
        await node.apply(objects)
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example")
    assert await shop.count(4) == {"fra": 4}
    pid = nodes["fra"].process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # connections stay open and nothing answers, as when a site is cut off
    try:
        await until_only(shop, {"nyc"})
        assert await shop.count(20) == {"nyc": 20}
    finally:
        os.kill(pid, signal.SIGCONT)
    await until_only(shop, {"fra"})


async def test_websocket_crosses_sites(start_site: StartSite, start_app: StartApp) -> None:
    app = await start_app("a")
    ports = some_ports("ams", "fra")
    objects = parse_objects(deployment(ports, endpoints={"a": ("fra", app.port)}, route=", timeout: 0s"))
    objects |= callers("ams")
    for site in ("ams", "fra"):
        await (await start_site(site)).apply(objects)
    async with asyncio.timeout(60):
        while True:
            reader, writer = await until_connected(ports["ams"])
            writer.write(
                b"GET /chat HTTP/1.1\r\nhost: shop.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            if b" 101 " in await reader.readline():
                break
            writer.close()
            await asyncio.sleep(0.02)
        await reader.readuntil(b"\r\n\r\n")
        for text in (b"one", b"two"):
            writer.write(text)
            assert await reader.readexactly(3) == text
    writer.close()


async def test_local_first_spills_only_without_healthy_local_endpoint(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    apps = [await start_app(app) for app in ("l1", "l2", "l3", "remote")]
    ports = some_ports("ams", "fra")
    sites = ("ams", "ams", "ams", "fra")
    text = deployment(
        ports,
        endpoints={app.name: (site, app.port) for app, site in zip(apps, sites, strict=True)},
        cluster=", endpointSelection: LOCAL_PREFERRED, healthChecks: [{name: live}]",
    )
    text += """
---
apiVersion: isthmus/v1
kind: HealthCheck
metadata: {name: live}
spec: {http: {path: /healthz}, interval: 100ms, timeout: 60s, healthyThreshold: 1, unhealthyThreshold: 1}"""
    objects = parse_objects(text) | callers("ams", "fra")
    ams, fra = await start_site("ams"), await start_site("fra")
    await ams.apply(objects)
    await fra.apply(objects)
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example")
    await until_only(shop, {"l1", "l2", "l3"})
    response = await shop.get()
    assert "x-isthmus-cluster" not in response.json()["headers"]
    apps[0].healthy = apps[1].healthy = False
    await until_only(shop, {"l3"})
    assert await shop.count(20) == {"l3": 20}
    apps[2].healthy = False
    await until_only(shop, {"remote"})
    assert await shop.count(20) == {"remote": 20}
    apps[1].healthy = True
    await until_only(shop, {"l2"})
    events = [json.loads(line) for line in ams.health_events.read_text().splitlines()]
    assert {event["cluster_name"] for event in events} == {"default/default/web@local"}


async def until_only(shop: Shop, names: set[str]) -> None:
    async with asyncio.timeout(60):
        while set(await shop.count(8)) != names:
            pass


async def until_connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, as soon as somebody listens."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(ConnectionError):
                return await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.02)


async def test_local_connection_failure_is_tried_at_another_site(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    local, remote = await start_app("local"), await start_app("remote")
    ports = some_ports("ams", "fra")
    text = deployment(
        ports,
        endpoints={"l": ("ams", local.port), "r": ("fra", remote.port)},
        cluster=", endpointSelection: LOCAL_PREFERRED",
    )
    objects = parse_objects(text) | callers("ams", "fra")
    for site in ("ams", "fra"):
        await (await start_site(site)).apply(objects)
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example")
    assert await shop.count(10) == {"local": 10}
    await local.stop()
    assert await shop.count(10) == {"remote": 10}


async def test_distributed_weighs_endpoints_of_all_sites_alike(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    apps = [await start_app(app) for app in ("own", "far1", "far2")]
    ports = some_ports("ams", "fra")
    text = deployment(
        ports,
        endpoints={app.name: (site, app.port) for app, site in zip(apps, ("ams", "fra", "fra"), strict=True)},
        weights={"far2": 2},
    )
    objects = parse_objects(text) | callers("ams", "fra")
    ams, fra = await start_site("ams"), await start_site("fra")
    await ams.apply(objects)
    await fra.apply(objects)
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example")
    counts = await shop.count(200)
    assert abs(counts["own"] - 50) <= 4
    assert abs(counts["far1"] - 50) <= 4
    assert abs(counts["far2"] - 100) <= 4
    response = await shop.get()
    assert not [header for header in response.json()["headers"] if header.startswith("x-isthmus-")]
    cluster = ams.cluster("web")
    await ams.choose("web", [choice("ams", 0, 1, cluster), choice("fra", 0, 3, cluster, SiteState.DRAINING)])
    assert await shop.count(20) == {"own": 20}
    await ams.choose("web", [choice("ams", 0, 1, cluster, SiteState.DEGRADED), choice("fra", 0, 3, cluster)])
    assert "own" not in await shop.count(20)
    await ams.choose("web", [choice("fra", 0, 3, cluster, SiteState.DEGRADED)])
    assert set(await shop.count(20)) == {"far1", "far2"}
    await ams.choose("web", [])
    assert await shop.count(3) == {"503": 3}
    await ams.choose("web", everybody(cluster))
    assert len(await shop.count(20)) == 3


async def test_hash_gives_one_endpoint_through_every_ingress(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    apps = [await start_app(app) for app in ("a1", "a2", "f1", "f2")]
    ports = some_ports("ams", "fra")
    text = deployment(
        ports,
        endpoints={app.name: (site, app.port) for app, site in zip(apps, ("ams", "ams", "fra", "fra"), strict=True)},
        cluster=", loadBalancing: MAGLEV",
        route=", hashPolicy: [{header: x-user*}, {cookie: session}]",
    )
    objects = parse_objects(text) | callers("ams", "fra")
    for site in ("ams", "fra"):
        await (await start_site(site)).apply(objects)
    shops = [Shop(client, ports[site]) for site in ("ams", "fra")]
    for shop in shops:
        await until_served(client, shop.url, "shop.example")
    chosen = Counter()
    for user in range(60):
        sent = {"x-user*": f"u{user}", "cookie": f"a=b; session=s{user}"}
        answers = [await shop.get(**sent) for shop in shops for _ in range(2)]
        apps_seen = {answer.json()["app"] for answer in answers}
        assert len(apps_seen) == 1
        chosen.update(apps_seen)
        assert "x-isthmus-hash" not in answers[0].json()["headers"]
    assert len(chosen) == 4


async def test_connections_between_sites_are_reused(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    app = await start_app("a")
    ports = some_ports("ams", "fra")
    objects = parse_objects(deployment(ports, endpoints={"a": ("fra", app.port)})) | callers("ams")
    ams, fra = await start_site("ams"), await start_site("fra")
    await ams.apply(objects)
    await fra.apply(objects)
    shop = Shop(client, ports["ams"])
    await until_served(client, shop.url, "shop.example")
    assert await shop.count(50) == {"a": 50}
    statistics = (await fra.admin.statistics()).decode()
    handshakes = [line for line in statistics.splitlines() if line.startswith("envoy_listener_ssl_handshake{")]
    assert sum(int(line.rsplit(" ", 1)[1]) for line in handshakes) == 1
