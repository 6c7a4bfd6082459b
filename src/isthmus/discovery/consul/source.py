"""Discovery in Consul: one blocking query per question ("Blocking Queries" of its API).

1. Ask without an index, then each time with the index of the last answer: Consul holds the answer back until something
   changes, or `wait` is over.
2. An index that went backwards (a restored snapshot) starts anew without one; an index below 1 is taken as 1.
3. Answers that follow each other faster than a second are slowed down: each holds all instances.
4. What fails is asked again with growing and jittered pauses; the last answer stays in use.
5. An empty answer out of which ACLs have filtered something is an error: the token may not see the service.
"""

import asyncio
import time
from collections.abc import Callable
from random import Random
from urllib.parse import quote

import structlog

from isthmus.backoff import Backoff
from isthmus.discovery.consul.api import Api, Reading
from isthmus.discovery.consul.instance import Instances
from isthmus.discovery.error import RegistryError, SettingError
from isthmus.discovery.found import Answer, failed
from isthmus.discovery.query import ConsulQuery, Query
from isthmus.discovery.setting import ConsulSettings
from isthmus.discovery.source import Listen, Source

_WAIT = 300
_SILENT = _WAIT + _WAIT / 16 + 30
"""Consul adds up to a sixteenth to `wait`."""
_BURST = 10
_RATE = 1.0

log = structlog.get_logger()


class ConsulSource(Source):
    """See above and `Source`. `token` and `client_key` are the contents of the secrets that the settings name."""

    def __init__(
        self,
        settings: ConsulSettings,
        listen: Listen,
        *,
        token: str = "",
        client_key: str = "",
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        self._settings = settings
        self._token = token
        self._client_key = client_key
        self._listen = listen
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - spreads load, keeps no secret
        self._api: Api | None = None
        self._running = False
        self._queries: frozenset[ConsulQuery] = frozenset()
        self._tasks: dict[ConsulQuery, asyncio.Task[None]] = {}
        self._ended: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """See `Source`."""
        self._running = True
        self._reconcile()

    async def stop(self) -> None:
        """See `Source`."""
        self._running = False
        self._queries = frozenset()
        self._reconcile()
        await asyncio.gather(*self._ended, return_exceptions=True)
        if self._api is not None:
            await self._api.close()
            self._api = None

    def watch(self, queries: frozenset[Query]) -> None:
        """See `Source`."""
        self._queries = frozenset(each for each in queries if isinstance(each, ConsulQuery))
        if self._running:
            self._reconcile()

    def _reconcile(self) -> None:
        for query in self._tasks.keys() - self._queries:
            task = self._tasks.pop(query)
            task.cancel()
            self._ended.add(task)
            task.add_done_callback(self._ended.discard)
        for query in sorted(self._queries - self._tasks.keys()):
            self._tasks[query] = asyncio.get_running_loop().create_task(self._follow(query))

    async def _follow(self, query: ConsulQuery) -> None:
        try:
            if self._api is None:
                self._api = Api(self._settings, self._token, self._client_key)
        except SettingError as error:
            self._tell(query, failed(self._clock(), str(error)))
            return
        backoff, pace = Backoff(self._random), _Pace(asyncio.get_running_loop().time)
        index, said, instances = 0, "", Instances()
        while True:
            try:
                reading = await self._ask(self._api, query, index)
                if not index:  # a restored Consul may count anew
                    instances = Instances()
                self._tell(query, _answer(query, reading, instances, self._clock(), self._api.host))
                index = 0 if reading.index < index else max(reading.index, 1)
                said = ""
                backoff.reset()
                wait = pace.wait()
            except RegistryError as error:
                wait = backoff.next_wait(error.retry_after)
                if str(error) != said:
                    log.warning("consul.unavailable", query=str(query), reason=str(error), retry_in=round(wait, 3))
                said, index = str(error), 0
                self._tell(query, failed(self._clock(), said))
            except Exception as error:  # an answer that nobody foresaw: the next may be better
                log.exception("consul.failed", query=str(query))
                wait, index = backoff.next_wait(), 0
                self._tell(query, failed(self._clock(), f"{self._api.host} is not understood ({type(error).__name__})"))
            await asyncio.sleep(wait)

    def _tell(self, query: ConsulQuery, answer: Answer) -> None:
        task = self._tasks.get(query)
        if task is not None and task is asyncio.current_task():
            self._listen(query, answer)

    async def _ask(self, api: Api, query: ConsulQuery, index: int) -> Reading:
        parameters = [("tag", tag) for tag in query.tags]
        scope = (
            ("dc", query.datacenter or self._settings.datacenter),
            ("ns", query.namespace or self._settings.namespace),
            ("partition", self._settings.partition),
        )
        parameters += [(key, value) for key, value in scope if value]
        if index:
            parameters += [("index", str(index)), ("wait", f"{_WAIT}s")]
        path = f"/v1/health/service/{quote(query.service, safe='')}"
        return await api.get(path, parameters, _SILENT if index else 30.0)


def _answer(query: ConsulQuery, reading: Reading, instances: Instances, now: float, host: str) -> Answer:
    if not isinstance(reading.content, list):
        raise RegistryError(f"{host} answers with something that is no list; check its URL")
    if reading.filtered and not reading.content:
        raise RegistryError(
            f"{host} hides {query.service} from this ACL token; grant it service:read and node:read on what it looks up"
        )
    instances.take(reading.content)
    found, odd = instances.found, instances.odd
    warning = f"{odd} of {len(reading.content)} instances have no IP address and port, and are left out" if odd else ""
    if reading.filtered:
        warning = "; ".join(filter(None, (warning, "some instances are hidden from this ACL token")))
    if odd and not found:
        raise RegistryError(f"{query.service}: {warning}")
    return Answer(now, found, warning)


class _Pace:
    """A bucket of `_BURST` answers that fills by `_RATE` a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left = float(_BURST)
        self._at = clock()

    def wait(self) -> float:
        """Seconds to wait after one more answer."""
        now = self._clock()
        self._left = min(_BURST, self._left + (now - self._at) * _RATE) - 1
        self._at = now
        return max(0.0, -self._left / _RATE)
