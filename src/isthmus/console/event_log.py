"""Events on disk, so that a console that starts again knows what happened before."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

import structlog

from isthmus.console.database import StoreError
from isthmus.console.deployment import Deployment
from isthmus.console.recent import KEPT, Part, find_parts
from isthmus.console.record import Event
from isthmus.console.store import Store
from isthmus.console.watch import Watch

INTERVAL = 1.0
"""Seconds between writes: what happened since is lost when the process is killed."""
MOST = 100_000
"""Events that are kept; the oldest are dropped first."""
PARTS: dict[Part, int] = {"subject": 10_000, "namespace": 20_000}
"""The same of one site or region, and of one namespace, and at most a tenth more."""
LONGEST = 30 * 86_400.0
"""Seconds that an event is kept."""
_COUNTED = 20_000
"""Parts that are counted: a site can invent namespaces, and has had its own part looked at long before so many."""

log = structlog.get_logger()


class EventLog:
    """`load`, then `run` until cancelled, then `flush`.

    Attributes:
        dropped: events that were forgotten before their time since this console started: there were too many of a site
            or a namespace, or too many at once.
    """

    def __init__(self, deployment: Deployment, store: Store, watch: Watch) -> None:
        self._deployment = deployment
        self._store = store
        self._watch = watch
        self._turn = asyncio.Lock()
        self._written: Counter[tuple[Part, str]] = Counter()
        self.dropped = 0

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
                await self._trim(fresh)
            lost, self._watch.lost = self._watch.lost, Counter()
            for subject, count in lost.items():
                self.dropped += count
                log.warning("event.lost", subject=subject, events=count)

    async def _trim(self, fresh: Iterable[Event]) -> None:
        """Keep the parts. Looked at only once a tenth of one was written: few have so many."""
        if len(self._written) > _COUNTED:
            self._written.clear()
        self._written.update(part for event in fresh for part in find_parts(event))
        for (kind, name), count in list(self._written.items()):
            most = PARTS[kind]
            if count >= most // 10:
                del self._written[kind, name]
                gone = await self._deployment.call(self._store.trim_events, kind, name, most)
                self.dropped += gone
                if gone:
                    log.warning("event.forgotten", of=name, events=gone)

    async def page(self, limit: int, before: int | None, subject: str, level: str, text: str) -> list[Event]:
        """What happened, newest first, as `Store.events` selects it. Raises StoreError."""
        await self.flush()
        return await self._deployment.call(self._store.events, limit, before, subject, level, text)
