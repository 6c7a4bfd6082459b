"""Service discovery at this site: runs a source and publishers per registry, and keeps what sources last said.

What changes comes in bursts when an application is rolled out, so the site is compiled anew at once for the first
change, and then not more than once per `REST` seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import structlog

from isthmus.compile.intent import Registry
from isthmus.discovery.dns.limit import Verdict
from isthmus.discovery.dns.responder import Responder
from isthmus.discovery.found import Answer, Found, failed
from isthmus.discovery.ledger import Entry, Ledger, Lookup
from isthmus.discovery.method import make_publishers, make_source, publisher_secrets, source_secrets
from isthmus.discovery.publisher import Publisher
from isthmus.discovery.query import Query
from isthmus.discovery.record import VipRecord
from isthmus.discovery.source import Source
from isthmus.model.key import ObjectKey

GATHER, REST = 0.05, 1.0
"""Seconds: from the first changed answer to the compilation with it, and from one compilation to the next."""
SAVE, CONFIRM = 2.0, 30.0
"""Seconds between writes of the last good answers: when servers have changed, and when only their age has."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Running:
    """What runs for one registry. `unasked`, `untold`: the secret without which it cannot be asked or told."""

    registry: Registry
    secrets: Mapping[ObjectKey, str]
    unasked: ObjectKey | None
    untold: ObjectKey | None
    source: Source | None = None
    publishers: tuple[Publisher, ...] = ()
    published: dict[VipRecord, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PublishedRecord:
    """A record and what became of it: None while that is not known."""

    registry: ObjectKey | None
    record: VipRecord
    error: str | None


class Discovery:
    """`secret` gives the value of a Secret; `changed` hears that `take` has something; `told` that the status differs;
    `save` stores the last good answers."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        secret: Callable[[ObjectKey], str | None],
        changed: Callable[[], None],
        told: Callable[[], None],
        save: Callable[[bytes], None],
    ) -> None:
        self._ledger = ledger
        self._secret = secret
        self._changed = changed
        self._told = told
        self._save = save
        self._responder = Responder()
        self._registries: tuple[Registry, ...] = ()
        self._running: dict[ObjectKey | None, _Running] = {}
        self._pending: dict[Lookup, tuple[Found, ...] | None] = {
            lookup: entry.found for lookup, entry in ledger.entries.items()
        }
        self._reconcile = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._rested = 0.0
        self._unsaved = 0.0
        self._saved = 0.0

    # ---- life

    def start(self) -> None:
        """Begin. Nothing runs before `use`."""
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._keep())]

    async def stop(self, *, withdraw: bool) -> None:
        """End every source and publisher; with `withdraw`, what is published is taken back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for timer in (self._timer, self._expiry):
            if timer is not None:
                timer.cancel()
        await asyncio.gather(*(self._end(each, withdraw=withdraw) for each in self._running.values()))
        self._running.clear()
        await self._responder.stop()
        self._save(self._ledger.emit())

    # ---- what to do

    def use(self, registries: tuple[Registry, ...]) -> None:
        """Run these registries from now on. Equal ones go on as they are; secrets are looked up again."""
        self._registries = registries
        lookups = [Lookup(each.key, query) for each in registries for query in each.queries]
        for lookup in self._ledger.retain(lookups):
            self._pending[lookup] = None
        self._reconcile.set()

    def take(self) -> Mapping[Lookup, tuple[Found, ...] | None]:
        """What the compiler has not been told yet."""
        pending, self._pending = self._pending, {}
        return pending

    # ---- what came of it

    @property
    def verdicts(self) -> Mapping[Verdict, int]:
        """Questions to this site's DNS server over UDP, by what they got."""
        return self._responder.verdicts

    def entries(self) -> Mapping[Lookup, Entry]:
        """What is known of every lookup."""
        return self._ledger.entries

    def registries(self) -> tuple[Registry, ...]:
        """What is asked and published where."""
        return self._registries

    def published(self) -> list[PublishedRecord]:
        """Every record that is to be published."""
        return [
            PublishedRecord(registry.key, record, self._state(registry.key, record))
            for registry in self._registries
            for record in registry.records
        ]

    def _state(self, key: ObjectKey | None, record: VipRecord) -> str | None:
        running = self._running.get(key)
        if running is not None and running.untold is not None:
            return _missing(running.untold)
        return running.published.get(record) if running is not None else None

    # ---- registries

    async def _run(self) -> None:
        while True:
            await self._reconcile.wait()
            self._reconcile.clear()
            wanted = {each.key: each for each in self._registries}
            for key in [key for key in self._running if key not in wanted]:
                await self._end(self._running.pop(key), withdraw=True)
            for key, registry in wanted.items():
                try:
                    await self._bring(key, registry)
                except Exception:  # whatever is wrong with one registry, the others go on
                    log.exception("discovery.registry_failed", registry=str(key or ""))
            self._told()

    async def _bring(self, key: ObjectKey | None, registry: Registry) -> None:
        running = self._running.get(key)
        names = {*source_secrets(registry.settings), *publisher_secrets(registry.settings)}
        values = {name: self._secret(name) for name in names}
        secrets = {name: value for name, value in values.items() if value is not None}
        if running is None or running.registry.settings != registry.settings or running.secrets != secrets:
            if running is not None:
                await self._end(running, withdraw=running.registry.settings != registry.settings)
            running = self._running[key] = self._make(registry, secrets)
            await self._begin(running)
        running.registry = registry
        if running.unasked is not None:
            for query in registry.queries:
                self._hear(key, query, failed(time.time(), _missing(running.unasked)))
        if running.source is not None:
            running.source.watch(frozenset(registry.queries))
        running.published = {record: text for record, text in running.published.items() if record in registry.records}
        for publisher in running.publishers:
            publisher.publish(frozenset(registry.records))

    def _make(self, registry: Registry, secrets: Mapping[ObjectKey, str]) -> _Running:
        settings = registry.settings
        unasked = next((name for name in source_secrets(settings) if name not in secrets), None)
        untold = next((name for name in publisher_secrets(settings) if name not in secrets), None)
        running = _Running(registry, secrets, unasked, untold)
        if unasked is None:
            running.source = make_source(settings, secrets, partial(self._hear, registry.key))
        if untold is None:
            running.publishers = make_publishers(settings, secrets, partial(self._report, running), self._responder)
        return running

    async def _begin(self, running: _Running) -> None:
        if running.source is not None:
            await running.source.start()
        for publisher in running.publishers:
            await publisher.start()

    async def _end(self, running: _Running, *, withdraw: bool) -> None:
        """One that cannot be ended in order is left: the agent has to go on, or to end itself."""
        try:
            for publisher in running.publishers:
                await publisher.stop(withdraw=withdraw)
            if running.source is not None:
                await running.source.stop()
        except Exception:
            log.exception("discovery.registry_not_ended", registry=str(running.registry.key or ""))

    def _report(self, running: _Running, record: VipRecord, error: str) -> None:
        if running.published.get(record) != error:
            running.published[record] = error
            if error:
                log.warning("discovery.not_published", domain=record.domain, error=error)
            self._told()

    # ---- answers

    def _hear(self, registry: ObjectKey | None, query: Query, answer: Answer) -> None:
        lookup = Lookup(registry, query)
        before = self._ledger.entries.get(lookup)
        changed = self._ledger.hear(lookup, answer)
        after = self._ledger.entries.get(lookup)
        if after is None or after == before:
            return
        if after.error and (before is None or before.error != after.error):
            log.warning("discovery.failed", registry=str(registry or ""), query=str(query), error=after.error)
        self._unsaved = self._unsaved or time.monotonic()
        if changed:
            self._put(lookup, after.found)
        self._watch_grace()
        if changed or before is None or before.error != after.error:
            self._told()

    def _put(self, lookup: Lookup, found: tuple[Found, ...]) -> None:
        self._pending[lookup] = found
        self._saved = 0.0
        if self._timer is None:
            delay = max(GATHER, self._rested - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._flush)

    def _flush(self) -> None:
        self._timer = None
        self._rested = time.monotonic() + REST
        self._changed()

    def _watch_grace(self) -> None:
        due = self._ledger.due()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if due is not None:
            delay = max(0.0, due - time.time()) + 0.001
            self._expiry = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        for lookup in self._ledger.expire(time.time()):
            self._put(lookup, ())
            self._told()
        self._watch_grace()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(SAVE)
            if self._unsaved and time.monotonic() - self._saved > CONFIRM:
                self._unsaved = 0.0
                self._saved = time.monotonic()
                try:
                    await asyncio.to_thread(self._save, self._ledger.emit())
                except OSError as error:
                    log.error("discovery.not_saved", error=str(error))


def _missing(key: ObjectKey) -> str:
    return f"{key.title} is not known at this site"
