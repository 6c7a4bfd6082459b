"""Records and spans of two real Envoys reach a collector: a request over two sites is one trace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from isthmus.site.receiver import Receivers
from isthmus.site.telemetry import plan_naming
from isthmus.telemetry.collection import decode
from isthmus.telemetry.decoder import Decoder

from ..data_path.rig import access, parse_objects, until_served
from ..data_path.test_data_path import deployment
from .collector import Collector, attributes
from .test_access_log import Sites

HOST = {"host": "shop.example"}
OUTSIDE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Traced(Sites):
    """The same two sites, each with the part of its agent that serves receivers."""

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self.collector = collector
        self.receivers = {
            site: Receivers("default", site, self.directory / f"{site}-spool", self.directory / "files", lambda _: None)
            for site in self.nodes
        }
        self._pumps: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.app.start()
        await self.echo.start()
        for server in self.servers.values():
            await server.start()
        for node in self.nodes.values():
            await node.start()
        await self.receive("")
        self._pumps = [asyncio.create_task(self._pump(site)) for site in self.nodes]

    async def receive(self, traces: str) -> None:
        """Have both sites send to the collector; `traces` says how requests are traced."""
        text = deployment(self.ports, endpoints={"one": ("fra", self.app.port)})
        for site in self.nodes:
            text += f"""
---
apiVersion: isthmus/v1
kind: TelemetryReceiver
metadata: {{name: collector-{site}, namespace: shared}}
spec:
  where: {{site: {site}}}
  logs: {{fabric: true}}
  otlp: {{url: "{self.collector.url}"{traces}}}
"""
        objects = parse_objects(text)
        rule = access("web", "ams")
        for site, node in self.nodes.items():
            await node.apply({**objects, rule.key: rule})
            await self.receivers[site].use(node.intent.receivers)

    async def stop(self) -> None:
        for task in self._pumps:
            task.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for receivers in self.receivers.values():
            await receivers.stop()
        await super().stop()

    async def _pump(self, site: str) -> None:
        """As the agent does, but more often."""
        decoder = Decoder(plan_naming(self.nodes[site].intent))
        server, since = self.servers[site], time.monotonic()
        while True:
            await asyncio.sleep(0.1)
            messages, spans = server.take(), server.take_spans()
            now = time.monotonic()
            records = decode(decoder, messages) if messages else None
            await self.receivers[site].take(records, spans, now - since)
            since = now


@pytest_asyncio.fixture
async def traced() -> AsyncIterator[Traced]:
    collector = Collector()
    await collector.start()
    sites = Traced(collector)
    try:
        await sites.start()
        yield sites
    finally:
        await sites.stop()
        await collector.stop()


async def test_a_request_over_two_sites_is_one_trace(traced: Traced) -> None:
    collector, url = traced.collector, f"http://127.0.0.1:{traced.ports['ams']}"
    async with httpx.AsyncClient(timeout=60) as client:
        await until_served(client, url, "shop.example")
        await traced.receive(", traces: {sampling: 100}")
        await client.get(url + "/begun?secret=1", headers=HOST)
        await client.get(url + "/joined", headers={**HOST, "traceparent": OUTSIDE})
        await client.get(url + "/unwanted", headers={**HOST, "traceparent": OUTSIDE[:-2] + "00"})
        await collector.until(lambda: len(of(collector, OUTSIDE[3:35])) == 4 and len(logs(collector, "/unwanted")) == 2)
    seen = {each[":path"].partition("?")[0]: each.get("traceparent", "") for each in traced.app.seen}

    # the client's trace goes on: both sites' spans are in it, each below the one before, and the application's are next
    joined = chain(of(collector, OUTSIDE[3:35]))
    assert [site for site, _ in joined] == ["ams", "ams", "fra", "fra"]
    assert joined[0][1].parent_span_id.hex() == OUTSIDE[36:52]
    assert seen["/joined"] == f"00-{OUTSIDE[3:35]}-{joined[-1][1].span_id.hex()}-01"
    first, last = attributes(joined[0][1]), attributes(joined[-1][1])
    assert (first["isthmus.virtual_host"], first["isthmus.route"]) == ("default/shop", "default/all")
    assert (first["http.response.status_code"], first["isthmus.log"]) == (200, "ingress")
    assert (last["isthmus.cluster"], last["isthmus.log"]) == ("default/web", "egress")
    assert joined[0][1].name == "GET default/all"

    # what no client has begun begins here; a client that wants no trace has none
    begun = seen["/begun"].split("-")
    assert [site for site, _ in chain(of(collector, begun[1]))] == ["ams", "ams", "fra", "fra"]
    assert seen["/unwanted"].endswith("-00")

    # and the records of both sites name the trace
    for path, trace in (("/joined", OUTSIDE[3:35]), ("/begun", begun[1]), ("/unwanted", "")):
        records = logs(collector, path)
        assert {site for site, _ in records} == {"ams", "fra"}
        assert {record.trace_id.hex() for _, record in records} == {trace}
    facts = attributes(next(record for site, record in logs(collector, "/joined") if site == "ams"))
    assert (facts["http.request.method"], facts["http.response.status_code"]) == ("GET", 200)
    assert (facts["isthmus.virtual_host"], facts["isthmus.peer"]) == ("default/shop", "fra")


async def test_traces_can_begin_here_alone(traced: Traced) -> None:
    collector, url = traced.collector, f"http://127.0.0.1:{traced.ports['ams']}"
    async with httpx.AsyncClient(timeout=60) as client:
        await until_served(client, url, "shop.example")
    await traced.receive(", traces: {sampling: 100, clientContext: RESTART}")
    for number in range(1, 200):  # connections from before go on as they began, and so may those of the next moment
        path, forged = f"/forged-{number}", f"{number:032x}"
        async with httpx.AsyncClient(timeout=60) as client:
            sent = {"traceparent": OUTSIDE.replace(OUTSIDE[3:35], forged), "tracestate": "a=b"}
            await client.get(url + path, headers={**HOST, **sent})
        [seen] = [each for each in traced.app.seen if each[":path"] == path]
        if forged not in seen["traceparent"]:
            break
        await asyncio.sleep(0.05)
    assert forged not in seen["traceparent"]
    assert seen.get("tracestate", "") != "a=b"
    await collector.until(lambda: len(logs(collector, path)) == 2)
    assert of(collector, forged) == []
    trace = seen["traceparent"].split("-")[1]
    await collector.until(lambda: len(of(collector, trace)) >= 4)
    assert len(of(collector, trace)) == 4


def of(collector: Collector, trace: str) -> list[tuple[str, object]]:
    return [(site, span) for site, span in collector.spans if span.trace_id.hex() == trace]


def logs(collector: Collector, path: str) -> list[tuple[str, object]]:
    return [
        (site, record)
        for site, record in collector.logs
        if attributes(record).get("url.path", "").partition("?")[0] == path
    ]


def chain(spans: list[tuple[str, object]]) -> list[tuple[str, object]]:
    """Spans from the first to the last, each of which is the parent of the next."""
    by_parent = {span.parent_span_id: (site, span) for site, span in spans}
    known = {span.span_id for _, span in spans}
    [current] = [pair for parent, pair in by_parent.items() if parent not in known]
    found = [current]
    while (following := by_parent.get(found[-1][1].span_id)) is not None:
        found.append(following)
    assert len(found) == len(spans)
    return found
