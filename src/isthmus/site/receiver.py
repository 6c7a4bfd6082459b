"""Receivers of telemetry at this site: what each is to get, on its own spool, and from there out.

Nothing here needs another plane: records, spans and metrics go straight from the site to whoever receives them. What a
receiver does not take waits on disk up to its buffer; then the oldest is dropped, and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from isthmus.discovery.error import SettingError
from isthmus.model.key import ObjectKey
from isthmus.site.sender import SecretValue, Sender, make_sender
from isthmus.telemetry.document import choose, documents_of, emit_array, emit_lines, slices_of
from isthmus.telemetry.forwarder import Forwarder
from isthmus.telemetry.otlp import emit_logs, resource_of
from isthmus.telemetry.otlp_metric import emit_metrics
from isthmus.telemetry.setting import FileSettings, HttpSettings, Receiver, SyslogSettings
from isthmus.telemetry.span import NamedSpan, choose_spans, emit_spans, parse_spans
from isthmus.telemetry.spool import Spool
from isthmus.telemetry.syslog import emit_frames

Body = tuple[bytes, int]
"""What goes to a receiver, and of how many items it is."""
MetricText = Callable[[], Awaitable[bytes]]
"""The site's metrics in Prometheus' format."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Running:
    """One receiver. `lost`: items that never came onto its spool, or that it did not take, by reason."""

    receiver: Receiver
    spool: Spool
    sender: Sender
    forwarder: Forwarder
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)

    def lose(self, reason: str, items: int) -> None:
        if items:
            self.lost[reason] = self.lost.get(reason, 0) + items

    def losses(self) -> dict[str, int]:
        found = {"buffer": self.spool.dropped_requests, "refused": self.forwarder.refused_requests}
        for reason, items in self.lost.items():
            found[reason] = found.get(reason, 0) + items
        return {reason: items for reason, items in sorted(found.items()) if items}


