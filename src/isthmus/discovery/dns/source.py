"""Discovery by DNS: a task per query, which asks again when the answer's TTL has passed.

What is made of an answer:
- records: the servers that they name. Of an SRV record, the addresses of its target; a target that cannot be resolved
  now keeps the addresses that it had.
- the name or its records do not exist: no servers, and the last good ones get a grace, since names are also taken away
  by mistake and come back.
- an SRV record with the target `.` (RFC 2782: decidedly no service): no servers, at once.
- no final answer: an error.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from isthmus.backoff import Backoff
from isthmus.discovery.dns.resolution import Resolution, ResolutionError, resolve, system_servers
from isthmus.discovery.found import MAX_WEIGHT, Answer, Found, failed, good
from isthmus.discovery.query import DnsQuery, Query
from isthmus.discovery.setting import DnsSettings, Server
from isthmus.discovery.source import Listen, Source

AT_ONCE = 64
"""Questions under way at a time: thousands of names must not look like an attack."""
MAX_TARGETS = 256
"""Names that the SRV records of one query may lead to."""
_ROOT = "."


@dataclass(slots=True)
class _Watched:
    """One query: its task, and the addresses that SRV targets had last."""

    task: asyncio.Task[None]
    targets: dict[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Round:
    """What one round of questions found, and for how many seconds that holds."""

    answer: Answer
    ttl: float


class DnsSource(Source):
    """See above and `Source`."""

    def __init__(
        self,
        settings: DnsSettings,
        listen: Listen,
        *,
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
        system: Callable[[], Sequence[Server]] = system_servers,
    ) -> None:
        self._settings = settings
        self._listen = listen
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - spreads load, keeps no secret
        self._system = system
        self._running = False
        self._queries: frozenset[DnsQuery] = frozenset()
        self._watched: dict[DnsQuery, _Watched] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def start(self) -> None:
        """See `Source`."""
        self._running = True
        self._reconcile()

    async def stop(self) -> None:
        """See `Source`."""
        self._running = False
        self._reconcile()
        await asyncio.gather(*self._ended, return_exceptions=True)

    def watch(self, queries: frozenset[Query]) -> None:
        """See `Source`."""
        self._queries = frozenset(each for each in queries if isinstance(each, DnsQuery))
        self._reconcile()

    def _reconcile(self) -> None:
        wanted = self._queries if self._running else frozenset()
        for query in self._watched.keys() - wanted:
            task = self._watched.pop(query).task
            task.cancel()
            self._ended.add(task)
            task.add_done_callback(self._ended.discard)
        for query in sorted(wanted - self._watched.keys()):
            self._watched[query] = _Watched(asyncio.get_running_loop().create_task(self._follow(query)))

    async def _follow(self, query: DnsQuery) -> None:
        backoff = Backoff(self._random, first=0.5, most=min(30.0, self._settings.max_ttl / 1000))
        while True:
            try:
                async with self._slots:
                    found = await self._ask(query)
            except ResolutionError as error:
                self._tell(query, failed(self._clock(), str(error)))
                wait = backoff.next_wait()
            else:
                self._tell(query, found.answer)
                backoff.reset()
                wait = self._bound(found.ttl) * self._random.uniform(1.0, 1.05)
            await asyncio.sleep(wait)

    def _tell(self, query: DnsQuery, answer: Answer) -> None:
        watched = self._watched.get(query)
        if watched is not None and watched.task is asyncio.current_task():
            self._listen(query, answer)

    def _bound(self, ttl: float) -> float:
        return min(max(ttl, self._settings.min_ttl / 1000), self._settings.max_ttl / 1000)

    async def _ask(self, query: DnsQuery) -> _Round:
        resolution = await self._resolve(query.name, query.record)
        if resolution.negative:
            grace = self._settings.keep_gone / 1000
            return _Round(Answer(self._clock(), (), f"{query.name}: {resolution.negative}", grace), resolution.ttl)
        if query.record == "SRV":
            return await self._services(query, resolution)
        found = {Found(_canonical(record.address), query.port) for record in resolution.records}
        return _Round(good(self._clock(), found), resolution.ttl)

    async def _services(self, query: DnsQuery, resolution: Resolution) -> _Round:
        """The servers of SRV records."""
        records = [record for record in resolution.records if record.target.to_text() != _ROOT]
        names = sorted({record.target.to_text(omit_final_dot=True).lower() for record in records})
        if len(names) > MAX_TARGETS:
            raise ResolutionError(f"{query.name} leads to {len(names)} names, more than {MAX_TARGETS}")
        watched = self._watched.get(query)
        known = watched.targets if watched is not None else {}
        ttl, problems, targets = resolution.ttl, [], {}
        outcomes = await asyncio.gather(*(self._addresses(name) for name in names))
        for name, (addresses, held, problem) in zip(names, outcomes, strict=True):
            targets[name] = known.get(name, frozenset()) if problem and not addresses else addresses
            if problem:
                problems.append(problem)
            else:
                ttl = min(ttl, held)
        if watched is not None:
            watched.targets = targets
        found = {each for record in records for each in _servers(record, targets)}
        if problems and not found:
            raise ResolutionError("; ".join(problems))
        if problems:
            ttl = min(ttl, 5.0)
        return _Round(good(self._clock(), found, "; ".join(problems)), ttl)

    async def _addresses(self, name: str) -> tuple[frozenset[str], float, str]:
        """Addresses of both families, for how long they hold, and what went wrong."""
        results = await asyncio.gather(self._resolve(name, "A"), self._resolve(name, "AAAA"), return_exceptions=True)
        found: set[str] = set()
        ttl, problems, negative = float("inf"), [], ""
        for result in results:
            if isinstance(result, Resolution):
                found.update(_canonical(record.address) for record in result.records)
                negative = result.negative or negative
                if result.records or not result.negative:
                    ttl = min(ttl, result.ttl)
            elif isinstance(result, ResolutionError):
                problems.append(f"{name}: {result}")
            else:
                raise result
        if not found and not problems:
            problems.append(f"{name}: {negative or 'it has no address'}")
        return frozenset(found), ttl, "; ".join(problems)

    async def _resolve(self, name: str, record: str) -> Resolution:
        servers = self._settings.servers or self._system()
        return await resolve(servers, name, record, self._settings.timeout / 1000)


def _servers(record: Any, targets: dict[str, frozenset[str]]) -> set[Found]:
    """The servers of one SRV record. Weight 0 asks for next to nothing, for which 1 is the least."""
    name = record.target.to_text(omit_final_dot=True).lower()
    if not record.port:
        return set()
    weight = min(MAX_WEIGHT, max(1, record.weight))
    return {Found(address, record.port, weight, (), True, record.priority) for address in targets[name]}


def _canonical(address: str) -> str:
    return str(ipaddress.ip_address(address))
