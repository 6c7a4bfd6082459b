"""What receivers get: a real syslog server, an HTTP receiver, a collector, files; and what while they take nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import shutil
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import pytest_asyncio
from aiohttp import web

from isthmus.identity import Authority, Identity, Role, emit_key, generate_key, make_csr
from isthmus.model.key import ObjectKey
from isthmus.site.receiver import Receivers
from isthmus.site.telemetry import unserved
from isthmus.telemetry.decoder import Decoder
from isthmus.telemetry.naming import Naming
from isthmus.telemetry.setting import Choice, FileSettings, HttpSettings, Receiver, Settings, SyslogSettings
from isthmus.telemetry.syslog import parse_frames

from ...port import free_port
from ...unit.telemetry.message import entry, message
from .collector import Collector, attributes

SECRET = ObjectKey("default", "Secret", "shop", "token")
COUNTS = """# HELP shop_requests_total Requests.
# TYPE shop_requests_total counter
shop_requests_total{namespace="shop"} 7
shop_requests_total{namespace="blog"} 3
# HELP shop_seconds Times.
# TYPE shop_seconds histogram
shop_seconds_bucket{le="0.1"} 2
shop_seconds_bucket{le="+Inf"} 5
shop_seconds_sum 4.5
shop_seconds_count 5
# TYPE shop_open gauge
shop_open 4
"""


def records(*paths: str, code: int = 200, **more: Any) -> pl.DataFrame:
    decoder = Decoder(Naming("ams"))
    return decoder.parse("ingress", [message(*(entry(path=path, code=code, **more) for path in paths))])


def receiver(settings: Settings, name: str = "logs", namespace: str = "shop", **more: Any) -> Receiver:
    return Receiver(ObjectKey("default", "TelemetryReceiver", namespace, name), settings, **more)


class Site:
    """The part of an agent that serves receivers."""

    def __init__(self, directory: Path) -> None:
        self.secrets: dict[ObjectKey, str] = {}
        self.directory = directory
        self.receivers = Receivers("default", "ams", directory / "spool", directory / "files", self.secrets.get)

    async def until(self, holds: Callable[[Mapping[str, Any]], bool], seconds: float = 60) -> Mapping[str, Any]:
        """The first receiver's status, once something holds of it."""
        deadline = time.monotonic() + seconds
        while not holds(status := self.receivers.status()[0]):
            assert time.monotonic() < deadline, status
            await asyncio.sleep(0.02)
        return status


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    found = Site(tmp_path)
    try:
        yield found
    finally:
        await found.receivers.stop()


@pytest.mark.parametrize("transport", ["TCP", "UDP"])
async def test_a_syslog_server_reads_what_is_sent(site: Site, transport: str) -> None:
    async with rsyslog(site.directory) as (port, lines):
        settings = SyslogSettings("127.0.0.1", port, transport, facility=19, application="shop")
        await site.receivers.use([receiver(settings)])
        await site.receivers.take(records("/a", "/ü\n", f"/{'x' * 9000}"), [], 2)
        await site.receivers.take(records("/broken", code=503), [], 2)
        async with asyncio.timeout(60):
            while len(lines()) < 4:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.05)
    found = {}
    for line in lines():
        priority, moment, host, application, kind, text = line.split("|", 5)
        document = json.loads(text)
        assert (host, application, kind) == ("ams", "shop", "access")
        assert datetime.fromisoformat(moment) == datetime.fromisoformat(document["time"])
        found[document["path"][:10]] = (priority, document)
    assert set(found) == {"/a", "/ü\n", "/xxxxxxxxx", "/broken"}
    assert found["/a"][0] == str(19 * 8 + 6)
    assert found["/broken"][0] == str(19 * 8 + 3)
    assert len(found["/xxxxxxxxx"][1]["path"]) == 1024
    assert (found["/a"][1]["virtualHost"], found["/a"][1]["total"]) == ("shop/site", 5.0)


