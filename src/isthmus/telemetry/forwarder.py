"""Takes batches from a spool upwards, the oldest first, for ever."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from isthmus.telemetry.batch import BatchInvalid
from isthmus.telemetry.spool import Spool, Spooled

_SHORTEST, _LONGEST = 0.2, 10.0
log = structlog.get_logger()


class Forwarder:
    """`deliver` returns once somebody above keeps the batch. It raises BatchInvalid for one that nobody will ever take,
    which is dropped and counted, and anything else for one to be tried again. Up to `abreast` are under way at a time.

    Attributes:
        delivered, delivered_requests: batches, and what they tell of, since this object was made.
        refused_requests: requests of batches that were refused for good.
        error: why the last try failed; empty when it did not.
    """

    def __init__(self, spool: Spool, deliver: Callable[[bytes], Awaitable[None]], abreast: int = 1) -> None:
        self.spool = spool
        self._deliver = deliver
        self._abreast = abreast
        self._under_way: set[Path] = set()
        self._some = asyncio.Event()
        self.delivered = 0
        self.delivered_requests = 0
        self.refused_requests = 0
        self.error = ""

    def wake(self) -> None:
        """There is a batch, or a way up again."""
        self._some.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._abreast):
                group.create_task(self._carry())

    async def _carry(self) -> None:
        wait = _SHORTEST
        while True:
            spooled = self.spool.oldest(self._under_way)
            if spooled is None:
                self._some.clear()
                await self._some.wait()
                continue
            first, body = spooled
            self._under_way.add(first.path)
            try:
                done = await self._try(first, body)
            finally:
                self._under_way.discard(first.path)
            if done:
                wait = _SHORTEST
                continue
            self._some.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._some.wait()
            wait = min(2 * wait, _LONGEST)

    async def _try(self, spooled: Spooled, body: bytes) -> bool:
        """Deliver one. Whether it is done with."""
        try:
            await self._deliver(body)
        except BatchInvalid as error:
            log.error("telemetry.refused", batch=spooled.path.name, reason=str(error))
            self.refused_requests += spooled.requests
            self.spool.remove(spooled)
            return True
        except Exception as error:
            text = str(error) or type(error).__name__
            if text != self.error:
                log.warning("telemetry.not_delivered", reason=text, waiting=len(self.spool))
            self.error = text
            return False
        self.spool.remove(spooled)
        self.delivered += 1
        self.delivered_requests += spooled.requests
        self.error = ""
        return True
