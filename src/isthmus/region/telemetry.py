"""Telemetry in a region: batches of its sites wait here, on disk, while the console is away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import structlog

from isthmus.identity import Identity
from isthmus.protocol import DeliveryClient, ProtocolError, Uplink
from isthmus.telemetry.batch import Batch, BatchInvalid, emit_batch, parse_head
from isthmus.telemetry.forwarder import Forwarder
from isthmus.telemetry.spool import Spool

_TELL = 10.0
_ABREAST = 64
"""Batches on their way to the console at a time, so that it can take many at once."""

log = structlog.get_logger()


class RegionTelemetry:
    """`take` is for the delivery service; `start` and `stop` once each."""

    def __init__(self, directory: Path, limit: int, uplink: Uplink) -> None:
        self._subject = uplink.subject
        self._client = DeliveryClient(lambda: uplink.connected_upstreams, lambda: uplink.credential)
        self.spool = Spool(directory, limit)
        self.forwarder = Forwarder(self.spool, self._deliver, _ABREAST)
        self._tasks: list[asyncio.Task[None]] = []
        self._told = 0
        self.taken = 0
        """Batches, since this process began."""

    def start(self) -> None:
        """Begins to deliver."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self.forwarder.run()), loop.create_task(self._keep_telling())]

    async def stop(self) -> None:
        """What was taken stays on disk."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    def wake(self) -> None:
        """The console may be connected."""
        self.forwarder.wake()

    async def take(self, peer: Identity, subject: str, body: bytes) -> str:
        """Keep a batch of a site. Raises ProtocolError when the disk does not take it: the site keeps it then."""
        try:
            _, _, requests = parse_head(body)
            self.spool.put(self.spool.next_name(), body, requests, owner=subject)
        except BatchInvalid as error:
            return str(error)
        except OSError as error:
            raise ProtocolError("disk", f"The region cannot keep telemetry: {error}.") from error
        self.taken += 1
        self.forwarder.arrived()
        return ""

    def status(self) -> dict[str, object]:
        """For reports and statistics."""
        return {
            "taken": self.taken,
            "waiting": {"batches": len(self.spool), "bytes": self.spool.size, "requests": self.spool.waiting_requests},
            "delivered": self.forwarder.delivered,
            "error": self.forwarder.error,
            "lost": {"buffer": self.spool.dropped_requests} if self.spool.dropped_requests else {},
        }

    async def _keep_telling(self) -> None:
        """Tell the console what was dropped here, as a batch of this region's own."""
        while True:
            await asyncio.sleep(_TELL)
            lost = self.spool.dropped_requests - self._told
            if lost <= 0:
                continue
            name = self.spool.next_name()
            batch = Batch(self._subject, name, time.time(), 0, losses={"buffer": lost})
            with contextlib.suppress(OSError):
                self.spool.put(name, emit_batch(batch), 0, owner=self._subject)
                self._told += lost
                self.forwarder.arrived()

    async def _deliver(self, body: bytes) -> None:
        refusal = await self._client.deliver(body)
        if refusal:
            raise BatchInvalid(refusal)
