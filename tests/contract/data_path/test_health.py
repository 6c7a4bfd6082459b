"""Health checks of every kind against real applications: one that passes and one that does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import cast

import grpc
import pytest

from isthmus.compile.intent import Endpoint, Hosted, Intent, Socket
from isthmus.compile.probe import HealthCheck, UdpProbe
from isthmus.engine.envoy import HealthEvent
from isthmus.model.key import ObjectKey
from isthmus.site.udp_probe import UdpProber, probe

from ...port import free_port
from .conftest import StartSite
from .rig import SiteNode, parse_objects

CHECKS = """
---
apiVersion: isthmus/v1
kind: HealthCheck
metadata: {name: http}
spec:
  http:
    path: /live
    method: POST
    headers: [{name: x-probe, value: 100%}]
    expectedStatuses: [201]
    expectedBody: ready
  interval: 100ms
  timeout: 60s
---
apiVersion: isthmus/v1
kind: HealthCheck
metadata: {name: tcp}
spec:
  tcp: {send: {text: "PING\\r\\n"}, expect: [{text: "+"}, {hex: 50 4f 4e 47}]}
  interval: 100ms
  timeout: 60s
---
apiVersion: isthmus/v1
kind: HealthCheck
metadata: {name: grpc}
spec: {grpc: {service: shop, authority: shop.example}, interval: 100ms, timeout: 60s}"""


async def answer_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            asked = head.startswith(b"POST /live ") and b"x-probe: 100%\r\n" in head
            status = b"201 Created" if asked else b"400 Bad"
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    writer.close()


async def answer_ping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        while line := await reader.readline():
            writer.write(answer if line == b"PING\r\n" else b"?")
    writer.close()


class Health(grpc.GenericRpcHandler):
    """grpc.health.v1.Health/Check of the service `shop` (field 1 of the question): a status (field 1 of the answer)."""

    def __init__(self, status: int) -> None:
        self._status = status

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if handler_call_details.method != "/grpc.health.v1.Health/Check":
            return None

        async def check(question: bytes, context: object) -> bytes:
            assert question == b"\x0a\x04shop"
            return bytes((8, self._status))

        return grpc.unary_unary_rpc_method_handler(check)


async def grpc_server(status: int) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server(handlers=(Health(status),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


async def test_http_tcp_and_grpc(start_site: StartSite) -> None:
    ports: dict[str, int] = {}
    servers: list[asyncio.Server] = []

    async def serve(name: str, handler: Callable[..., object], argument: bytes) -> None:
        server = await asyncio.start_server(lambda r, w: handler(r, w, argument), "127.0.0.1", 0)
        servers.append(server)
        ports[name] = server.sockets[0].getsockname()[1]

    await serve("http-good", answer_http, b"all ready now")
    await serve("http-bad", answer_http, b"all broken now")
    await serve("tcp-good", answer_ping, b"+PONG\r\n")
    await serve("tcp-bad", answer_ping, b"-ERR\r\n")
    good, ports["grpc-good"] = await grpc_server(1)
    bad, ports["grpc-bad"] = await grpc_server(2)
    text = f"""
apiVersion: isthmus/v1
kind: Site
metadata: {{name: ams}}
spec: {{fabric: {{addresses: [{{address: 127.0.0.1, port: {free_port()}}}]}}}}{CHECKS}"""
    for name, port in ports.items():
        text += f"""
---
apiVersion: isthmus/v1
kind: Endpoint
metadata: {{name: {name}}}
spec: {{where: {{site: ams}}, address: 127.0.0.1, port: {port}}}"""
    for kind in ("http", "tcp", "grpc"):
        text += f"""
---
apiVersion: isthmus/v1
kind: Cluster
metadata: {{name: {kind}}}
spec:
  endpoints: [{{name: {kind}-good}}, {{name: {kind}-bad}}]
  protocol: {"HTTP2" if kind == "grpc" else "HTTP1"}
  healthChecks: [{{name: {kind}}}]"""
    ams = await start_site("ams")
    await ams.apply(parse_objects(text))
    try:
        expected = {port: name.endswith("good") for name, port in ports.items()}
        await until_health(ams, expected)
    finally:
        for server in servers:
            server.close()
        await good.stop(None)
        await bad.stop(None)


async def until_health(node: SiteNode, expected: dict[int, bool]) -> None:
    found: dict[int, bool] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(60):
            while found != expected:
                found = {host.port: host.healthy for host in await node.admin.hosts() if not host.pending}
                await asyncio.sleep(0.02)
    assert found == expected


class UdpApp(asyncio.DatagramProtocol):
    """Answers a question with what it is set to."""

    answer: bytes | None = b"it is ok"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data == b"\x00ask" and self.answer is not None:
            self.transport.sendto(self.answer, addr)


@pytest.fixture
async def udp_app() -> AsyncIterator[UdpApp]:
    _, app = await asyncio.get_running_loop().create_datagram_endpoint(UdpApp, local_addr=("127.0.0.1", 0))
    yield app
    app.transport.close()


async def test_udp(udp_app: UdpApp) -> None:
    port = udp_app.transport.get_extra_info("sockname")[1]
    check = UdpProbe(b"\x00ask".hex(), b"ok".hex())
    assert await probe("127.0.0.1", port, check, 60) == ""
    assert await probe("127.0.0.1", port, UdpProbe(check.send), 60) == ""
    assert await probe("127.0.0.1", port, UdpProbe(check.send, b"no".hex()), 60) == "unexpected answer"
    assert await probe("127.0.0.1", port, UdpProbe("ff"), 0.05) == "timeout"
    assert await probe("127.0.0.1", free_port(), check, 60) == "refused"


async def test_udp_prober_follows_its_endpoints(udp_app: UdpApp) -> None:
    port = udp_app.transport.get_extra_info("sockname")[1]
    events: list[HealthEvent] = []
    heard = asyncio.Event()

    def hear(event: HealthEvent) -> None:
        events.append(event)
        heard.set()

    async def next_event() -> HealthEvent:
        async with asyncio.timeout(60):
            while not events:
                heard.clear()
                await heard.wait()
        return events.pop(0)

    key = ObjectKey("default", "Cluster", "default", "names")
    check = HealthCheck(key, None, 20, 60_000, 2, 1, 0, udp=UdpProbe(b"\x00ask".hex(), b"ok".hex()))
    endpoint = Endpoint(key._replace(kind="Endpoint"), Socket("127.0.0.1", port), 1)
    hosted = Hosted(key, 1, "ROUND_ROBIN", 1000, (check,), (endpoint,))
    prober = UdpProber(xds_names=lambda cluster, checks: (f"{cluster.name}@local",), on_event=hear)
    prober.use(Intent("default", "ams", hosted=(hosted,)))
    first = await next_event()
    assert (first.cluster, first.port, first.healthy) == ("names@local", port, True)
    udp_app.answer = b"down"
    second = await next_event()
    assert (second.healthy, second.reason) == (False, "unexpected answer")
    prober.repeat()
    assert await next_event() == second
    udp_app.answer = b"ok"
    assert (await next_event()).healthy
    prober.use(Intent("default", "ams"))
    udp_app.answer = b"down"
    await asyncio.sleep(0)
    assert not events
    await prober.stop()
