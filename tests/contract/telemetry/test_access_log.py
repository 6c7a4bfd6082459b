"""Real Envoys tell the access log service what requests did, across two sites, and carry on when nobody listens."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import polars as pl
import pytest_asyncio

from isthmus.engine.envoy import LogServer
from isthmus.identity import Authority
from isthmus.site.telemetry import plan_naming
from isthmus.telemetry.decoder import RECORD_SCHEMA, Decoder

from ...port import free_port
from ..data_path.echo import Echo, ask
from ..data_path.rig import TRUST_DOMAIN, App, SiteNode, access, parse_objects, until_served
from ..data_path.test_data_path import deployment

FULL = """
---
apiVersion: isthmus/v1
kind: Cluster
metadata: {name: full}
spec: {endpoints: [{name: one}], circuitBreakers: {default: {maxRequests: 0}}}
---
apiVersion: isthmus/v1
kind: Route
metadata: {name: full}
spec:
  match: [{path: {exact: /telemetry/full}}]
  forward: {clusters: [{cluster: {name: full}}], retry: {attempts: 0}}"""
"""A route to a cluster that takes nothing, at fra."""
DATAGRAMS = """
---
apiVersion: isthmus/v1
kind: Endpoint
metadata: {{name: {site}-udp}}
spec: {{where: {{site: {site}}}, address: 127.0.0.2, port: {echo}, protocol: UDP}}
---
apiVersion: isthmus/v1
kind: Cluster
metadata: {{name: {site}-udp}}
spec: {{endpoints: [{{name: {site}-udp}}]}}
---
apiVersion: isthmus/v1
kind: Route
metadata: {{name: {site}-udp}}
spec: {{forward: {{clusters: [{{cluster: {{name: {site}-udp}}}}], idleTimeout: 100ms}}}}
---
apiVersion: isthmus/v1
kind: AdvertisePolicy
metadata: {{name: {site}-udp}}
spec: {{where: {{site: ams}}, address: 127.0.0.1, port: {port}}}
---
apiVersion: isthmus/v1
kind: VirtualHost
metadata: {{name: {site}-udp}}
spec: {{proxy: UDP, routes: [{{name: {site}-udp}}], advertisePolicies: [{{name: {site}-udp}}]}}"""
"""Datagrams that ams takes in, for an application at a site."""


class Sites:
    """`ams` takes clients in, `fra` runs the application; both tell their log."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="ist-"))
        authority = Authority.create(TRUST_DOMAIN, datetime.now(UTC))
        self.nodes = {
            site: SiteNode(site, self.directory / site, authority, log_service=True) for site in ("ams", "fra")
        }
        self.servers = {site: LogServer(node.log_socket) for site, node in self.nodes.items()}
        self.app, self.echo = App("one"), Echo("echo", "127.0.0.2")  # not the clients' address
        self.told: dict[str, list[pl.DataFrame]] = {}
        self.udp = {site: free_port() for site in ("ams", "fra")}
        self.ports = {name: free_port() for name in ("ams", "ams-fabric", "fra", "fra-fabric")}

    async def start(self) -> None:
        await self.app.start()
        await self.echo.start()
        text = deployment(self.ports, endpoints={"one": ("fra", self.app.port)})
        text = text.replace("forward: {", 'forward: {regexRewrite: {pattern: "^/telemetry/1$", substitution: /told}, ')
        text = text.replace("routes: [{name: all}]", "routes: [{name: full}, {name: all}]") + FULL
        text += "".join(DATAGRAMS.format(port=self.udp[site], echo=self.echo.port, site=site) for site in self.udp)
        objects = parse_objects(text)
        rules = {rule.key: rule for rule in (access(name, "ams") for name in ("web", "full", "fra-udp"))}
        for node in self.nodes.values():
            await node.start()
            await node.apply({**objects, **rules})

    async def stop(self) -> None:
        for node in self.nodes.values():
            await node.stop()
        for server in self.servers.values():
            await server.stop()
        await self.app.stop()
        self.echo.stop()
        shutil.rmtree(self.directory)

    async def records(self, site: str, count: int, *, protocol: str = "HTTP/") -> pl.DataFrame:
        """So many records of requests for /telemetry…, or of another protocol, as they come."""
        decoder = Decoder(plan_naming(self.nodes[site].intent))
        asked = pl.col("path").str.starts_with("/telemetry") | (protocol != "HTTP/")
        found = self.told.setdefault(site, [pl.DataFrame(schema=RECORD_SCHEMA)])
        async with asyncio.timeout(60):
            while True:
                for log, messages in self.servers[site].take().items():
                    found.append(decoder.parse(log, messages))
                wanted = pl.concat(found).filter(pl.col("protocol").str.starts_with(protocol) & asked)
                if wanted.height >= count:
                    return wanted
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def sites() -> AsyncIterator[Sites]:
    found = Sites()
    try:
        await found.start()
        yield found
    finally:
        await found.stop()


