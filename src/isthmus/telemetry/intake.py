"""Brings batches into the store, many at a time and each of them once.

An insert costs the store about the same for a hundred batches as for one. While one group of batches is inserted, those
that arrive wait; they are the next group. The messages of a group are on disk until all of it is in the store: if the
console ends in between, it inserts the same group again under the same tokens, and the store knows what it has. A batch
that comes again later, because its receipt was lost, is known by its name: the store keeps the newest ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from isthmus.telemetry.batch import BatchInvalid, parse_batch
from isthmus.telemetry.schema import REMEMBERED
from isthmus.telemetry.store import StoreUnavailable, TelemetryStore, Told

_SUFFIX = ".group"
_BATCHES, _BYTES, _HOURS = 256, 64 << 20, 90
"""Batches of one group at most, bytes of their rows in memory, and different hours that they are of: the store takes no
insert of more than 100."""
_WAITING = 512 << 20
"""Bytes in memory that wait for the store, beyond which no more are taken."""
_PATIENCE = 5
"""Times that the store may answer that it cannot take a group, before its batches go in one by one."""
_PARSING = 2
"""Messages that are unpacked at a time."""
_SHORTEST, _LONGEST = 0.1, 5.0
"""Seconds until a store that did not answer is asked again."""

log = structlog.get_logger()


class IntakeBusy(Exception):
    """Too much waits for the store already."""


@dataclass(slots=True)
class _Held:
    """A batch on its way, and who waits for its receipt."""

    told: Told
    body: bytes
    size: int
    hours: frozenset[int] = frozenset()
    waiting: list[asyncio.Future[str]] = field(default_factory=list)

    def answer(self, refusal: str) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_result(refusal)
        self.waiting.clear()

    def fail(self, error: Exception) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever asked may have gone away
        self.waiting.clear()


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    held: dict[str, _Held]
    apart: set[str] = field(default_factory=set)


class Intake:
    """`directory` is its own; `kept` hears of every group that is in the store, and is quick.

    `run` works until it is cancelled; `take` may be called once `recover` has returned.
    """

    def __init__(self, directory: Path, store: TelemetryStore, kept: Callable[[list[Told]], None]) -> None:
        self._directory = directory
        self._store = store
        self._kept = kept
        self._known: OrderedDict[str, None] = OrderedDict()
        self._next: OrderedDict[str, _Held] = OrderedDict()
        self._group: _Group | None = None
        self._bytes = 0
        self._tries = 0
        self._some = asyncio.Event()
        self._parsing = asyncio.Semaphore(_PARSING)

    async def recover(self) -> None:
        """Remember the newest batches of the store, and insert a group that an earlier process left.

        Raises StoreUnavailable, QueryRefused: call it again.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stale in self._directory.glob("*.part"):
            stale.unlink(missing_ok=True)
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            held = await asyncio.to_thread(_read, path)
            if held:
                log.info("telemetry.group_again", batches=len(held))
                try:
                    await self._keep(_Group(path.stem, {each.told.name: each for each in held}), self._tries)
                except StoreUnavailable as error:
                    self._tries += error.answered
                    raise
            path.unlink(missing_ok=True)
        for name in reversed(await self._store.remembered()):
            self._known[name] = None

    async def take(self, tenant: str, site: str, role: str, body: bytes) -> str:
        """Keep a batch that a site or region told. Why it will never be kept; empty when it is.

        Raises BatchInvalid, IntakeBusy, and StoreUnavailable: the batch is to come again then.
        """
        if self._bytes > _WAITING:
            raise IntakeBusy("The telemetry store is busy.")
        async with self._parsing:
            told, size, hours = await asyncio.to_thread(_parse, tenant, site, role, body)
        if told.name in self._known:
            return ""
        held = self._group.held.get(told.name) if self._group is not None else None
        held = held or self._next.get(told.name)
        if held is None:
            held = self._next[told.name] = _Held(told, body, size, hours)
            self._bytes += size
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        held.waiting.append(future)
        self._some.set()
        return await future

    async def run(self) -> None:
        """Insert groups, one after the other."""
        wait, tries = _SHORTEST, 0
        while True:
            if self._group is None:
                self._group, tries = await self._gather(), 0
            try:
                refused = await self._keep(self._group, tries)
            except StoreUnavailable as error:
                tries += error.answered
                self._fail(error)
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST)
                continue
            except Exception as error:  # tried again it would fail again, and hold up all that waits behind it
                log.exception("telemetry.not_kept", batches=len(self._group.held))
                refused = dict.fromkeys(self._group.held, f"The batch cannot be kept: {type(error).__name__}.")
            wait = _SHORTEST
            self._end(self._group, refused)
            self._group = None

    async def _keep(self, group: _Group, tries: int) -> dict[str, str]:
        """Insert a group whose insert the store has refused so many times for want of something."""
        told = [each.told for each in group.held.values()]
        impatient = tries >= _PATIENCE
        if impatient:
            group.apart.update(table for each in told for table in each.frames)
        return await self._store.keep(group.name, told, group.apart, patient=not impatient)

    def _fail(self, error: StoreUnavailable) -> None:
        """Tell all who wait. The group is tried again; what is in none yet has to come again."""
        for held in (*(self._group.held.values() if self._group is not None else ()), *self._next.values()):
            held.fail(error)
        self._bytes -= sum(held.size for held in self._next.values())
        self._next.clear()

    async def _gather(self) -> _Group:
        """The next group, on disk."""
        while not self._next:
            self._some.clear()
            await self._some.wait()
        held: dict[str, _Held] = {}
        size, hours = 0, frozenset[int]()
        while self._next and len(held) < _BATCHES and size < _BYTES:
            name, each = next(iter(self._next.items()))
            if held and len(hours | each.hours) > _HOURS:
                break
            held[name] = self._next.pop(name)
            size, hours = size + each.size, hours | each.hours
        group = _Group(uuid.uuid4().hex, held)
        self._group = group  # what comes again while it is written belongs to it
        try:
            await asyncio.to_thread(_write, self._path(group), held.values())
        except OSError as error:  # without the file, a crash at the wrong moment could count its batches twice
            log.warning("telemetry.group_not_written", reason=str(error))
        return group

    def _end(self, group: _Group, refused: dict[str, str]) -> None:
        kept = [each.told for name, each in group.held.items() if name not in refused]
        for name, reason in refused.items():
            log.warning("telemetry.refused", batch=name, reason=reason)
        for told in kept:
            self._known[told.name] = None
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        self._path(group).unlink(missing_ok=True)
        for name, held in group.held.items():
            self._bytes -= held.size
            held.answer(refused.get(name, ""))
        self._kept(kept)

    def _path(self, group: _Group) -> Path:
        return self._directory / f"{group.name}{_SUFFIX}"


def _parse(tenant: str, site: str, role: str, body: bytes) -> tuple[Told, int, frozenset[int]]:
    told = Told(tenant, site, role, parse_batch(body, time.time()))
    return told, len(body) + told.size, told.hours


def _write(path: Path, held: Iterable[_Held]) -> None:
    """A line of JSON that says whose each message is and how long, then the messages."""
    whole = list(held)
    head = [[each.told.tenant, each.told.site, each.told.role, len(each.body)] for each in whole]
    part = path.with_suffix(".part")
    with open(part, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(json.dumps(head).encode() + b"\n")
        for each in whole:
            file.write(each.body)
    part.rename(path)


def _read(path: Path) -> list[_Held]:
    """What `_write` wrote; nothing of a file that is damaged: its batches will come again."""
    found = []
    try:
        with path.open("rb") as file:
            for tenant, site, role, size in json.loads(file.readline()):
                body = file.read(size)
                told, held, hours = _parse(tenant, site, role, body)
                found.append(_Held(told, body, held, hours))
    except (OSError, ValueError, TypeError, BatchInvalid) as error:
        log.error("telemetry.group_damaged", path=str(path), reason=str(error))
        return []
    return found
