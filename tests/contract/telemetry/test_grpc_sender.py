"""What a collector gets by OTLP over gRPC, and what becomes of what it does not take."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest_asyncio

from isthmus.identity import Authority, Identity, Role, emit_key, generate_key, make_csr
from isthmus.telemetry.setting import HttpSettings

from .collector import GrpcCollector, attributes
from .test_sender import COUNTS, SECRET, Site, receiver, records

TRUSTED = Authority.create("logs.test", datetime.now(UTC))


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[GrpcCollector]:
    key = generate_key()
    identity = Identity(trust_domain=TRUSTED.trust_domain, role=Role.SITE, tenant="default", name="logs")
    chain = TRUSTED.issue(make_csr(key), identity, datetime.now(UTC), hosts=("localhost",))
    found = GrpcCollector(emit_key(key), chain)
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    found = Site(tmp_path)
    found.secrets[SECRET] = "s3cret\n"
    try:
        yield found
    finally:
        await found.receivers.stop()


def settings(collector: GrpcCollector, authority: Authority = TRUSTED) -> HttpSettings:
    return HttpSettings(
        collector.url,
        "OTLP",
        headers=(("x-team", "shop"),),
        token=SECRET,
        trusted_ca=authority.bundle_pem.decode(),
        protocol="GRPC",
        timeout=30_000,
    )


async def test_records_and_metrics_are_taken_with_headers_and_token(site: Site, collector: GrpcCollector) -> None:
    async def measure() -> bytes:
        return COUNTS.encode()

    site.receivers.report_metrics(measure)
    await site.receivers.use([receiver(settings(collector), metrics=50)])
    await site.receivers.take(records("/a", "/b"), [], 2)
    await collector.until(lambda: len(collector.logs) == 2 and len(collector.metrics) >= 3)
    assert {attributes(record)["url.path"] for _, record in collector.logs} == {"/a", "/b"}
    assert {name for name, _ in collector.logs} == {"ams"}
    assert "shop_requests_total" in {metric.name for _, metric in collector.metrics}
    for each in collector.headers:
        assert (each["x-team"], each["authorization"]) == ("shop", "Bearer s3cret")
    status = site.receivers.status()[0]
    assert status["target"] == f"OTLP over gRPC {collector.url}"
    assert status["lost"] == {}


async def test_what_is_not_taken_now_waits_and_what_never_will_be_is_counted(
    site: Site, collector: GrpcCollector
) -> None:
    await site.receivers.use([receiver(settings(collector))])
    collector.refusals = [(grpc.StatusCode.UNAUTHENTICATED, "no: Bearer s3cret")] * 10_000
    await site.receivers.take(records("/a"), [], 2)
    status = await site.until(lambda status: "answered UNAUTHENTICATED" in status["error"])
    assert "s3cret" not in json.dumps(status)
    collector.refusals = []
    await site.until(lambda status: status["delivered"] == 1 and not status["error"])
    collector.refusals = [(grpc.StatusCode.INVALID_ARGUMENT, "not this")]
    await site.receivers.take(records("/b", "/c"), [], 2)
    await site.until(lambda status: status["lost"] == {"refused": 2})
    collector.refusals = [(grpc.StatusCode.RESOURCE_EXHAUSTED, "message larger than max")]
    await site.receivers.take(records("/d"), [], 2)
    await site.until(lambda status: status["lost"] == {"refused": 3})
    collector.rejected = 1
    await site.receivers.take(records("/e", "/f"), [], 2)
    await site.until(lambda status: status["lost"] == {"refused": 3, "rejected": 1})
    assert {attributes(record)["url.path"] for _, record in collector.logs} == {"/a", "/e", "/f"}


async def test_nothing_is_sent_to_a_collector_that_is_not_trusted_or_away(site: Site, collector: GrpcCollector) -> None:
    other = Authority.create("other.test", datetime.now(UTC))
    await site.receivers.use([receiver(settings(collector, other))])
    await site.receivers.take(records("/a"), [], 2)
    await site.until(lambda status: "not trusted" in status["error"])
    assert collector.asked == 0
    await site.receivers.use([receiver(settings(collector))])
    await site.until(lambda status: status["delivered"] == 1)
    await collector.stop()
    await site.receivers.take(records("/b"), [], 2)
    status = await site.until(lambda status: bool(status["error"]))
    assert status["waiting"]["items"] == 1