class Receivers:
    """`secret` gives the value of a Secret, `files` is the directory of file receivers."""

    def __init__(self, tenant: str, site: str, spools: Path, files: Path, secret: SecretValue) -> None:
        self._tenant, self._site = tenant, site
        self._resource = resource_of(tenant, site)
        self._spools = spools
        self._files = files
        self._secret = secret
        self._running: dict[ObjectKey, _Running] = {}
        self._metrics: MetricText | None = None
        self._begun = time.time()
        self._turn = asyncio.Lock()

    def report_metrics(self, metrics: MetricText) -> None:
        """Where metrics come from; without, none are sent."""
        self._metrics = metrics

    async def use(self, receivers: Sequence[Receiver]) -> None:
        """Serve these from now on. Equal ones go on as they are; what waits for others is thrown away."""
        async with self._turn:
            wanted = {each.key: each for each in receivers}
            for key, running in list(self._running.items()):
                if wanted.get(key) != running.receiver:
                    del self._running[key]
                    await _end(running)
            self._sweep({_folder(each) for each in receivers})
            for key, receiver in wanted.items():
                if key not in self._running:
                    self._begin(receiver)

    async def stop(self) -> None:
        """What waits stays on disk."""
        async with self._turn:
            await asyncio.gather(*(_end(each) for each in self._running.values()))
            self._running.clear()

    async def take(self, records: pl.DataFrame | None, messages: Sequence[bytes], seconds: float) -> None:
        """Put on the spools what came in so many seconds: records as decoded, spans as Envoy exports them."""
        if not self._running or (records is None and not messages):
            return
        running = list(self._running.values())
        for each, bodies in await asyncio.to_thread(self._encode, running, records, messages, seconds):
            self._put(each, bodies)

    def status(self) -> list[dict[str, object]]:
        """Of each receiver, for reports."""
        return [
            {
                "receiver": key.path,
                "target": _target(each.receiver),
                "delivered": each.forwarder.delivered_requests,
                "waiting": {"items": each.spool.waiting_requests, "bytes": each.spool.size},
                "lost": each.losses(),
                "error": each.forwarder.error,
            }
            for key, each in sorted(self._running.items())
        ]

    def collect(self) -> Iterable[Metric]:
        """For Prometheus."""
        delivered = CounterMetricFamily(
            "isthmus_site_receiver_delivered", "Records, spans and points that a receiver took.", labels=["receiver"]
        )
        lost = CounterMetricFamily(
            "isthmus_site_receiver_lost", "Those that it will never get.", labels=["receiver", "reason"]
        )
        waiting = GaugeMetricFamily(
            "isthmus_site_receiver_waiting_bytes", "What waits for a receiver.", labels=["receiver"]
        )
        for key, each in sorted(self._running.items()):
            delivered.add_metric([key.path], each.forwarder.delivered_requests)
            waiting.add_metric([key.path], each.spool.size)
            for reason, items in each.losses().items():
                lost.add_metric([key.path, reason], items)
        return (delivered, lost, waiting)

    # ---- life of one

    def _begin(self, receiver: Receiver) -> None:
        try:
            spool = Spool(self._spools / _folder(receiver), receiver.buffer)
            sender = make_sender(receiver.settings, self._secret, self._files)
        except (OSError, SettingError) as error:
            log.error("receiver.not_started", receiver=receiver.key.path, reason=str(error))
            return
        forwarder = Forwarder(spool, lambda body: self._send(receiver.key, body))
        running = self._running[receiver.key] = _Running(receiver, spool, sender, forwarder)
        running.tasks.append(asyncio.create_task(forwarder.run()))
        if receiver.metrics:
            running.tasks.append(asyncio.create_task(self._keep_measuring(running)))

    async def _send(self, key: ObjectKey, body: bytes) -> None:
        running = self._running[key]
        running.lose("rejected", await running.sender.send(body))

    def _sweep(self, folders: set[str]) -> None:
        """Remove what waits for receivers that are no more."""
        with contextlib.suppress(OSError):
            for path in self._spools.iterdir():
                if path.name not in folders:
                    shutil.rmtree(path, ignore_errors=True)

    def _put(self, running: _Running, bodies: Iterable[Body]) -> None:
        for body, items in bodies:
            try:
                running.spool.put(running.spool.next_name(), body, items)
            except OSError as error:
                running.lose("disk", items)
                log.error("receiver.not_kept", receiver=running.receiver.key.path, error=str(error))
        running.forwarder.arrived()

    async def _keep_measuring(self, running: _Running) -> None:
        while True:
            await asyncio.sleep(running.receiver.metrics / 1000)
            if self._metrics is None:
                continue
            try:
                text = (await self._metrics()).decode()
                self._put(running, await asyncio.to_thread(self._measured, running.receiver, text))
            except Exception:  # the next report is another
                log.exception("receiver.metrics_failed", receiver=running.receiver.key.path)

    # ---- encoding; in a thread

    def _encode(
        self, running: Sequence[_Running], records: pl.DataFrame | None, messages: Sequence[bytes], seconds: float
    ) -> list[tuple[_Running, list[Body]]]:
        spans = parse_spans(messages) if any(each.receiver.traces for each in running) else []
        found = []
        for each in running:
            try:
                bodies = list(self._logged(each.receiver, records, seconds)) if records is not None else []
                bodies.extend(self._traced(each.receiver, spans))
                found.append((each, bodies))
            except Exception:  # one receiver's records must not cost another's
                log.exception("receiver.not_encoded", receiver=each.receiver.key.path)
                each.lose("encoding", records.height if records is not None else len(spans))
        return found

    def _logged(self, receiver: Receiver, records: pl.DataFrame, seconds: float) -> Iterator[Body]:
        if not receiver.logs:
            return
        settings = receiver.settings
        for part in slices_of(choose(records, receiver.choice, seconds)):
            if isinstance(settings, SyslogSettings):
                yield emit_frames(part, settings, self._tenant, self._site), part.height
            elif isinstance(settings, HttpSettings) and settings.form == "OTLP":
                yield b"L" + _pack(emit_logs(part, self._resource), settings), part.height
            else:
                documents = documents_of(part, self._tenant, self._site)
                emit = emit_array if isinstance(settings, HttpSettings) and settings.form == "JSON" else emit_lines
                yield _pack(emit(documents), settings), part.height

    def _traced(self, receiver: Receiver, spans: Sequence[NamedSpan]) -> Iterator[Body]:
        settings = receiver.settings
        if receiver.traces and isinstance(settings, HttpSettings):
            for body, count in emit_spans(choose_spans(spans, receiver.choice), self._resource):
                yield b"T" + _pack(body, settings), count

    def _measured(self, receiver: Receiver, text: str) -> list[Body]:
        settings = receiver.settings
        if not isinstance(settings, HttpSettings):
            return []
        found = emit_metrics(text, self._resource, self._begun, time.time(), receiver.choice.namespaces)
        return [(b"M" + _pack(body, settings), count) for body, count in found]


async def _end(running: _Running) -> None:
    for task in running.tasks:
        task.cancel()
    await asyncio.gather(*running.tasks, return_exceptions=True)
    await running.sender.close()


def _pack(body: bytes, settings: HttpSettings | FileSettings) -> bytes:
    return gzip.compress(body, 6) if isinstance(settings, HttpSettings) and settings.gzip else body


def _form(receiver: Receiver) -> str:
    match receiver.settings:
        case SyslogSettings():
            return "syslog"
        case FileSettings():
            return "file"
    return receiver.settings.form.lower()


def _folder(receiver: Receiver) -> str:
    """Names have no dots, and bodies of one form are not for a receiver of another."""
    return f"{receiver.key.namespace}.{receiver.key.name}.{_form(receiver)}"


def _target(receiver: Receiver) -> str:
    match receiver.settings:
        case SyslogSettings(host, port, transport):
            return f"syslog {host}:{port} {transport}"
        case FileSettings(path):
            return f"file {path}"
        case HttpSettings(url, form):
            return f"{form} {url}"
