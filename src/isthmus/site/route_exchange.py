"""The exchange of health routes of a site that may not have its number yet, or get another one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import structlog

from isthmus.health.announcer import AnnouncementPlan
from isthmus.health.event import Event
from isthmus.health.route import EndpointRoute
from isthmus.identity import CredentialDirectory
from isthmus.site.bgp import HealthRoutes, Region
from isthmus.site.report import EngineState

log = structlog.get_logger()


class RouteExchange:
    """Without a number nothing is exchanged, and whatever is asked for has no effect. Arguments as of HealthRoutes."""

    def __init__(
        self,
        directory: Path,
        trust_domain: str,
        credentials: CredentialDirectory,
        hear: Callable[[Event], None],
        state: EngineState,
    ) -> None:

        def make(number: int) -> HealthRoutes:
            return HealthRoutes(directory, trust_domain, number, credentials, hear, state)

        self._make = make
        self._routes: HealthRoutes | None = None

    @property
    def begun(self) -> bool:
        """Whether the site has its number, and a speaker."""
        return self._routes is not None

    async def connect(self, number: int, regions: Collection[Region]) -> tuple[EndpointRoute, ...] | None:
        """Start the BGP speaker once the number is known, and hold sessions with these regions.

        Returns what a speaker that was started or adopted now announces already; None when there was one before.
        """
        if number and (self._routes is None or self._routes.site != number):
            if self._routes is not None:
                await self._routes.end(engine=True)
            self._routes = self._make(number)
            await self._routes.set_regions(regions)  # first: what an adopted speaker knows is told by region
            return await self._routes.start()
        if self._routes is not None:
            if not number:
                log.warning("site.deleted", note="the Site object is gone: the configuration stays, no region is left")
            await self._routes.set_regions(regions)
        return None

    async def set_clusters(self, clusters: Collection[int]) -> None:
        """Hear of the endpoints of these clusters."""
        if self._routes is not None:
            await self._routes.set_clusters(clusters)

    def say(self, plan: AnnouncementPlan) -> None:
        """Announce and withdraw, in the order of the calls."""
        if self._routes is not None:
            self._routes.say(plan)

    async def flush(self) -> None:
        """Wait until everything said so far was told."""
        if self._routes is not None:
            await self._routes.flush()

    def refresh(self) -> None:
        """Bring the engine's state up to date."""
        if self._routes is not None:
            self._routes.refresh()

    async def end(self, *, engine: bool) -> None:
        """Let go of the speaker, or stop it."""
        if self._routes is not None:
            await self._routes.end(engine=engine)
