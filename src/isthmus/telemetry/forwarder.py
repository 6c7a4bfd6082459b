"""Takes batches from a spool upwards, the oldest first, for ever."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from isthmus.telemetry.batch import BatchInvalid
from isthmus.telemetry.spool import Spooled

_SHORTEST, _LONGEST = 0.2, 10.0
log = structlog.get_logger()


class Waiting(Protocol):
    """Where batches wait: a spool."""

    def __len__(self) -> int: ...

    def lend(self) -> tuple[Spooled, bytes] | None:
        """The oldest batch that is not lent already; None when there is none."""
        ...

    def give_back(self, spooled: Spooled) -> None:
        """It is on its way no more."""
        ...

    def remove(self, spooled: Spooled) -> None:
        """It was delivered."""
        ...


class Forwarder:
    """`deliver` returns once somebody above keeps the batch. It raises BatchInvalid for one that nobody will ever take,
    which is dropped and counted, and anything else for one to be tried again. Up to `abreast` are under way at a time.

    Attributes:
        delivered, delivered_requests: batches, and what they tell of, since this object was made.
        refused_requests: requests of batches that were refused for good.
        error: why the last try failed; empty when it did not.
        error_since: Unix time since when tries have failed; None: the last did not.
    """

    def __init__(self, spool: Waiting, deliver: Callable[[bytes], Awaitable[None]], abreast: int = 1) -> None:
        self.spool = spool
        self._deliver = deliver
        self._abreast = abreast
        self._some = asyncio.Event()
        self._up = asyncio.Event()
        self._wait = 0.0
        self._next_try = 0.0
        self.delivered = 0
        self.delivered_requests = 0
        self.refused_requests = 0
        self.error = ""
        self.error_since: float | None = None

    def arrived(self) -> None:
        """There is a batch."""
        self._some.set()

    def wake(self) -> None:
        """There may be a way up again: what was put off is tried now."""
        self._next_try = 0.0
        self._up.set()
        self._some.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._abreast):
                group.create_task(self._carry())

    async def _carry(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while (left := self._next_try - loop.time()) > 0:  # all wait together, whatever arrives
                self._up.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._up.wait()
            spooled = self.spool.lend()
            if spooled is None:
                self._some.clear()
                await self._some.wait()
                continue
            first, body = spooled
            try:
                await self._try(first, body)
            finally:
                self.spool.give_back(first)

    async def _try(self, spooled: Spooled, body: bytes) -> None:
        try:
            await self._deliver(body)
        except BatchInvalid as error:
            log.error("telemetry.refused", batch=spooled.name, reason=str(error))
            self.refused_requests += spooled.requests
            self.spool.remove(spooled)
        except asyncio.CancelledError as error:  # of a call whose connection was given up, or of this task itself
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._put_off(error)
        except Exception as error:
            self._put_off(error)
        else:
            self.spool.remove(spooled)
            self.delivered += 1
            self.delivered_requests += spooled.requests
            self.error, self.error_since, self._wait = "", None, 0.0

    def _put_off(self, error: BaseException) -> None:
        text = str(error) or type(error).__name__
        if text != self.error:
            log.warning("telemetry.not_delivered", reason=text, waiting=len(self.spool))
        self.error = text
        self.error_since = time.time() if self.error_since is None else self.error_since
        now = asyncio.get_running_loop().time()
        if now >= self._next_try:  # once for all that fail together
            self._wait = min(max(2 * self._wait, _SHORTEST), _LONGEST)
            self._next_try = now + self._wait
