"""Receivers of telemetry at this site: what each is to get, on its own spool, and from there out.

Nothing here needs another plane: records, spans and metrics go straight from the site to whoever receives them. What a
receiver does not take waits on disk up to its buffer, and all of them up to the site's, which namespaces share fairly;
then the oldest is dropped, and counted.
"""

from __future__ import annotations

import asyncio
import gzip
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from isthmus.discovery.error import SettingError
from isthmus.exporter.delivery import Sender
from isthmus.model.key import ObjectKey
from isthmus.site.log_file import LogFiles
from isthmus.site.sender import SecretValue, make_sender
from isthmus.site.tally import Tallies, Tally
from isthmus.telemetry.document import choose, documents_of, emit_array, emit_lines, slices_of
from isthmus.telemetry.forwarder import Forwarder
from isthmus.telemetry.otlp import emit_logs, resource_of
from isthmus.telemetry.otlp_metric import emit_metrics
from isthmus.telemetry.quota import Quota
from isthmus.telemetry.setting import FileSettings, HttpSettings, Receiver, SyslogSettings
from isthmus.telemetry.span import NamedSpan, choose_spans, emit_spans, parse_spans
from isthmus.telemetry.spool import Spool, count_requests
from isthmus.telemetry.syslog import emit_frames

Body = tuple[bytes, int]
"""What goes to a receiver, and of how many items it is."""
MetricText = Callable[[], Awaitable[bytes]]
"""The site's metrics in Prometheus' format."""

_SIGNALS = {b"L": "logs", b"M": "metrics", b"T": "traces"}
"""First byte of an OTLP body, and what it is."""
MOST_FILES = 20_000
"""Bodies that wait for one receiver."""
MOST_FILES_IN_ALL = 100_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Failed:
    """A receiver that could not be started. `lasting`: it will not be for as long as its settings are these."""

    receiver: Receiver
    reason: str
    since: float
    lasting: bool