async def test_syslog_over_tls_waits_for_a_server_that_it_trusts(site: Site) -> None:
    trusted, got = Authority.create("logs.test", datetime.now(UTC)), bytearray()
    port = free_port()
    settings = SyslogSettings("localhost", port, "TLS", trusted_ca=trusted.bundle_pem.decode())
    await site.receivers.use([receiver(settings)])
    await site.receivers.take(records("/a", "/b"), [], 2)
    await site.until(lambda status: "cannot be reached" in status["error"])
    async with tls_server(Authority.create("other.test", datetime.now(UTC)), port, got):
        await site.until(lambda status: "not trusted" in status["error"])
    async with tls_server(trusted, port, got):
        status = await site.until(lambda status: status["delivered"] == 2)
        async with asyncio.timeout(60):
            while got.count(b"<134>1 ") < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert status["lost"] == {}
    first, second = parse_frames(bytes(got))
    assert re.fullmatch(rb"<134>1 2026-06-01T12:00:00\.000000Z ams isthmus - access - \{.*\}", first)
    assert b'"path":"/b"' in second


async def test_an_http_receiver_gets_each_record_once_whatever_it_answered_before(site: Site) -> None:
    async with http_receiver() as hook:
        settings = HttpSettings(
            f"{hook.url}/in", "NDJSON", headers=(("x-team", "shop"),), secret_headers=(("x-key", SECRET),), token=SECRET
        )
        await site.receivers.use([receiver(settings, choice=Choice(errors_only=True, namespaces=("shop",)))])
        await site.receivers.take(records("/fine"), [], 2)
        await site.receivers.take(records("/one", code=500), [], 2)
        await site.until(lambda status: "has no copy of Secret shop/token" in status["error"])
        assert hook.bodies == []
        for broken in ("s3cret\nx-other: 1", "s3cret\x7f", "s3crét"):
            site.secrets[SECRET] = broken
            status = await site.until(lambda status: "Secret shop/token holds a line break" in status["error"])
            assert "s3cr" not in json.dumps(status)
            assert hook.bodies == []
        site.secrets[SECRET] = "s3cret\n"
        hook.answers = [503, 401]
        await site.until(lambda status: "503" in status["error"])
        status = await site.until(lambda status: "401" in status["error"])
        assert "s3cret" not in json.dumps(status)  # the receiver echoes what it was sent
        await site.until(lambda status: status["delivered"] == 1)
        hook.answers = [413]
        await site.receivers.take(records("/two", "/three", code=404), [], 2)
        assert (await site.until(lambda status: bool(status["lost"])))["lost"] == {"refused": 2}
        await site.receivers.take(records("/four", code=404), [], 2)
        await site.until(lambda status: status["delivered"] == 2)
    documents = [json.loads(line) for body in hook.bodies for line in body.splitlines()]
    assert [each["path"] for each in documents] == ["/one", "/four"]
    assert {each["x-team"] for each in hook.headers} == {"shop"}
    last = hook.headers[-1]
    assert (last["authorization"], last["x-key"], last["content-encoding"]) == ("Bearer s3cret", "s3cret", "gzip")
    assert last["content-type"] == "application/x-ndjson"


async def test_an_array_and_no_compression(site: Site) -> None:
    async with http_receiver() as hook:
        await site.receivers.use([receiver(HttpSettings(hook.url, "JSON", gzip=False))])
        await site.receivers.take(records("/a\nb", "/c"), [], 2)
        await site.until(lambda status: status["delivered"] == 2)
    assert [each["path"] for each in json.loads(hook.bodies[0])] == ["/a\nb", "/c"]
    assert "content-encoding" not in hook.headers[0]


