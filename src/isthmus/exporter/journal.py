"""A process's log on its way to a collector: what is written to stderr, as OpenTelemetry's log records, in memory.

Whoever logs never waits for it and never hears of its faults; it comes behind everything that keeps secrets out of the
log, so that it holds what stderr does.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from typing import Any

from isthmus.generated import otlp_pb2 as wire
from isthmus.telemetry.otlp import attribute

MOST_RECORDS = 2_000
MOST_BYTES = 4 << 20
_LONGEST = 8_000
"""Characters of one value."""
_MOST_ATTRIBUTES = 64
_SEVERITIES = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
"""Level to SeverityNumber."""
_OWN = ("event", "level", "timestamp", "exception")
"""What is no attribute, or not as it stands."""

_silent: ContextVar[bool] = ContextVar("isthmus_journal_silent", default=False)


@contextlib.contextmanager
def unrecorded() -> Iterator[None]:
    """What is logged inside, and by tasks that are begun inside, is not kept: a collector is not told that it failed,
    which would make another failure."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


class Journal:
    """A processor of structlog, to stand in front of the one that writes. Any thread may log."""

    def __init__(self, most: int = MOST_RECORDS, limit: int = MOST_BYTES) -> None:
        self._most = most
        self._limit = limit
        self._lock = threading.Lock()
        self._records: deque[tuple[wire.LogRecord, int]] = deque()
        self._size = 0
        self._lost = {"buffer": 0, "encoding": 0}

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Keeps the event if there is room, and passes it on."""
        if not _silent.get():
            try:
                record = emit_record(event, time.time_ns())
                self._keep(record, record.ByteSize())
            except Exception:
                self._lose("encoding")
        return event

    def __len__(self) -> int:
        return len(self._records)

    def take(self, most: int) -> list[wire.LogRecord]:
        """The oldest records, at most so many, which are here no more."""
        with self._lock:
            found = [self._records.popleft() for _ in range(min(most, len(self._records)))]
            self._size -= sum(size for _, size in found)
        return [record for record, _ in found]

    def losses(self) -> dict[str, int]:
        """Events that were not kept, by reason."""
        with self._lock:
            return dict(self._lost)

    def _keep(self, record: wire.LogRecord, size: int) -> None:
        with self._lock:
            if len(self._records) < self._most and self._size + size <= self._limit:
                self._records.append((record, size))
                self._size += size
                return
        self._lose("buffer")

    def _lose(self, reason: str) -> None:
        with self._lock:
            self._lost[reason] += 1


def emit_record(event: MutableMapping[str, Any], now: int) -> wire.LogRecord:
    """An event of structlog as a log record. `now`: nanoseconds since 1970."""
    level = str(event.get("level", "info"))
    names = [name for name in event if name not in _OWN and not name.startswith("_")]
    found = [attribute(name, _value(event[name])) for name in names[:_MOST_ATTRIBUTES] if event[name] is not None]
    return wire.LogRecord(
        time_unix_nano=now,
        observed_time_unix_nano=now,
        severity_number=_SEVERITIES.get(level, 9),
        severity_text=level.upper(),
        body=wire.AnyValue(string_value=_text(str(event.get("event", "")))),
        attributes=[*found, *_exception(event.get("exception"))],
    )


def _exception(told: Any) -> Iterator[wire.KeyValue]:
    """By the names of OpenTelemetry's semantic conventions."""
    if isinstance(told, list) and told and isinstance(told[0], dict):
        yield attribute("exception.type", _text(str(told[0].get("exc_type", ""))))
        yield attribute("exception.message", _text(str(told[0].get("exc_value", ""))))
    if told:
        yield attribute(
            "exception.stacktrace", _text(told if isinstance(told, str) else json.dumps(told, default=repr))
        )


def _value(value: Any) -> str | int | float:
    match value:
        case bool() | float():
            return value
        case int() if -(2**63) <= value < 2**63:
            return value
        case str():
            return _text(value)
    return _text(json.dumps(value, default=repr))


def _text(value: str) -> str:
    return value[:_LONGEST].encode("utf-8", "replace").decode()
