"""Takes batches from a spool upwards, one at a time and in order, for ever."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from isthmus.telemetry.batch import BatchInvalid
from isthmus.telemetry.spool import Spool

_SHORTEST, _LONGEST = 0.2, 10.0
log = structlog.get_logger()


class Forwarder:
    """`deliver` returns once somebody above keeps the batch. It raises BatchInvalid for one that nobody will ever take,
    which is dropped and counted, and anything else for one to be tried again.

    Attributes:
        delivered, delivered_requests: batches, and what they tell of, since this object was made.
        refused_requests: requests of batches that were refused for good.
        error: why the last try failed; empty when it did not.
    """

    def __init__(self, spool: Spool, deliver: Callable[[bytes], Awaitable[None]]) -> None:
        self.spool = spool
        self._deliver = deliver
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
        wait = _SHORTEST
        while True:
            spooled = self.spool.oldest()
            if spooled is None:
                self._some.clear()
                await self._some.wait()
                continue
            first, body = spooled
            try:
                await self._deliver(body)
            except BatchInvalid as error:
                log.error("telemetry.refused", batch=first.path.name, reason=str(error))
                self.refused_requests += first.requests
                self.spool.remove(first)
                continue
            except Exception as error:
                text = str(error) or type(error).__name__
                if text != self.error:
                    log.warning("telemetry.not_delivered", reason=text, waiting=len(self.spool))
                self.error = text
                self._some.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._some.wait()
                wait = min(2 * wait, _LONGEST)
                continue
            self.spool.remove(first)
            self.delivered += 1
            self.delivered_requests += first.requests
            self.error, wait = "", _SHORTEST