async def test_what_a_receiver_does_not_take_waits_over_a_restart_and_is_bounded(site: Site) -> None:
    port = free_port()
    settings = HttpSettings(f"http://127.0.0.1:{port}/in", "NDJSON", gzip=False)
    await site.receivers.use([receiver(settings, buffer=40_000)])
    for number in range(100):
        await site.receivers.take(records(f"/{number}"), [], 2)
    status = await site.until(lambda status: bool(status["lost"]))
    waiting, dropped = status["waiting"]["items"], status["lost"]["buffer"]
    assert waiting + dropped == 100
    assert 0 < status["waiting"]["bytes"] <= 40_000
    await site.receivers.stop()

    again = Site(site.directory)
    async with http_receiver(port) as hook:
        await again.receivers.use([receiver(settings, buffer=40_000)])
        await again.until(lambda status: status["delivered"] == waiting)
        await again.receivers.use([])  # and nothing of a receiver that is gone stays
        assert list((site.directory / "spool").iterdir()) == []
    paths = [json.loads(line)["path"] for body in hook.bodies for line in body.splitlines()]
    assert paths == [f"/{number}" for number in range(dropped, 100)]


async def test_what_waits_for_a_receiver_that_goes_is_counted(site: Site) -> None:
    settings = HttpSettings(f"http://127.0.0.1:{free_port()}/in", "NDJSON")
    gone, changed = receiver(settings, "gone"), receiver(settings, "changed")
    await site.receivers.use([gone, changed])
    await site.receivers.take(records("/a", "/b"), [], 2)
    await site.until(lambda status: "cannot be reached" in status["error"])
    assert site.receivers.notice()
    other = FileSettings("shop/records.log", 1 << 20, 1)
    await site.receivers.use([receiver(other, "changed")])
    assert site.receivers.notice()
    now, before = site.receivers.status()
    assert (now["receiver"], now["target"], now["lost"]) == ("shop/changed", "file shop/records.log", {"removed": 2})
    assert (before["receiver"], before["target"], before["lost"]) == ("shop/gone", "", {"removed": 2})
    assert now["lostAt"] <= time.time()
    lost = next(each for each in site.receivers.collect() if each.name == "isthmus_site_receiver_lost")
    assert {each.labels["receiver"]: each.value for each in lost.samples} == {"shop/changed": 2, "shop/gone": 2}

    again = Site(site.directory)  # what an agent finds of receivers that went while it was away counts too
    await site.receivers.use([receiver(settings, "third")])
    await site.receivers.take(records("/c"), [], 2)
    await site.receivers.stop()
    await again.receivers.use([])
    assert again.receivers.status()[0]["lost"] == {"removed": 1}


async def test_one_namespace_does_not_take_the_room_of_another(site: Site) -> None:
    settings = HttpSettings(f"http://127.0.0.1:{free_port()}/in", "NDJSON", gzip=False)
    site.receivers = Receivers(
        "default", "ams", site.directory / "spool", site.directory / "files", site.secrets.get, 20_000
    )
    quiet = receiver(settings, "quiet", "blog", choice=Choice(namespaces=("blog",)), buffer=1 << 20)
    loud = [receiver(settings, f"loud-{number}", "shop", buffer=1 << 20) for number in range(3)]
    await site.receivers.use([quiet, *loud])
    await site.receivers.take(records("/quiet", route="default/blog/site|blog/all"), [], 2)
    for number in range(30):
        await site.receivers.take(records(f"/{number}", f"/{number}/b"), [], 2)
    found = {each["receiver"]: each for each in site.receivers.status()}
    assert (found["blog/quiet"]["waiting"]["items"], found["blog/quiet"]["lost"]) == (1, {})
    assert sum(each["waiting"]["bytes"] for each in found.values()) <= 20_000
    for each in loud:
        status = found[each.key.path]
        assert status["waiting"]["items"] + status["lost"]["buffer"] == 61
        assert status["waiting"]["items"] > 0


async def test_files_are_renamed_when_they_are_large(site: Site) -> None:
    await site.receivers.use([receiver(FileSettings("shop/requests.log", 2_000, 2))])
    for number in range(12):
        await site.receivers.take(records(f"/{number}"), [], 2)
        await site.until(lambda status, number=number: status["delivered"] == number + 1)
    folder = site.directory / "files" / "shop"
    kept = [folder / f"requests.log.{number}" for number in (2, 1)]
    now = folder / "requests.log"
    assert {path.name for path in folder.iterdir()} >= {path.name for path in kept}
    assert not (folder / "requests.log.3").exists()
    lines = [line for path in (*kept, now) if path.exists() for line in path.read_text().splitlines()]
    paths = [json.loads(line)["path"] for line in lines]
    assert paths == [f"/{number}" for number in range(12 - len(paths), 12)]
    assert 3 <= len(paths) < 12
    assert kept[0].stat().st_mode & 0o007 == 0


