"""Keep a copy of one Kubernetes collection: list it, then watch it from there ("Efficient detection of changes").

1. List in pages. A page token that has expired (410 Gone) leads to one list without pages.
2. What the copy lacks or has too much is told as changes, so that a list after a gap costs what has changed.
3. Watch from the list's resource version, with bookmarks, which move the version on while nothing happens.
4. A watch that ends is taken up from the last version heard: at once if it had lived, else after a pause.
5. 410 Gone, as an answer or as an event, means that the version is too old: list again; after other error events, too.
6. Any other refusal is told as an error, and tried again with growing and jittered pauses; the copy stays.
"""

import asyncio
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Generic, TypeVar

import structlog

from isthmus.backoff import Backoff
from isthmus.discovery.error import RegistryError
from isthmus.discovery.kubernetes.api import Api, ApiError, StreamLost

T = TypeVar("T")

PAGE = 500
_SHORTEST, _LONGEST = 300, 600
_LIVED = 5.0
_GONE = 410
_GRACE = 30.0

log = structlog.get_logger()


class Informer(Generic[T]):
    """See above. `objects` is the copy, by name; it is whole once `synced`.

    Attributes:
        error: why the copy may be out of date; empty while the watch works.
        heard: when the API server last said that the copy is whole, Unix seconds.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        parse: Callable[[Mapping[str, Any]], T],
        changed: Callable[[str, T | None, T | None], None],
        told: Callable[[], None],
        *,
        clock: Callable[[], float],
        random: Random,
        selector: str = "",
    ) -> None:
        """`changed` hears the name, the object before and after; `told` hears of the attributes."""
        self.objects: dict[str, T] = {}
        self.synced = False
        self.error = ""
        self.heard = 0.0
        self._api = api
        self._path = path
        self._parse = parse
        self._changed = changed
        self._told = told
        self._clock = clock
        self._random = random
        self._selection = {"labelSelector": selector} if selector else {}
        self._backoff = Backoff(random)
        self._version = ""

    async def run(self) -> None:
        """Lists and watches for ever. Ends only by cancellation."""
        while True:
            wait = 0.0
            try:
                if not self._version:
                    self._version = await self._list()
                    self._hear()
                if not await self._watch():
                    wait = self._backoff.next_wait()
            except StreamLost as error:
                log.info("kubernetes.watch_lost", host=self._api.host, path=self._path, reason=str(error))
                wait = self._backoff.next_wait()
            except ApiError as error:
                if error.status == _GONE:  # of the watch's own answer, or of an event
                    self._version = ""
                    log.info("kubernetes.relist", host=self._api.host, path=self._path)
                    wait = self._backoff.next_wait()
                else:
                    wait = self._fail(str(error), error.retry_after)
            except RegistryError as error:
                wait = self._fail(str(error), error.retry_after)
            except Exception as error:  # an object that nobody foresaw: the next list may be without it
                log.exception("kubernetes.failed", host=self._api.host, path=self._path)
                self._version = ""
                wait = self._fail(f"{self._api.host}: {self._path} cannot be understood ({type(error).__name__})", 0.0)
            await asyncio.sleep(wait)

    def _fail(self, error: str, retry_after: float) -> float:
        wait = self._backoff.next_wait(retry_after)
        if error != self.error:
            log.warning("kubernetes.unavailable", path=self._path, reason=error, retry_in=round(wait, 3))
        self.error = error
        self._told()
        return wait

    def _hear(self) -> None:
        self.error = ""
        self.heard = self._clock()
        self._told()

    async def _list(self) -> str:
        try:
            found, version = await self._pages(PAGE)
        except ApiError as error:
            if error.status != _GONE:
                raise
            found, version = await self._pages(0)
        for name in self.objects.keys() - found.keys():
            self._put(name, None)
        for name, value in found.items():
            self._put(name, value)
        self.synced = True
        return version

    async def _pages(self, limit: int) -> tuple[dict[str, T], str]:
        found: dict[str, T] = {}
        parameters = {**self._selection, **({"limit": str(limit)} if limit else {})}
        while True:
            page = await self._api.request("GET", self._path, parameters)
            for item in page.get("items") or ():
                found[item["metadata"]["name"]] = self._parse(item)
            metadata = page["metadata"]
            if not metadata.get("continue"):
                return found, str(metadata["resourceVersion"])
            parameters["continue"] = metadata["continue"]

    async def _watch(self) -> bool:
        """Returns whether the watch has lived, so that the next may begin at once."""
        seconds = self._random.randint(_SHORTEST, _LONGEST)
        parameters = {
            **self._selection,
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        loop = asyncio.get_running_loop()
        began = loop.time()
        async for event in self._api.stream(self._path, parameters, seconds + _GRACE):
            if event is None:
                self._hear()
            else:
                self._take(event)
                self._backoff.reset()
        return loop.time() - began > _LIVED

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, item = event["type"], event["object"]
        match kind:
            case "ADDED" | "MODIFIED":
                self._put(item["metadata"]["name"], self._parse(item))
            case "DELETED":
                self._put(item["metadata"]["name"], None)
            case "ERROR":
                self._version = ""
                raise self._api.refusal(item, f"watch of {self._path}")
        if kind == "BOOKMARK":
            self._hear()
        self.heard = self._clock()
        self._version = str(item["metadata"]["resourceVersion"])

    def _put(self, name: str, value: T | None) -> None:
        before = self.objects.get(name)
        if value is None:
            self.objects.pop(name, None)
        elif value == before:
            return
        else:
            self.objects[name] = value
        if before is not None or value is not None:
            self._changed(name, before, value)