async def test_each_site_tells_its_part_of_a_request(sites: Sites) -> None:
    """Envoy has started and serves though nobody listens; what is told from then on arrives from both sites."""
    url = f"http://127.0.0.1:{sites.ports['ams']}"
    async with httpx.AsyncClient(timeout=60) as client:
        await until_served(client, url, "shop.example")
        unheard = await sites.nodes["ams"].admin.counters(r"logs_written$")
        for server in sites.servers.values():
            await server.start()
        async with asyncio.timeout(60):  # Envoy's own back-off until it finds the service
            while not all(server.streams for server in sites.servers.values()):
                await client.get(url + "/warm", headers={"host": "shop.example"})
                await asyncio.sleep(0.05)
        for number in range(20):
            secret = {"authorization": "Bearer not-for-any-log"} if number < 5 else {}
            sent = {"host": "shop.example", "x-envoy-original-path": "/forged", **secret}
            response = await client.get(f"{url}/telemetry/{number}", headers=sent)
            assert response.status_code == 200
            seen = response.json()
            assert seen["path"] == ("/told" if number == 1 else f"/telemetry/{number}")
            assert seen["headers"]["x-envoy-original-path"] == f"/telemetry/{number}"
        assert (await client.get(url + "/telemetry", headers={"host": "nobody.example"})).status_code == 404
        full = await client.get(url + "/telemetry/full", headers={"host": "shop.example"})
        assert full.status_code == 503
        for site in sites.udp:
            assert await ask(sites.udp[site], b"twelve bytes", patience=30) == b"echo twelve bytes"
    sessions = await sites.records("ams", 2, protocol="UDP")
    assert set(sessions["route"]) == {"default/ams-udp", "default/fra-udp"}
    for session in sessions.to_dicts():
        assert (session["log"], session["error"], session["flags"]) == ("ingress", "", "")
        assert session["virtual_host"] == session["route"] == session["cluster"]
        assert (session["received"], session["sent"]) == (12, 17)
    ingress, egress = await sites.records("ams", 22), await sites.records("fra", 21)
    limited = pl.col("path") == "/telemetry/full"
    [refused] = egress.filter(limited).to_dicts()
    assert (refused["code"], refused["flags"], refused["error"]) == (503, "circuit breaker open", "overload")
    [refused] = ingress.filter(limited).to_dicts()
    assert (refused["code"], refused["cluster"], refused["peer"]) == (503, "default/full", "fra")
    egress = egress.filter(~limited)
    routed = ingress.filter(pl.col("code") == 200)
    assert routed.height == 20
    assert set(routed["path"]) == set(egress["path"]) == {f"/telemetry/{number}" for number in range(20)}
    first = routed.row(0, named=True)
    assert (first["virtual_host"], first["route"], first["cluster"]) == ("default/shop", "default/all", "default/web")
    assert (first["log"], first["peer"], first["endpoint"], first["client"]) == ("ingress", "fra", "", "external")
    assert (first["authority"], first["protocol"], first["method"]) == ("shop.example", "HTTP/1.1", "GET")
    assert routed.get_column("credential").sum() == 5
    assert "not-for-any-log" not in str(ingress.rows())
    [lost] = ingress.filter(pl.col("code") == 404).to_dicts()
    assert (lost["error"], lost["flags"], lost["virtual_host"]) == ("no-route", "no route", "")
    there = egress.row(0, named=True)
    assert (there["log"], there["peer"], there["cluster"]) == ("egress", "ams", "default/web")
    assert (there["endpoint"], there["tls"]) == (f"127.0.0.1:{sites.app.port}", "TLSv1.3")
    assert set(routed["request_id"]) == set(egress["request_id"])
    both = routed.join(egress, on="request_id", suffix="_there")
    assert both.filter(pl.col("total") < pl.col("upstream")).height == 0
    assert both.filter(pl.col("upstream") < pl.col("total_there")).height == 0
    # what was told while nobody listened is counted by Envoy as written: the agent compares
    assert all(name.startswith("access_logs.grpc_access_log") for name in unheard)
    assert sum(unheard.values()) >= 1
    # statuses by cluster are counted once: from the log where clients come in, by Envoy where other sites do
    answers = {
        site: {
            name.rpartition(".")[2]: number
            for name, number in (await node.admin.counters(r"web@.*\.upstream_rq_(2xx|total)$")).items()
        }
        for site, node in sites.nodes.items()
    }
    assert answers["ams"].keys() == {"upstream_rq_total"}
    assert answers["fra"].keys() == {"upstream_rq_total", "upstream_rq_2xx"}
    assert answers["ams"]["upstream_rq_total"] >= answers["fra"]["upstream_rq_2xx"] >= 20
