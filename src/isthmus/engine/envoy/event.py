"""Results of active health checks, as events.

Envoy's health check event sink appends a line of JSON per transition to a file; `HealthLog` follows that file and
rotates it. What happened while nobody followed is found in the admin interface: `reconcile` reports a snapshot of
every host, and holds back events meanwhile, so that a listener always sees an older state before a newer one.
Source: envoy/data/core/v3/health_check_event.proto.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import structlog

from isthmus.engine.envoy.admin import Admin, HostHealth
from isthmus.engine.envoy.inotify import drain_watch, open_watch

ROTATE_BYTES = 1 << 20
POLL = 0.02
"""Seconds between looks at the file where inotify is not to be had."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """A host became healthy or unhealthy, or failed its first check."""

    cluster: str
    address: str
    port: int
    healthy: bool
    reason: str
    """Why it is unhealthy: "active", "passive", "network" or "timeout" …; empty when healthy."""
    at: float
    """Unix time, seconds."""


def parse_event(line: bytes) -> HealthEvent | None:
    """Read one line of the event file; None for a kind of event that says nothing about health, or a broken line."""
    try:
        document: dict[str, Any] = json.loads(line)
        socket = document["host"]["socket_address"]
        failure = document.get("eject_unhealthy_event") or document.get("health_check_failure_event")
        if failure is None and "add_healthy_event" not in document:
            return None
        return HealthEvent(
            cluster=document["cluster_name"],
            address=socket["address"],
            port=int(socket["port_value"]),
            healthy=failure is None,
            reason="" if failure is None else str(failure.get("failure_type", "ACTIVE")).lower(),
            at=datetime.fromisoformat(document["timestamp"]).timestamp(),
        )
    except (ValueError, KeyError, TypeError):
        return None


class HealthLog:
    """Follows `path`, alone in its directory. Calls back within the event loop."""

    def __init__(
        self,
        path: Path,
        admin: Admin,
        on_event: Callable[[HealthEvent], None],
        on_snapshot: Callable[[list[HostHealth]], None],
        *,
        rotate_bytes: int = ROTATE_BYTES,
    ) -> None:
        self._path = path
        self._admin = admin
        self._on_event = on_event
        self._on_snapshot = on_snapshot
        self._rotate_bytes = rotate_bytes
        self._file = -1
        self._watch = -1
        self._rest = b""
        self._read = 0
        self._held: list[HealthEvent] | None = None
        self._looking = asyncio.Lock()
        self._poll: asyncio.Task[None] | None = None
        self._rotation: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Follow the file from its present end. `reconcile` tells what came before."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        self._old.unlink(missing_ok=True)
        self._file = os.open(self._path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._read = os.lseek(self._file, 0, os.SEEK_END)
        try:
            self._watch = open_watch(self._path.parent)
        except OSError as error:
            log.warning("envoy.health.polling", error=str(error))
            self._poll = asyncio.create_task(self._poll_file())
        else:
            asyncio.get_running_loop().add_reader(self._watch, self._changed)

    async def stop(self) -> None:
        for task in (self._poll, self._rotation):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self._watch >= 0:
            asyncio.get_running_loop().remove_reader(self._watch)
            os.close(self._watch)
            self._watch = -1
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    async def reconcile(self) -> None:
        """Report the health of every host now, after a look that is under way. Raises httpx.HTTPError when Envoy does
        not answer."""
        async with self._looking:
            self._held = []
            try:
                self._on_snapshot(await self._admin.hosts())
            finally:
                held, self._held = self._held, None
                for event in held:
                    self._on_event(event)

    @property
    def _old(self) -> Path:
        return self._path.with_suffix(".old")

    async def _poll_file(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            self._consume()

    def _changed(self) -> None:
        drain_watch(self._watch)
        self._consume()

    def _consume(self) -> None:
        data = self._rest
        while chunk := os.read(self._file, 1 << 16):
            self._read += len(chunk)
            data += chunk
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            event = parse_event(line)
            if event is None:
                continue
            if self._held is not None:
                self._held.append(event)
            else:
                self._on_event(event)
        if self._read > self._rotate_bytes and self._rotation is None:
            self._rotation = asyncio.create_task(self._rotate())

    async def _rotate(self) -> None:
        """Rename the file, have Envoy open a new one, read the old one to its end, go on with the new one.

        Truncating in place was rejected: lines written between the last read and the truncation would be lost.
        """
        try:
            self._path.rename(self._old)
            await self._admin.reopen_logs()
            async with asyncio.timeout(5):
                while not self._path.exists():  # noqa: ASYNC110 - another process makes it
                    await asyncio.sleep(0.01)
            self._consume()
            os.close(self._file)
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            self._read, self._rest = 0, b""
            self._old.unlink(missing_ok=True)
            self._rotation = None
            self._consume()
        except (OSError, TimeoutError, httpx.HTTPError) as error:
            log.warning("envoy.health.rotation_failed", error=str(error))
            if self._old.exists() and not self._path.exists():
                self._old.rename(self._path)  # Envoy still writes to it
            await asyncio.sleep(1)
            self._rotation = None
