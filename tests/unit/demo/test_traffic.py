"""The demo's application and its client, over real sockets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from isthmus.demo.application import Instance, Request, _serve, emit_answer, parse_head
from isthmus.demo.deployment import wait_until
from isthmus.demo.report import Step, emit_report
from isthmus.demo.traffic import (
    Record,
    Target,
    Traffic,
    ask_many,
    milliseconds_to_last_failure,
    summarise,
)

INSTANCE = Instance("fra", "fra-1", "v1")


@asynccontextmanager
async def application(instance: Instance = INSTANCE) -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda reader, writer: _serve(instance, reader, writer), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def target(port: int, path: str = "/") -> Target:
    return Target("127.0.0.1", port, "shop.example", path, {"x-extra": "1"})


async def test_answers_say_who_answered() -> None:
    async with application() as port:
        records = await ask_many(target(port), 50)
    assert [record.status for record in records] == [200] * 50
    answer = records[0].answer
    assert (answer["site"], answer["instance"], answer["version"]) == ("fra", "fra-1", "v1")
    assert (answer["method"], answer["path"]) == ("GET", "/")
    assert answer["headers"] == {"host": "shop.example", "x-extra": "1"}
    summary = summarise(records)
    assert (summary.requests, summary.failed, summary.sites) == (50, 0, {"fra": 50})
    assert summary.share("fra") == 1
    assert summary.version_share("v2") == 0


async def test_statuses() -> None:
    async with application() as port:
        good = await ask_many(target(port, "/status/308"), 1)
        bad = await ask_many(target(port, "/status/503"), 1)
    assert [(record.status, record.failed) for record in good + bad] == [(308, False), (503, True)]


async def test_nobody_there_is_a_failure() -> None:
    async with application() as port:
        pass
    (record,) = await ask_many(target(port), 1)
    assert (record.status, record.failed, record.answer) == (0, True, {})


async def test_connection_closed_while_idle_is_no_failure() -> None:
    """As after a restart of the server: the next request opens a new connection."""
    closing = asyncio.Event()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(emit_answer(INSTANCE, Request("GET", "/", {})))
        await writer.drain()
        writer.close()
        closing.set()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    async with server:
        records = await ask_many(target(server.sockets[0].getsockname()[1]), 5, parallel=1)
    assert closing.is_set()
    assert not any(record.failed for record in records)


async def test_chunked_answers_are_read() -> None:
    async def chunked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"site": "fra"}).encode()
        chunks = b"".join(b"%x\r\n%s\r\n" % (1, bytes([byte])) for byte in body)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        await writer.drain()

    server = await asyncio.start_server(chunked, "127.0.0.1", 0)
    async with server:
        (record,) = await ask_many(target(server.sockets[0].getsockname()[1]), 1)
    assert (record.status, record.answer) == (200, {"site": "fra"})


async def test_traffic_goes_on_while_answers_are_slow() -> None:
    """Requests start at their rate whether earlier ones were answered or not."""
    async with application() as port, Traffic(target(port, "/slow/300"), rate=200) as traffic:
        await wait_until(lambda: len(traffic.records) > 20, 60, "twenty answers")
    first = min(traffic.records, key=lambda record: record.ended)
    assert sum(record.started < first.ended for record in traffic.records) > 1
    assert not any(record.failed for record in traffic.records)
    assert all(record.seconds >= 0.3 for record in traffic.records)


def test_milliseconds_from_fault_to_last_failure() -> None:
    def record(started: float, status: int) -> Record:
        return Record(started, 0.5, status, {})

    records = [record(1.0, 0), record(9.8, 503), record(11.0, 0), record(12.0, 200)]
    assert milliseconds_to_last_failure(records, fault=10.0) == pytest.approx(1500)
    assert milliseconds_to_last_failure(records[3:], fault=10.0) == 0
    assert milliseconds_to_last_failure(records[:1], fault=10.0) == 0


def test_request_head() -> None:
    head = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nA: b:c\r\n\r\n"
    assert parse_head(head) == Request("POST", "/a?b=c", {"host": "x", "content-length": "3", "a": "b:c"})
    with pytest.raises(ValueError):
        parse_head(b"rubbish\r\n\r\n")


def test_report() -> None:
    step = Step("one", "first", [Record(time.monotonic(), 0.1, 200, {"site": "fra", "version": "v1"})])
    assert not step.passed
    step.check("it holds", True)
    report = emit_report([step], 1.23, "0.1")
    assert (report["passed"], report["requests"], report["failed"]) == (True, 1, 0)
    assert (report["sites"], report["versions"]) == ({"fra": 1}, {"v1": 1})
    assert report["steps"][0]["checks"] == [{"check": "it holds", "passed": True}]
    step.check("it does not", False)
    assert not emit_report([step], 1.23, "0.1")["passed"]
    assert not emit_report([], 0, "0.1")["passed"]
    assert emit_report([], 0, "0.1", "broken")["error"] == "broken"
