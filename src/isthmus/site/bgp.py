"""The site's health routes: its BGP speaker, and the tunnels to its regions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import structlog

from isthmus.emit.gobgp.address import region_address
from isthmus.engine.gobgp.process import GobgpError
from isthmus.engine.gobgp.speaker import Speaker
from isthmus.engine.gobgp.tunnel import Target, TunnelDialler
from isthmus.health.announcer import AnnouncementPlan
from isthmus.health.codec import RouteSpace
from isthmus.health.event import Event
from isthmus.health.route import EndpointRoute
from isthmus.identity import CredentialDirectory
from isthmus.site.report import EngineState
from isthmus.site.task import Tasks

_RETRY = 10.0
_SNAPSHOT = 0.05

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Region:
    """A region as the site's sessions need it. `number` is the one that the console gave it."""

    name: str
    number: int
    target: Target


class HealthRoutes:
    """`hear` gets every event; `state` is kept current. Without gobgpd the site works on with what it knows."""

    def __init__(
        self,
        directory: Path,
        trust_domain: str,
        site: int,
        credentials: CredentialDirectory,
        hear: Callable[[Event], None],
        state: EngineState,
    ) -> None:
        self.site = site
        self._speaker = Speaker(directory, RouteSpace.of(trust_domain), site)
        self._credentials = credentials
        self._hear = hear
        self._state = state
        self._regions: dict[str, Region] = {}
        self._tunnels: dict[str, tuple[Region, asyncio.Task[None]]] = {}
        self._plans: asyncio.Queue[AnnouncementPlan] = asyncio.Queue()
        self._tasks = Tasks()

    async def start(self) -> tuple[EndpointRoute, ...]:
        """Start or adopt gobgpd and take in what it knows. Returns what it announces for this site already."""
        routes: tuple[EndpointRoute, ...] = ()
        try:
            routes = await self._start()
        except (GobgpError, OSError) as error:
            self._failed(error)
            self._tasks.spawn(self._retry())
        with contextlib.suppress(TimeoutError):  # what an adopted speaker knows is in its queue already
            async with asyncio.timeout(_SNAPSHOT):
                for event in await self._speaker.receive():
                    self._hear(event)
        self._tasks.spawn(self._listen())
        self._tasks.spawn(self._talk())
        return routes

    async def set_regions(self, regions: Collection[Region]) -> None:
        """Hold sessions with these regions, and with no others."""
        wanted = {region.name: region for region in regions}
        self._regions = wanted
        for name, (region, task) in list(self._tunnels.items()):
            if wanted.get(name) != region:
                task.cancel()
                del self._tunnels[name]
        await self._speaker.set_regions({region.name: region.number for region in regions})
        for name, region in wanted.items():
            if name not in self._tunnels:
                self._tunnels[name] = (region, asyncio.create_task(self._dialler(region).run()))

    async def set_clusters(self, clusters: Collection[int]) -> None:
        """Hear of the endpoints of these clusters."""
        await self._speaker.set_clusters(clusters)

    def say(self, plan: AnnouncementPlan) -> None:
        """Announce and withdraw, in the order of the calls."""
        self._plans.put_nowait(plan)

    async def flush(self) -> None:
        """Wait until everything said so far was told to gobgpd."""
        await self._plans.join()

    def refresh(self) -> None:
        """Bring the process's facts in `state` up to date."""
        self._state.pid = self._speaker.pid
        self._state.restarts = self._speaker.restarts
        if self._state.state != "failed":
            self._state.state = "running" if self._speaker.door is not None else "down"

    async def end(self, *, engine: bool) -> None:
        """Let go of gobgpd, or stop it."""
        tunnels = [task for _, task in self._tunnels.values()]
        for task in tunnels:
            task.cancel()
        await asyncio.gather(self._tasks.end(), *tunnels, return_exceptions=True)
        await (self._speaker.stop() if engine else self._speaker.detach())

    def _dialler(self, region: Region) -> TunnelDialler:
        return TunnelDialler(
            lambda: region.target,
            self._credentials.client_context,
            lambda: self._speaker.door,
            region_address(region.number),
        )

    async def _start(self) -> tuple[EndpointRoute, ...]:
        routes = await self._speaker.start()
        self._state.state = "running"
        self._state.error = ""
        return routes

    def _failed(self, error: Exception) -> None:
        self._state.state, self._state.error = "failed", str(error)
        log.error("bgp.failed", error=str(error))

    async def _retry(self) -> None:
        while self._state.state == "failed":
            await asyncio.sleep(_RETRY)
            try:
                await self._start()
            except (GobgpError, OSError) as error:
                self._failed(error)

    async def _listen(self) -> None:
        while True:
            for event in await self._speaker.receive():
                try:
                    self._hear(event)
                except Exception:  # one event that cannot be dealt with must not end all that follow
                    log.exception("bgp.event_failed", event=repr(event))

    async def _talk(self) -> None:
        while True:
            plan = await self._plans.get()
            try:
                await self._speaker.apply(plan)
            except Exception:  # the speaker keeps what is wanted, and tells it to the next gobgpd
                log.exception("bgp.announcement_failed")
            finally:
                self._plans.task_done()
