"""What lives longer than a request: WebSocket over HTTP/2, gRPC, and what is under way when a policy is removed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

import grpc
import h2.config
import h2.connection
import h2.events
import h2.settings
import httpx
import pytest

from isthmus.model import ObjectKey

from ...port import free_port
from ..envoy.material import until
from .conftest import StartApp, StartSite
from .echo import Echo, connected
from .rig import parse_objects, until_served
from .test_data_path import callers, deployment, some_ports


class Http2:
    """One stream of one HTTP/2 connection without TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
        self._connection.initiate_connection()
        self._events: list[h2.events.Event] = []

    async def wait(self, kind: type[h2.events.Event]) -> h2.events.Event:
        while True:
            for index, event in enumerate(self._events):
                if isinstance(event, kind):
                    return self._events.pop(index)
            self._writer.write(self._connection.data_to_send())
            data = await asyncio.wait_for(self._reader.read(65_536), 60)
            assert data, "closed"
            self._events.extend(self._connection.receive_data(data))

    def websocket(self, authority: str, path: str) -> None:
        self._connection.send_headers(
            1,
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":path", path),
                (":authority", authority),
                ("sec-websocket-version", "13"),
            ],
        )

    def send(self, data: bytes) -> None:
        self._connection.send_data(1, data)

    @property
    def takes_websocket(self) -> bool:
        return self._connection.remote_settings.enable_connect_protocol == 1


