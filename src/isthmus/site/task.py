"""What runs beside what asked for it: tasks that end together, work that is tried again, and single calls to come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import structlog

from isthmus.backoff import Backoff

log = structlog.get_logger()


class Tasks:
    """Tasks of one owner. One that fails is logged; the others go on."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: asyncio._CoroutineLike[None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def end(self) -> None:
        """Cancel all and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("site.task_failed", exc_info=task.exception())


async def persevere(work: Callable[[], Awaitable[None]], backoff: Backoff | None = None) -> None:
    """Do something from the beginning again, after a while, until it ends without an exception. Each one is logged."""
    backoff = backoff or Backoff(Random())  # noqa: S311 - spreads tries, guards nothing
    while True:
        try:
            return await work()
        except Exception:
            wait = backoff.next_wait()
            log.exception("site.tried_again", seconds=round(wait, 3))
            await asyncio.sleep(wait)


class Alarm:
    """At most one call to come, of the same thing always."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> bool:
        return self._timer is not None

    def set(self, seconds: float) -> None:
        """Call after so many seconds, and not when it was to be called before."""
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._ring)

    def cancel(self) -> None:
        """Do not call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self._act()