async def test_a_collector_gets_metrics_and_says_what_it_does_not_take(site: Site) -> None:
    collector = Collector()
    await collector.start()
    try:

        async def measure() -> bytes:
            return COUNTS.encode()

        site.receivers.report_metrics(measure)
        everything = receiver(HttpSettings(collector.url, "OTLP"), "all", "shared", logs=False, metrics=50)
        await site.receivers.use([everything])
        await collector.until(lambda: len(collector.metrics) >= 3)
        found = {metric.name: metric for _, metric in collector.metrics}
        total = found["shop_requests_total"].sum
        assert {attributes(point)["namespace"]: point.as_double for point in total.data_points} == {
            "shop": 7,
            "blog": 3,
        }
        assert total.is_monotonic
        assert total.aggregation_temporality == 2  # cumulative
        [times] = found["shop_seconds"].histogram.data_points
        assert (list(times.bucket_counts), list(times.explicit_bounds)) == ([2, 3], [0.1])
        assert (times.count, times.sum) == (5, 4.5)
        assert found["shop_open"].gauge.data_points[0].as_double == 4

        # A namespace's own receiver gets what is labelled with it, once the other's last reports have come.
        own = receiver(HttpSettings(collector.url, "OTLP"), choice=Choice(namespaces=("shop",)), metrics=50)
        await site.receivers.use([own])
        latest: list[Any] = []

        def own_alone() -> bool:
            latest[:] = [metric for _, metric in collector.metrics[-4:]]
            return {metric.name for metric in latest} == {"shop_requests_total"}

        await collector.until(own_alone)
        [point] = latest[-1].sum.data_points
        assert attributes(point) == {"namespace": "shop"}

        await site.receivers.use([receiver(HttpSettings(collector.url, "OTLP"))])
        collector.rejected = 1
        await site.receivers.take(records("/a", "/b"), [], 2)
        await site.until(lambda status: status["lost"] == {"rejected": 1})
    finally:
        await collector.stop()


async def test_a_signal_that_a_collector_does_not_know_holds_up_no_other(site: Site) -> None:
    collector = Collector()
    await collector.start()
    try:

        async def measure() -> bytes:
            return COUNTS.encode()

        collector.unserved = {"/v1/metrics"}
        site.receivers.report_metrics(measure)
        settings = HttpSettings(collector.url, "OTLP", timeout=60_000)
        await site.receivers.use([receiver(settings, metrics=50)])
        await site.until(lambda status: status["error"].startswith("metrics: 127.0.0.1 answered 404"))
        for path in ("/a", "/b", "/c"):
            await site.receivers.take(records(path), [], 2)
        await collector.until(lambda: len(collector.logs) == 3)
        status = await site.until(lambda status: status["delivered"] == 3)
        assert status["error"].startswith("metrics: ")
        assert status["errorSince"] <= time.time()
        assert collector.metrics == []
        collector.unserved = set()
        await site.until(lambda status: status["error"] == "" and status["delivered"] > 6)
    finally:
        await collector.stop()