@pytest.mark.parametrize("site", ["ams", "fra"])
async def test_websocket_over_http2_to_an_application_that_speaks_http1(
    site: str, start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    app = await start_app("a")
    ports = some_ports("ams", "fra")
    objects = parse_objects(deployment(ports, endpoints={"a": (site, app.port)}, route=", timeout: 0s"))
    objects |= callers("ams")
    for each in ("ams", "fra"):
        await (await start_site(each)).apply(objects)
    await until_served(client, f"http://127.0.0.1:{ports['ams']}/", "shop.example")
    reader, writer = await asyncio.open_connection("127.0.0.1", ports["ams"])
    stream = Http2(reader, writer)
    await stream.wait(h2.events.RemoteSettingsChanged)
    assert stream.takes_websocket
    stream.websocket("shop.example", "/chat")
    response = await stream.wait(h2.events.ResponseReceived)
    assert isinstance(response, h2.events.ResponseReceived)
    assert dict(response.headers or ())[b":status"] == b"200"
    for text in (b"one", b"two"):
        stream.send(text)
        received = await stream.wait(h2.events.DataReceived)
        assert isinstance(received, h2.events.DataReceived)
        assert received.data == text
    writer.close()


class Chat(grpc.GenericRpcHandler):
    """Says everything back, one message at a time, then ends with trailers; `/Fail` ends with an error. `/Busy/STATUS`
    is refused with that status every first time."""

    def __init__(self) -> None:
        self.busy: Counter[str] = Counter()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        if "Busy" in details.method:
            return grpc.unary_unary_rpc_method_handler(partial(self._busy, details.method.rpartition("/")[2]))
        return grpc.stream_stream_rpc_method_handler(self._fail if details.method == "/test/Fail" else self._chat)

    async def _chat(self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        async for each in requests:
            yield each
        context.set_trailing_metadata((("x-said", "all"),))

    async def _busy(self, status: str, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        self.busy[status] += 1
        if self.busy[status] % 2:
            await context.abort(getattr(grpc.StatusCode, status), "busy")
        return request

    async def _fail(self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        yield b"first"
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "no more")


async def test_grpc_streams_and_trailers_cross_sites(start_site: StartSite) -> None:
    server = grpc.aio.server()
    chat = Chat()
    server.add_generic_rpc_handlers((chat,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    ports = some_ports("ams", "fra")
    text = deployment(ports, endpoints={"a": ("fra", port)}, cluster=", protocol: HTTP2", route=", timeout: 0s")
    text = text.replace("routes: [{name: all}]", "routes: [{name: patient}, {name: all}]")
    text += """
---
apiVersion: isthmus/v1
kind: Route
metadata: {name: patient}
spec:
  match: [{path: {prefix: /patient.}}]
  forward: {clusters: [{cluster: {name: web}}], retry: {attempts: 1, on: [unavailable, resource-exhausted]}}"""
    objects = parse_objects(text) | callers("ams", "fra")
    for site in ("ams", "fra"):
        await (await start_site(site)).apply(objects)
    try:
        for site in ("ams", "fra"):
            options = [("grpc.default_authority", "shop.example")]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{ports[site]}", options) as channel:
                await asyncio.wait_for(_talk(channel), 60)
                await asyncio.wait_for(_insist(channel, chat), 60)
    finally:
        await server.stop(None)


async def _talk(channel: grpc.aio.Channel) -> None:
    call = channel.stream_stream("/test/Chat")(wait_for_ready=True)
    for number in range(5):
        await call.write(b"%d" % number)
        assert await call.read() == b"%d" % number
        await asyncio.sleep(0.05)  # a stream with pauses
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert dict(await call.trailing_metadata())["x-said"] == "all"
    assert await call.code() is grpc.StatusCode.OK
    failing = channel.stream_stream("/test/Fail")()
    assert await failing.read() == b"first"
    assert await failing.code() is grpc.StatusCode.OUT_OF_RANGE
    assert await failing.details() == "no more"


async def _insist(channel: grpc.aio.Channel, chat: Chat) -> None:
    """A status that the route names is tried again, and so the client never sees it; any other is."""
    for status in ("UNAVAILABLE", "RESOURCE_EXHAUSTED"):
        chat.busy.clear()
        assert await channel.unary_unary(f"/patient.Busy/{status}")(b"please") == b"please"
        assert chat.busy == {status: 2}
    for method, status in (("/patient.Busy", "DATA_LOSS"), ("/test/Busy", "UNAVAILABLE")):
        chat.busy.clear()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(f"{method}/{status}")(b"please")
        assert refused.value.code() is getattr(grpc.StatusCode, status)
        assert chat.busy == {status: 1}


async def _ask_until_refused(client: httpx.AsyncClient, url: str) -> int:
    """The number of requests until the connection was told to end and another was refused; all of them succeed."""
    answered = 0
    async with asyncio.timeout(90):
        while True:
            try:
                response = await client.get(url, headers={"host": "shop.example"})
            except httpx.ConnectError:
                return answered
            assert response.status_code == 200
            answered += 1


async def test_a_removed_policy_drains_its_listener(
    start_site: StartSite, start_app: StartApp, client: httpx.AsyncClient
) -> None:
    app = await start_app("a")
    echo = Echo("database")
    await echo.start()
    port, fabric, tcp = free_port(), free_port(), free_port()
    text = (
        deployment({"ams": port, "ams-fabric": fabric}, endpoints={"a": ("ams", app.port)})
        + f"""
---
apiVersion: isthmus/v1
kind: AdvertisePolicy
metadata: {{name: tcp}}
spec: {{where: {{site: ams}}, address: 127.0.0.1, port: {tcp}}}
---
apiVersion: isthmus/v1
kind: Endpoint
metadata: {{name: database}}
spec: {{where: {{site: ams}}, address: 127.0.0.1, port: {echo.port}}}
---
apiVersion: isthmus/v1
kind: Cluster
metadata: {{name: database}}
spec: {{endpoints: [{{name: database}}]}}
---
apiVersion: isthmus/v1
kind: Route
metadata: {{name: database}}
spec: {{forward: {{clusters: [{{cluster: {{name: database}}}}]}}}}
---
apiVersion: isthmus/v1
kind: VirtualHost
metadata: {{name: database}}
spec: {{proxy: TCP, routes: [{{name: database}}], advertisePolicies: [{{name: tcp}}]}}"""
    )
    objects = parse_objects(text)
    ams = await start_site("ams")
    await ams.apply(objects)
    url = f"http://127.0.0.1:{port}/"
    async with httpx.AsyncClient(timeout=60) as other, connected(tcp) as connection:
        headers = {"host": "shop.example"}
        await until_served(client, url, "shop.example")
        assert (await other.get(url, headers=headers)).status_code == 200
        before, app.delay = app.requests, 0.5
        running = asyncio.ensure_future(client.get(url, headers=headers))
        await until(lambda: app.requests > before)
        app.delay = 0
        policies = {ObjectKey("default", "AdvertisePolicy", "default", name) for name in ("ams", "tcp")}
        await ams.apply({key: obj for key, obj in objects.items() if key not in policies})
        assert (await running).status_code == 200
        assert await _ask_until_refused(other, url) > 0
        assert await connection.say(b"still there") == b"still there"
        with pytest.raises(ConnectionError):
            async with connected(tcp):
                pass
    echo.stop()
