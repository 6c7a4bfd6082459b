"""A process's own metrics and log, sent to a collector by OTLP.

Each signal has a queue and pauses of its own, so that a collector that takes no logs still gets metrics. What is not
taken waits in memory, bounded, and ends with the process; telemetry of requests, which must not, goes other ways.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from isthmus.exporter.delivery import Sender
from isthmus.exporter.grpc_sender import GrpcSender
from isthmus.exporter.http_sender import HttpSender
from isthmus.exporter.journal import Journal, unrecorded
from isthmus.exporter.memory_spool import MemorySpool
from isthmus.exporter.setting import OtlpSettings
from isthmus.generated import otlp_pb2 as wire
from isthmus.telemetry.forwarder import Forwarder
from isthmus.telemetry.otlp import emit_log_records
from isthmus.telemetry.otlp_metric import emit_metrics

MetricText = Callable[[], Awaitable[bytes]]
"""The process's metrics in Prometheus' format."""

MOST_BYTES = 4 << 20
"""Of one signal."""
MOST_BODIES = 1_000
_BATCH = 500
"""Log records of one body."""
_GATHER = 1.0
"""Seconds from a log record to its body, so that several make one."""
_FAREWELL = 2.0
"""Seconds that the end of a process waits for its last records to be taken."""
_LOGS, _METRICS = "logs", "metrics"
_KINDS = {_LOGS: b"L", _METRICS: b"M"}

log = structlog.get_logger()


@dataclass(slots=True)
class _Lane:
    """What there is of one signal."""

    spool: MemorySpool
    forwarder: Forwarder
    lost: dict[str, int] = field(default_factory=dict)
    delivered_at: float | None = None


class Exporter(Collector):
    """`start` and `stop` once each. `resource` says who tells."""

    def __init__(
        self, settings: OtlpSettings, resource: wire.Resource, metrics: MetricText, journal: Journal | None
    ) -> None:
        self._settings = settings
        self._resource = resource
        self._metrics = metrics
        self._journal = journal if settings.logs else None
        self._begun = time.time()
        self._sender: Sender | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._lanes = {}
        for signal in ([_LOGS] if self._journal is not None else []) + ([_METRICS] if settings.metrics else []):
            spool = MemorySpool(MOST_BYTES, MOST_BODIES)
            self._lanes[signal] = _Lane(spool, Forwarder(spool, self._deliverer(signal)))

    @property
    def target(self) -> str:
        """Where it sends, for people. Without the path: in some collectors' that is where a key stands."""
        http = self._settings.http
        parts = urlsplit(http.url)
        place = f"{parts.scheme}://{parts.netloc}"
        return f"OTLP over gRPC {place}" if http.protocol == "GRPC" else f"OTLP {place}"

    def start(self) -> None:
        """Begins to send."""
        http, headers = self._settings.http, self._settings.headers
        self._sender = GrpcSender(http, headers) if http.protocol == "GRPC" else HttpSender(http, headers)
        loop = asyncio.get_running_loop()
        with unrecorded():  # tasks keep what holds where they begin
            for path in self._settings.exposed():
                log.warning("otlp.secret_exposed", file=str(path), mend="chmod 600, and change the secret")
            self._tasks = [loop.create_task(each.forwarder.run()) for each in self._lanes.values()]
            if self._journal is not None:
                self._tasks.append(loop.create_task(self._keep_gathering(self._journal)))
            if self._settings.metrics:
                self._tasks.append(loop.create_task(self._keep_measuring()))

    async def stop(self) -> None:
        """Ends, once a collector that works has the last records, or two seconds later."""
        if self._sender is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                if self._journal is not None:
                    while self._gather(self._journal):
                        pass
                while any(  # noqa: ASYNC110 - once, at the end of the process
                    len(each.spool) and not each.forwarder.error for each in self._lanes.values()
                ):
                    await asyncio.sleep(0.02)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._sender.close()

    def status(self) -> list[dict[str, object]]:
        """Of each signal, for reports; in the words of sites' receivers."""
        return [
            {
                "signal": signal,
                "target": self.target,
                "since": self._begun,
                "delivered": lane.forwarder.delivered_requests,
                "deliveredAt": lane.delivered_at,
                "waiting": {"items": lane.spool.waiting_requests, "bytes": lane.spool.size},
                "lost": self._losses(signal),
                "error": lane.forwarder.error,
                "errorSince": lane.forwarder.error_since,
            }
            for signal, lane in self._lanes.items()
        ]

    def collect(self) -> Iterable[Metric]:
        """For Prometheus, and so for the collector itself."""
        delivered = CounterMetricFamily(
            "isthmus_otlp_delivered", "Log records and points of metrics that the collector took.", labels=["signal"]
        )
        lost = CounterMetricFamily("isthmus_otlp_lost", "Those that it will never get.", labels=["signal", "reason"])
        waiting = GaugeMetricFamily("isthmus_otlp_waiting_bytes", "What waits for the collector.", labels=["signal"])
        failing = GaugeMetricFamily(
            "isthmus_otlp_failing", "Whether the last try to send to the collector failed.", labels=["signal"]
        )
        last = GaugeMetricFamily(
            "isthmus_otlp_delivered_timestamp_seconds",
            "When the collector last took something, seconds since 1970; 0: never.",
            labels=["signal"],
        )
        for signal, lane in self._lanes.items():
            delivered.add_metric([signal], lane.forwarder.delivered_requests)
            waiting.add_metric([signal], lane.spool.size)
            failing.add_metric([signal], bool(lane.forwarder.error))
            last.add_metric([signal], lane.delivered_at or 0)
            for reason, items in self._losses(signal).items():
                lost.add_metric([signal, reason], items)
        return (delivered, lost, waiting, failing, last)

    # ---- inside

    def _losses(self, signal: str) -> dict[str, int]:
        lane = self._lanes[signal]
        found = dict(lane.lost)
        told = self._journal.losses() if signal == _LOGS and self._journal is not None else {}
        counted = [("buffer", lane.spool.dropped_requests), ("refused", lane.forwarder.refused_requests)]
        for reason, items in (*told.items(), *counted):
            found[reason] = found.get(reason, 0) + items
        return {reason: items for reason, items in sorted(found.items()) if items}

    def _deliverer(self, signal: str) -> Callable[[bytes], Awaitable[None]]:
        async def deliver(body: bytes) -> None:
            lane, sender = self._lanes[signal], self._sender
            if sender is None:
                raise RuntimeError("nothing is sent before the start")
            rejected = await sender.send(body)
            lane.delivered_at = time.time()
            if rejected:
                lane.lost["rejected"] = lane.lost.get("rejected", 0) + rejected

        return deliver

    def _put(self, signal: str, body: bytes, items: int) -> None:
        lane = self._lanes[signal]
        packed = gzip.compress(body, 6) if self._settings.http.gzip else body
        lane.spool.put(_KINDS[signal] + packed, items)
        lane.forwarder.arrived()

    def _gather(self, journal: Journal) -> int:
        records = journal.take(_BATCH)
        if records:
            self._put(_LOGS, emit_log_records(records, self._resource), len(records))
        return len(records)

    async def _keep_gathering(self, journal: Journal) -> None:
        while True:
            full = self._gather(journal) == _BATCH
            await asyncio.sleep(0 if full else _GATHER)

    async def _keep_measuring(self) -> None:
        while True:
            try:
                text = (await self._metrics()).decode()
                for body, items in await asyncio.to_thread(self._measured, text):
                    self._put(_METRICS, body, items)
            except Exception:  # the next report is another
                log.exception("otlp.metrics_failed")
            await asyncio.sleep(self._settings.metrics / 1000)

    def _measured(self, text: str) -> list[tuple[bytes, int]]:
        return list(emit_metrics(text, self._resource, self._begun, time.time()))