async def test_a_receiver_that_cannot_be_started_says_so(site: Site) -> None:
    settings = HttpSettings("https://127.0.0.1:1", "OTLP", trusted_ca="no certificate")
    folder = site.directory / "spool" / "shop.file.file"
    folder.parent.mkdir()
    folder.write_text("in the way")
    placed = receiver(FileSettings("shop/a.log", 4096, 1), "file")
    await site.receivers.use([placed, receiver(settings, "untrusted")])
    await site.receivers.take(records("/a"), [], 2)
    assert site.receivers.notice()
    file, untrusted = site.receivers.status()
    assert (file["receiver"], file["target"], file["error"]) == (
        "shop/file",
        "file shop/a.log",
        f"cannot be started: {folder}: File exists",
    )
    assert untrusted["error"] == "cannot be started: the trusted CA is not a certificate in PEM"
    assert untrusted["errorSince"] <= time.time()
    failing = next(each for each in site.receivers.collect() if each.name == "isthmus_site_receiver_failing")
    assert {each.labels["receiver"]: each.value for each in failing.samples} == {"shop/file": 1, "shop/untrusted": 1}
    assert not site.receivers.notice()
    folder.unlink()
    assert site.receivers.notice()  # it is tried again
    await site.receivers.take(records("/b"), [], 2)
    await site.until(lambda status: status["delivered"] == 1 and status["error"] == "")
    await site.receivers.use([placed])
    assert len(site.receivers.status()) == 1


def test_a_site_without_telemetry_says_that_nothing_is_sent() -> None:
    [refusal] = unserved([receiver(FileSettings("shop/a.log", 4096, 1))])
    assert (refusal.key, refusal.code) == ("default/TelemetryReceiver/shop/logs", "telemetry-off")
    assert "--no-telemetry" in refusal.message


# ---- receivers


@contextlib.asynccontextmanager
async def rsyslog(directory: Path) -> AsyncIterator[tuple[int, Callable[[], list[str]]]]:
    """A syslog server on a free port of TCP and UDP, and the lines that it has written."""
    port, output = free_port(), directory / "messages"
    configuration = directory / "rsyslog.conf"
    configuration.write_text(
        f"""
global(workDirectory="{directory}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off")
module(load="imtcp")
module(load="imudp")
input(type="imtcp" address="127.0.0.1" port="{port}")
input(type="imudp" address="127.0.0.1" port="{port}")
template(name="parts" type="string"
  string="%pri%|%timereported:::date-rfc3339%|%hostname%|%app-name%|%msgid%|%msg%\\n")
action(type="omfile" file="{output}" template="parts")
"""
    )
    program = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
    process = await asyncio.create_subprocess_exec(
        *(program, "-n", "-f", str(configuration), "-i", str(directory / "rsyslog.pid")),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    if _takes_datagrams(port):
                        break
                assert process.returncode is None, await process.communicate()
                await asyncio.sleep(0.05)
        yield port, lambda: output.read_text().splitlines() if output.exists() else []
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


def _takes_datagrams(port: int) -> bool:
    """Whether somebody has this port of UDP: to try to bind it could take it from whom it is for."""
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return any(int(line.split()[1].rpartition(":")[2], 16) == port for line in lines)


@contextlib.asynccontextmanager
async def tls_server(authority: Authority, port: int, got: bytearray) -> AsyncIterator[None]:
    """Takes bytes on `localhost`, with a certificate of this authority for that name."""
    key = generate_key()
    identity = Identity(trust_domain=authority.trust_domain, role=Role.SITE, tenant="default", name="logs")
    chain = authority.issue(make_csr(key), identity, datetime.now(UTC), hosts=("localhost",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(chain + emit_key(key))
        file.flush()
        context.load_cert_chain(file.name)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            got.extend(data)
        writer.close()

    server = await asyncio.start_server(take, "localhost", port, ssl=context)
    try:
        yield
    finally:
        server.close()


class Hook:
    """An HTTP receiver. `answers`: statuses of the next requests, before 200."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[int] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if self.answers:
            return web.Response(status=self.answers.pop(0), text=f"no, {headers.get('authorization')}")
        body = await request.read()
        self.bodies.append(gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body)
        self.headers.append(headers)
        return web.Response(status=202)


@contextlib.asynccontextmanager
async def http_receiver(port: int = 0) -> AsyncIterator[Hook]:
    hook = Hook()
    app = web.Application()
    app.router.add_post("/{path:.*}", hook.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield hook
    finally:
        await runner.cleanup()
