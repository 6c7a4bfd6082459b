"""Telemetry of a site: Envoy's access log and spans in, batches on disk, batches up, and more to receivers.

Once per interval what has come is decoded, counted and sampled in a thread, written to disk, and from there delivered
to a region. What was lost on the way is counted by reason, and told with the next batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

import httpx
import polars as pl
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from isthmus.compile.intent import Intent
from isthmus.engine.envoy import Admin, LogServer
from isthmus.identity import Identity
from isthmus.protocol import DeliveryClient, Uplink
from isthmus.site.directory import SiteDirectory
from isthmus.site.inventory import Refusal
from isthmus.site.receiver import Receivers
from isthmus.site.sender import SecretValue
from isthmus.site.settings import SiteSettings
from isthmus.telemetry.batch import Batch, BatchInvalid, emit_batch
from isthmus.telemetry.collection import decode, tables_of
from isthmus.telemetry.decoder import Decoder
from isthmus.telemetry.forwarder import Forwarder
from isthmus.telemetry.gauge import Gauge, frame_of
from isthmus.telemetry.naming import Naming
from isthmus.telemetry.sampling import Sampling
from isthmus.telemetry.setting import Receiver
from isthmus.telemetry.spool import Spool
from isthmus.telemetry.total import Totals

INTERVAL = 2.0
"""Seconds that a batch tells of."""
COUNT = 10.0
_MOST_SAMPLES = 20
"""Seconds between looks at what Envoy counts, and between samples of gauges."""
_PATIENCE = 60.0
"""Seconds that samples wait for requests to travel with: a site without any sends a batch a minute."""
_COUNTERS = r"^(access_logs\.grpc_access_log\.logs_(written|dropped)|cluster\.isthmus_log\.upstream_cx_connect_fail)$"

log = structlog.get_logger()


class SiteTelemetry:
    """`start` before Envoy, which then finds the service at once; `stop` after it."""

    def __init__(
        self,
        settings: SiteSettings,
        directory: SiteDirectory,
        identity: Identity,
        uplink: Uplink,
        admin: Admin,
        secret: SecretValue,
    ) -> None:
        site, files = identity.name, settings.log_directory or directory.log_files
        limits = (settings.receiver_buffer, settings.log_files)
        self.receivers = Receivers(identity.tenant, site, directory.receivers, files, secret, *limits)
        self._subject = uplink.subject
        self._admin = admin
        self._sampling = Sampling(settings.record_share, settings.records_per_second)
        self._server = LogServer(directory.log_socket)
        self._decoder = Decoder(Naming(site))
        self._naming = Naming(site)
        self._site = site
        self._client = DeliveryClient(lambda: uplink.connected_upstreams, lambda: uplink.credential)
        self.spool = Spool(directory.telemetry, settings.telemetry_buffer)
        self.forwarder = Forwarder(self.spool, self._deliver)
        self.totals = Totals()
        self._tasks: list[asyncio.Task[None]] = []
        self._since = time.monotonic()
        self._written: int | None = None
        self._baseline = 0
        self._dropped = 0
        self._told: dict[str, int] = {}
        self.requests = 0
        """Taken from Envoy, since this process began."""
        self.losses: dict[str, int] = {}
        """Requests of which nothing is told, by reason, since this process began."""
        self._gaps: list[int] = []
        self._samples: list[tuple[float, list[Gauge]]] = []
        self.measure: Callable[[], Awaitable[list[Gauge]]] | None = None
        """Takes a sample of the site's gauges."""
        self.told: Callable[[], None] | None = None
        """Is called when there is something new to say of receivers."""

    async def start(self) -> None:
        """Raises OSError."""
        await self._server.start()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._keep_batching()),
            loop.create_task(self._keep_counting()),
            loop.create_task(self.forwarder.run()),
        ]

    async def stop(self) -> None:
        """What has come is on disk afterwards."""
        await self._server.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks:
            await self._batch()
        await self.receivers.stop()
        await self._client.close()

    async def use(self, intent: Intent) -> None:
        """Read names and addresses as this intent means them, and serve its receivers."""
        self._naming = plan_naming(intent)
        await self.receivers.use(intent.receivers)

    def wake(self) -> None:
        """A region may be connected."""
        self.forwarder.wake()

    def status(self) -> dict[str, object]:
        """For reports and statistics."""
        return {
            "requests": self.requests,
            "connected": self._server.streams > 0,
            "waiting": {"batches": len(self.spool), "bytes": self.spool.size, "requests": self.spool.waiting_requests},
            "delivered": self.forwarder.delivered,
            "error": self.forwarder.error,
            "lost": dict(sorted(self._all_losses().items())),
            "receivers": self.receivers.status(),
        }

    def collect(self) -> Iterable[Metric]:
        """For Prometheus: what requests did, and telemetry itself."""
        yield from self.totals.collect()
        yield CounterMetricFamily("isthmus_site_telemetry_requests", "Requests that Envoy told of.", self.requests)
        lost = CounterMetricFamily("isthmus_site_telemetry_lost", "Requests never told of.", labels=["reason"])
        for reason, requests in self._all_losses().items():
            lost.add_metric([reason], requests)
        yield lost
        yield GaugeMetricFamily(
            "isthmus_site_telemetry_waiting_bytes", "Batches that wait for a region.", self.spool.size
        )
        connected = self._server.streams > 0
        yield GaugeMetricFamily("isthmus_site_telemetry_envoy_connected", "Whether Envoy tells of requests.", connected)
        yield from self.receivers.collect()

    # ---- in

    async def _keep_batching(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self._batch()
            except Exception:  # a full disk, or a record that nobody foresaw: the next batch is another
                log.exception("telemetry.batch_failed")

    async def _batch(self) -> None:
        messages, spans = self._server.take(), self._server.take_spans()
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        losses = self._new_losses()
        records = await asyncio.to_thread(self._records, messages) if messages else None
        waited = time.time() - self._samples[0][0] if self._samples else 0.0
        if records is not None or losses or waited >= _PATIENCE:
            await self._keep(records, losses, seconds)
        await self.receivers.take(records, spans, seconds)

    async def _keep(self, records: pl.DataFrame | None, losses: Mapping[str, int], seconds: float) -> None:
        name = self.spool.next_name()
        tables = await asyncio.to_thread(self._tables, records, seconds) if records is not None else {}
        requests = records.height if records is not None else 0
        self.requests += requests
        if self._samples:
            samples, self._samples = self._samples, []
            tables["gauge"] = frame_of(samples)
        batch = Batch(self._subject, name, time.time(), requests, tables, losses)
        body = await asyncio.to_thread(emit_batch, batch)
        try:
            self.spool.put(name, body, requests)
        except OSError as error:
            self._lose("disk", requests)
            log.error("telemetry.not_kept", error=str(error))
        self.forwarder.arrived()

    def _records(self, messages: Mapping[str, list[bytes]]) -> pl.DataFrame | None:
        self._decoder.use(self._naming)
        return decode(self._decoder, messages)

    def _tables(self, records: pl.DataFrame, seconds: float) -> dict[str, pl.DataFrame]:
        tables = tables_of(records, self._sampling, seconds)
        self.totals.add(tables["signal"], tables["latency"])
        return tables

    # ---- losses

    def _lose(self, reason: str, requests: int) -> None:
        if requests > 0:
            self.losses[reason] = self.losses.get(reason, 0) + requests

    def _all_losses(self) -> dict[str, int]:
        found = dict(self.losses)
        for reason, requests in (
            ("buffer", self.spool.dropped_requests),
            ("refused", self.forwarder.refused_requests),
        ):
            if requests:
                found[reason] = found.get(reason, 0) + requests
        return found

    def _new_losses(self) -> dict[str, int]:
        """What was lost since the last batch said so."""
        now = self._all_losses()
        new = {reason: requests - self._told.get(reason, 0) for reason, requests in now.items()}
        self._told = now
        return {reason: requests for reason, requests in new.items() if requests > 0}

    async def _keep_counting(self) -> None:
        while True:
            await asyncio.sleep(COUNT)
            with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
                self._count(await self._admin.counters(_COUNTERS))
            try:
                await self._sample()
            except Exception:  # a gauge must not end the count of losses
                log.exception("telemetry.gauges_not_taken")
            if self.receivers.notice() and self.told is not None:
                self.told()

    async def _sample(self) -> None:
        if self.measure is not None:
            self._samples = [*self._samples[-_MOST_SAMPLES:], (time.time(), await self.measure())]

    def _count(self, counters: Mapping[str, int]) -> None:
        """Compare what Envoy says it has told with what has come.

        It counts what it drops when we are slow. What it tells while nobody listens is lost without a word; so records
        that are still missing in three looks, by which time its buffer has been flushed often, count as lost.
        """
        written = counters.get("access_logs.grpc_access_log.logs_written", 0)
        dropped = counters.get("access_logs.grpc_access_log.logs_dropped", 0)
        if self._written is None or written < self._written:  # another Envoy, or another agent: a new beginning
            self._baseline = written - self.requests
            self._dropped = dropped
            self._gaps.clear()
        self._written = written
        self._lose("envoy", dropped - self._dropped)
        self._dropped = dropped
        self._gaps = [*self._gaps[-2:], written - self._baseline - self.requests]
        if len(self._gaps) == 3 and min(self._gaps) > 0:
            missing = min(self._gaps)
            self._lose("unheard", missing)
            self._baseline += missing
            self._gaps.clear()

    # ---- out

    async def _deliver(self, body: bytes) -> None:
        refusal = await self._client.deliver(body)
        if refusal:
            raise BatchInvalid(refusal)


def unserved(receivers: Iterable[Receiver]) -> tuple[Refusal, ...]:
    """What to say of receivers where telemetry is switched off."""
    message = "the site was started with --no-telemetry; nothing is sent"
    return tuple(Refusal(str(each.key), "telemetry-off", "spec.where", message) for each in receivers)


def plan_naming(intent: Intent) -> Naming:
    """What a site's intent says of addresses. Addresses at which several clusters have endpoints name no client, and
    endpoints of several subsets none of them."""
    sites = {
        str(socket): member.site
        for cluster in intent.clusters
        for member in cluster.members
        if not member.own
        for socket in member.fabric
    }
    clients: dict[str, set[str]] = {}
    subsets: dict[str, str] = {}
    for hosted in intent.hosted:
        cluster = f"{hosted.key.namespace}/{hosted.key.name}"
        for endpoint in hosted.endpoints:
            clients.setdefault(endpoint.socket.address, set()).add(f"cluster:{cluster}")
            if len(endpoint.subsets) == 1:
                subsets[f"{cluster} {endpoint.socket}"] = endpoint.subsets[0]
    single = {address: next(iter(names)) for address, names in _single(clients.items())}
    return Naming(intent.site, sites, single, subsets)


def _single(pairs: Iterable[tuple[str, set[str]]]) -> Iterable[tuple[str, set[str]]]:
    return ((address, names) for address, names in pairs if len(names) == 1)
