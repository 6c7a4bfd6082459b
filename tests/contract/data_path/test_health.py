"""Health checks of every kind against real applications: one that passes and one that does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

import grpc
import pytest

from isthmus.compile.intent import Endpoint, Hosted, Intent, Socket
from isthmus.compile.probe import HealthCheck, UdpProbe
from isthmus.demo.address import AddressPlan
from isthmus.demo.example import load_example
from isthmus.emit.envoy.name import checked_clusters
from isthmus.engine.envoy import HealthEvent
from isthmus.model.key import ObjectKey
from isthmus.site.udp_probe import UdpProber, probe

from ...port import free_port
from .conftest import StartSite
from .rig import SiteNode
from .running_example import number_objects

BAD = {"web-2", "cache-2", "orders-2", "names-2"}
"""Endpoints of the example that do not answer as their check expects."""


async def answer_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            wanted = (b"POST /live ", b"host: probe.example\r\n", b"x-probe: 100%\r\n")
            asked = all(part in head for part in wanted)
            status = b"201 Created" if asked else b"400 Bad"
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    writer.close()


async def answer_ping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
    """Hang up after a wrong answer: the probe would wait for the rest of it until its time is over."""
    with contextlib.suppress(ConnectionError):
        while await reader.readline() == b"PING\r\n":
            writer.write(answer)
            if not answer.startswith(b"+"):
                break
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


async def test_example(start_site: StartSite) -> None:
    """Checks by HTTP, TCP and gRPC, which Envoy makes, and by UDP, which the agent makes."""
    plan = AddressPlan()
    documents = load_example("health", plan)
    for each in documents:
        if each["kind"] == "HealthCheck":  # often, and without a hurry for whoever answers
            each["spec"] |= {"interval": "100ms", "timeout": "60s"}
    objects = number_objects(documents)
    places = {
        key.name: (spec.address, spec.port, spec.protocol)
        for key, obj in objects.items()
        if key.kind == "Endpoint" and (spec := obj.spec)
    }
    async with contextlib.AsyncExitStack() as stack:
        for name, (address, port, _) in places.items():
            await serve(stack, name, address, port)
        ams = await start_site("ams")
        await ams.apply(objects)
        await until_health(
            ams, {port: name not in BAD for name, (_, port, protocol) in places.items() if protocol == "TCP"}
        )
        verdicts: asyncio.Queue[HealthEvent] = asyncio.Queue()
        prober = UdpProber(xds_names=checked_clusters, on_event=verdicts.put_nowait)
        stack.push_async_callback(prober.stop)
        prober.use(ams.intent)
        async with asyncio.timeout(60):
            told = [await verdicts.get() for _ in range(2)]
        assert {(each.port, each.healthy, each.reason) for each in told} == {
            (places["names-1"][1], True, ""),
            (places["names-2"][1], False, "unexpected answer"),
        }


async def serve(stack: contextlib.AsyncExitStack, name: str, address: str, port: int) -> None:
    """Be an endpoint of the example."""
    good = name not in BAD
    if name.startswith("orders"):
        server = grpc.aio.server(handlers=(Health(1 if good else 2),))
        server.add_insecure_port(f"{address}:{port}")
        await server.start()
        stack.push_async_callback(server.stop, None)
        return
    if name.startswith("names"):
        transport, app = await asyncio.get_running_loop().create_datagram_endpoint(UdpApp, local_addr=(address, port))
        app.answer = b"it is ok" if good else b"it is not"
        stack.callback(transport.close)
        return
    answers = {"web": (answer_http, b"all ready now", b"all broken now"), "cache": (answer_ping, b"+PONG", b"-ERR")}
    handler, right, wrong = answers[name.partition("-")[0]]
    listener = await asyncio.start_server(
        lambda reader, writer: handler(reader, writer, right if good else wrong), address, port
    )
    stack.callback(listener.close)


async def until_health(node: SiteNode, expected: dict[int, bool]) -> None:
    found: dict[int, bool] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(60):
            while found != expected:
                hosts = [host for host in await node.admin.hosts() if not host.pending and host.port in expected]
                found = {host.port: host.healthy for host in hosts}
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