@dataclass(slots=True)
class _Running:
    """One receiver. Forwarders are by what they forward: what is not taken of one signal holds up no other."""

    receiver: Receiver
    spool: Spool
    sender: Sender
    forwarders: Mapping[str, Forwarder]
    tally: Tally
    begun: float
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Receivers:
    """`secret` gives the value of a Secret, `files` is the directory of file receivers. Of all receivers together,
    `buffer` is bytes on disk for what they have not taken, `most` those of their files."""

    def __init__(
        self,
        tenant: str,
        site: str,
        spools: Path,
        files: Path,
        secret: SecretValue,
        buffer: int = 1 << 30,
        most: int = 10 << 30,
    ) -> None:
        self._tenant, self._site = tenant, site
        self._resource = resource_of(tenant, site)
        self._spools = spools
        self._files = LogFiles(files, spools / "files.json", most)
        self._secret = secret
        self._quota = Quota(buffer, MOST_FILES_IN_ALL)
        self._running: dict[ObjectKey, _Running] = {}
        self._failed: dict[ObjectKey, _Failed] = {}
        self._noticed: dict[ObjectKey, str] = {}
        self._tallies = Tallies()
        self._metrics: MetricText | None = None
        self._begun = time.time()
        self._turn = asyncio.Lock()

    def report_metrics(self, metrics: MetricText) -> None:
        """Where metrics come from; without, none are sent."""
        self._metrics = metrics

    async def use(self, receivers: Sequence[Receiver]) -> None:
        """Serve these from now on. Equal ones go on as they are; what waits for others is lost, and counted."""
        async with self._turn:
            wanted = {each.key: each for each in receivers}
            before, self._failed = self._failed, {}
            for key, running in list(self._running.items()):
                if wanted.get(key) != running.receiver:
                    del self._running[key]
                    await _end(running)
                    self._tallies.leave(key)
            await self._sweep({_folder(each) for each in receivers})
            for key, receiver in wanted.items():
                if key not in self._running:
                    self._begin(receiver, before.get(key))
            self._tallies.forget(self._known())

    async def stop(self) -> None:
        """What waits stays on disk."""
        async with self._turn:
            await asyncio.gather(*(_end(each) for each in self._running.values()))
            self._running.clear()
            self._failed.clear()

    async def take(self, records: pl.DataFrame | None, messages: Sequence[bytes], seconds: float) -> None:
        """Put on the spools what came in so many seconds: records as decoded, spans as Envoy exports them."""
        if not self._running or (records is None and not messages):
            return
        running = list(self._running.values())
        for each, bodies in await asyncio.to_thread(self._encode, running, records, messages, seconds):
            self._put(each, bodies)

    def notice(self) -> bool:
        """Whether a receiver fails, works again or has lost something since the last call. What could not be started
        for want of a place on disk is tried again."""
        for failed in [each for each in self._failed.values() if not each.lasting]:
            self._begin(failed.receiver, self._failed.pop(failed.receiver.key))
        noticed, self._noticed = self._noticed, {key: each.reason for key, each in self._failed.items()}
        return self._tallies.notice() or noticed != self._noticed

    def status(self) -> list[dict[str, object]]:
        """Of each receiver, for reports. Those that are no more, but lost something, are there without a target."""
        found: list[dict[str, object]] = [
            {
                "receiver": key.path,
                "target": _target(each.receiver),
                "since": each.begun,
                "delivered": each.tally.all_delivered(),
                "waiting": {"items": each.spool.waiting_requests, "bytes": each.spool.size},
                "lost": each.tally.losses(),
                "lostAt": each.tally.lost_at,
                "error": each.tally.error(),
                "errorSince": each.tally.error_since(),
            }
            for key, each in sorted(self._running.items())
        ]
        for key, failed in sorted(self._failed.items()):
            tally = self._tallies.of(key)
            shown = {"receiver": key.path, "target": _target(failed.receiver), "since": failed.since}
            shown |= {"delivered": tally.delivered, "lost": tally.losses(), "lostAt": tally.lost_at}
            error = {"error": failed.reason, "errorSince": failed.since}
            found.append({**shown, "waiting": {"items": 0, "bytes": 0}, **error})
        for key, tally in self._tallies.gone(self._known()):
            shown = {"receiver": key.path, "target": "", "delivered": tally.delivered, "lost": tally.losses()}
            found.append({**shown, "waiting": {"items": 0, "bytes": 0}, "lostAt": tally.lost_at, "error": ""})
        return found

    def collect(self) -> Iterable[Metric]:
        """For Prometheus."""
        delivered = CounterMetricFamily(
            "isthmus_site_receiver_delivered",
            "Records, spans and points that a receiver took.",
            labels=["namespace", "receiver"],
        )
        lost = CounterMetricFamily(
            "isthmus_site_receiver_lost", "Those that it will never get.", labels=["namespace", "receiver", "reason"]
        )
        waiting = GaugeMetricFamily(
            "isthmus_site_receiver_waiting_bytes", "What waits for a receiver.", labels=["namespace", "receiver"]
        )
        failing = GaugeMetricFamily(
            "isthmus_site_receiver_failing",
            "Whether the last try to send to a receiver failed.",
            labels=["namespace", "receiver"],
        )
        for key, each in sorted(self._running.items()):
            labels = [key.namespace, key.path]
            delivered.add_metric(labels, each.tally.all_delivered())
            waiting.add_metric(labels, each.spool.size)
            failing.add_metric(labels, bool(each.tally.error()))
        for key in sorted(self._failed):
            failing.add_metric([key.namespace, key.path], 1)
        tallies = [*((key, each.tally) for key, each in sorted(self._running.items()))]
        for key, tally in (*tallies, *self._tallies.gone(self._known())):
            for reason, items in tally.losses().items():
                lost.add_metric([key.namespace, key.path, reason], items)
        return (delivered, lost, waiting, failing)

    # ---- life of one

    def _known(self) -> set[ObjectKey]:
        return {*self._running, *self._failed}

    def _begin(self, receiver: Receiver, before: _Failed | None = None) -> None:
        """`before`: it could not be started then."""
        key, spool = receiver.key, None
        try:
            if isinstance(receiver.settings, FileSettings):
                self._files.use(receiver.settings)  # first: what fails here comes again, and spools are large
            spool = Spool(self._spools / _folder(receiver), receiver.buffer, MOST_FILES, self._quota, key.namespace)
            sender = make_sender(receiver.settings, self._secret, self._files)
        except (OSError, SettingError) as error:
            if spool is not None:
                spool.close()
            text = (
                f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
            )
            reason = f"cannot be started: {text}"
            if before is None or before.reason != reason:
                log.error("receiver.not_started", receiver=key.path, reason=text)
            since = before.since if before is not None else time.time()
            self._failed[key] = _Failed(receiver, reason, since, lasting=isinstance(error, SettingError))
            return
        signals = _SIGNALS.values() if _is_otlp(receiver) else ("",)
        send = partial(self._send, key)
        forwarders = {each: Forwarder(spool.part(each), send) for each in signals}
        tally = self._tallies.of(key)
        tally.follow(spool, forwarders)
        running = self._running[key] = _Running(receiver, spool, sender, forwarders, tally, time.time())
        running.tasks.extend(asyncio.create_task(each.run()) for each in forwarders.values())
        if receiver.metrics:
            running.tasks.append(asyncio.create_task(self._keep_measuring(running)))

    async def _send(self, key: ObjectKey, body: bytes) -> None:
        running = self._running[key]
        running.tally.lose("rejected", await running.sender.send(body))

    async def _sweep(self, folders: set[str]) -> None:
        """Remove what waits for receivers that are no more, and say how much it was."""
        if not await asyncio.to_thread(self._spools.is_dir):
            return
        for path in await asyncio.to_thread(lambda: sorted(self._spools.iterdir())):
            if path.name in folders or not path.is_dir():
                continue
            items = await asyncio.to_thread(count_requests, path)
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
            namespace, _, name = path.name.rpartition(".")[0].partition(".")
            if items and name:
                key = ObjectKey(self._tenant, "TelemetryReceiver", namespace, name)
                self._tallies.of(key).lose("removed", items)
                log.warning("receiver.removed", receiver=key.path, lost=items)

    def _put(self, running: _Running, bodies: Iterable[Body]) -> None:
        otlp = _is_otlp(running.receiver)
        for body, items in bodies:
            signal = _SIGNALS[body[:1]] if otlp else ""
            try:
                running.spool.put(running.spool.next_name(), body, items, signal)
            except OSError as error:
                running.tally.lose("disk", items)
                log.error("receiver.not_kept", receiver=running.receiver.key.path, error=str(error))
        for each in running.forwarders.values():
            each.arrived()

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
                each.tally.lose("encoding", records.height if records is not None else len(spans))
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
    running.spool.close()


def _pack(body: bytes, settings: HttpSettings | FileSettings) -> bytes:
    return gzip.compress(body, 6) if isinstance(settings, HttpSettings) and settings.gzip else body


def _is_otlp(receiver: Receiver) -> bool:
    return isinstance(receiver.settings, HttpSettings) and receiver.settings.form == "OTLP"


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
        case HttpSettings(url, form, protocol="GRPC"):
            return f"{form} over gRPC {url}"
        case HttpSettings(url, form):
            return f"{form} {url}"
