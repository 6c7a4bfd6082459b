"""Events on disk, so that a console that starts again knows what happened before."""

import asyncio
import time

import structlog

from isthmus.console.database import StoreError
from isthmus.console.deployment import Deployment
from isthmus.console.record import Event
from isthmus.console.store import Store
from isthmus.console.watch import KEPT, Watch

INTERVAL = 1.0
"""Seconds between writes: what happened since is lost when the process is killed."""
MOST = 100_000
"""Events that are kept; the oldest are dropped first."""
LONGEST = 30 * 86_400.0
"""Seconds that an event is kept."""

log = structlog.get_logger()


class EventLog:
    """`load`, then `run` until cancelled, then `flush`."""

    def __init__(self, deployment: Deployment, store: Store, watch: Watch) -> None:
        self._deployment = deployment
        self._store = store
        self._watch = watch
        self._turn = asyncio.Lock()

    async def load(self) -> None:
        """Go on from what was kept. Raises StoreError."""
        self._watch.load(await self._deployment.call(self._store.events, KEPT))

    async def run(self) -> None:
        """Write what happens, for ever."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.flush()
            except StoreError as error:
                log.error("event.not_kept", reason=str(error))

    async def flush(self) -> None:
        """Write what has happened. Raises StoreError: it is tried again the next time."""
        async with self._turn:
            fresh = self._watch.unsaved()
            if fresh:
                oldest, before = fresh[-1].number - MOST + 1, time.time() - LONGEST
                await self._deployment.call(self._store.add_events, fresh, oldest, before)
                self._watch.saved(fresh[-1].number)

    async def page(self, limit: int, before: int | None, subject: str, level: str, text: str) -> list[Event]:
        """What happened, newest first, as `Store.events` selects it. Raises StoreError."""
        await self.flush()
        return await self._deployment.call(self._store.events, limit, before, subject, level, text)
