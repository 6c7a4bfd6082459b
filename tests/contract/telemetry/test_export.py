"""A process's own metrics and log reach a collector by OTLP, and what becomes of them while it takes nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog
from prometheus_client import CollectorRegistry, generate_latest

from isthmus.exporter.export import Exporter
from isthmus.exporter.journal import Journal
from isthmus.exporter.setting import OtlpSettings
from isthmus.telemetry.otlp import process_resource
from isthmus.telemetry.setting import HttpSettings

from ...port import free_port
from .collector import Collector, GrpcCollector, attributes
from .test_grpc_sender import TRUSTED
from .test_grpc_sender import collector as grpc_collector  # noqa: F401 - a fixture
from .test_sender import COUNTS


class Process:
    """What of a process concerns a collector. What it logs goes nowhere else."""

    def __init__(self, settings: OtlpSettings) -> None:
        self.journal = Journal()
        self.log = structlog.wrap_logger(None, processors=[self.journal, _drop])
        resource = process_resource("region", "eu", "1.2.3", tenant="default")
        self.exporter = Exporter(settings, resource, self.metrics, self.journal)
        self.registry = CollectorRegistry()
        self.registry.register(self.exporter)

    async def metrics(self) -> bytes:
        return COUNTS.encode() + generate_latest(self.registry)

    async def until(self, holds: Callable[[Mapping[str, Any], Mapping[str, Any]], bool]) -> tuple[Any, Any]:
        """The states of logs and metrics, once something holds of them."""
        deadline = time.monotonic() + 60
        while True:
            logs, metrics = self.exporter.status()
            if holds(logs, metrics):
                return logs, metrics
            assert time.monotonic() < deadline, (logs, metrics)
            await asyncio.sleep(0.02)


def _drop(_: object, __: str, event: object) -> object:
    raise structlog.DropEvent


def http(collector: Collector, **more: Any) -> OtlpSettings:
    return OtlpSettings(HttpSettings(collector.url, "OTLP", timeout=60_000), metrics=50, **more)


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    found = Collector()
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


def texts(collector: Collector) -> list[str]:
    return [record.body.string_value for _, record in collector.logs]


async def test_metrics_and_log_are_those_of_the_process(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.exporter.export._FAREWELL", 60.0)
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    process = Process(http(collector, secrets=(("authorization", "Bearer ", secret),)))
    process.log.info("begun", port=80)
    process.exporter.start()
    await collector.until(lambda: "begun" in texts(collector) and len(collector.metrics) > 20)
    assert collector.resources["eu"] == {
        "service.name": "isthmus-region",
        "service.instance.id": "eu",
        "service.version": "1.2.3",
        "isthmus.tenant": "default",
    }
    [(_, record)] = collector.logs
    assert (record.severity_text, attributes(record)) == ("INFO", {"port": 80})
    assert abs(record.time_unix_nano / 1e9 - time.time()) < 120
    names = {metric.name for _, metric in collector.metrics}
    assert {"shop_requests_total", "shop_seconds", "isthmus_otlp_delivered_total", "isthmus_otlp_failing"} <= names
    assert {each["Authorization"] for each in collector.headers} == {"Bearer s3cret"}
    secret.write_text("an0ther\n")
    await collector.until(lambda: collector.headers[-1]["Authorization"] == "Bearer an0ther")
    logs, _ = await process.until(lambda logs, metrics: logs["delivered"] == 1 and metrics["delivered"] > 20)
    assert abs(logs["deliveredAt"] - time.time()) < 120
    assert (logs["lost"], logs["waiting"]["items"], logs["error"]) == ({}, 0, "")
    process.log.error("ended")
    await process.exporter.stop()  # the last words come, too
    assert texts(collector) == ["begun", "ended"]


async def test_by_grpc(grpc_collector: GrpcCollector, tmp_path: Path) -> None:  # noqa: F811 - the fixture
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    settings = HttpSettings(
        grpc_collector.url, "OTLP", protocol="GRPC", trusted_ca=TRUSTED.bundle_pem.decode(), timeout=60_000
    )
    process = Process(OtlpSettings(settings, (("authorization", "Bearer ", secret),), metrics=50))
    process.exporter.start()
    process.log.warning("careful", what="ice")
    try:
        await grpc_collector.until(lambda: "careful" in texts(grpc_collector) and len(grpc_collector.metrics) > 20)
        logs, metrics = await process.until(lambda logs, metrics: bool(logs["delivered"] and metrics["delivered"]))
    finally:
        await process.exporter.stop()
    assert grpc_collector.headers[0]["authorization"] == "Bearer s3cret"
    assert grpc_collector.resources["eu"]["service.name"] == "isthmus-region"
    assert logs["target"] == metrics["target"] == f"OTLP over gRPC {grpc_collector.url}"


async def test_what_is_not_taken_waits_and_its_failure_is_no_news_to_the_collector(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    process = Process(http(collector, secrets=(("authorization", "Bearer ", secret),)))
    monkeypatch.setattr("isthmus.telemetry.forwarder.log", process.log)
    collector.status = 503
    process.exporter.start()
    try:
        process.log.info("first")
        logs, _ = await process.until(lambda logs, metrics: "503" in logs["error"] and "503" in metrics["error"])
        assert logs["waiting"]["items"] == 1
        told = generate_latest(process.registry).decode()
        assert 'isthmus_otlp_failing{signal="logs"} 1.0' in told
        secret.unlink()
        await process.until(lambda logs, _: "token cannot be read: No such file" in logs["error"])
        secret.write_text("s3cret\nx")
        await process.until(lambda logs, _: "holds a line break" in logs["error"])
        assert "s3cret" not in json.dumps(process.exporter.status())
        secret.write_text("s3cret")
        collector.status = 200
        await process.until(lambda logs, metrics: logs["delivered"] == 1 and not metrics["error"])
        collector.status = 400  # every body is refused: saying so in a body would never end
        process.log.info("refused")
        await process.until(lambda logs, metrics: logs["lost"] == {"refused": 1} and "refused" in metrics["lost"])
        collector.status = 200
        process.log.info("last")
        logs, _ = await process.until(lambda logs, _: logs["delivered"] == 2)
    finally:
        await process.exporter.stop()
    assert texts(collector) == ["first", "last"]
    assert logs["lost"] == {"refused": 1}


async def test_a_signal_that_is_not_taken_holds_up_no_other(collector: Collector) -> None:
    collector.unserved = {"/v1/logs"}
    process = Process(http(collector))
    process.exporter.start()
    try:
        process.log.info("first")
        await process.until(lambda logs, metrics: "404" in logs["error"] and metrics["delivered"] > 30)
        logs, metrics = process.exporter.status()
        assert (metrics["error"], logs["waiting"]["items"]) == ("", 1)
    finally:
        await process.exporter.stop()


async def test_memory_is_bounded_and_the_end_waits_for_nobody() -> None:
    settings = HttpSettings(f"http://127.0.0.1:{free_port()}", "OTLP", gzip=False)
    process = Process(replace(OtlpSettings(settings), metrics=60_000))
    process.exporter.start()
    for _ in range(2):  # one body each, of which there is room for one
        for _ in range(500):
            process.log.info("much", text="x" * 7_000)
        await process.until(lambda *_: len(process.journal) == 0)
    logs, _ = await process.until(lambda logs, _: "buffer" in logs["lost"] and bool(logs["error"]))
    assert logs["waiting"]["items"] + logs["lost"]["buffer"] == 1_000
    assert logs["waiting"]["bytes"] <= 4 << 20
    began = time.monotonic()
    await process.exporter.stop()
    assert time.monotonic() - began < 30
