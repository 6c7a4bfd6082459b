"""The site's Envoy as one thing: its process, its discovery server, its admin interface, its health events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import httpx

from isthmus.emit.envoy.bootstrap import Bootstrap, emit_bootstrap
from isthmus.engine.envoy import (
    CLUSTER,
    LISTENER,
    Admin,
    AdsServer,
    EnvoyProcess,
    EnvoySettings,
    HealthEvent,
    HealthLog,
    HostHealth,
    Nack,
)
from isthmus.identity import Identity
from isthmus.site.directory import SiteDirectory
from isthmus.site.report import EngineState
from isthmus.site.settings import SiteSettings
from isthmus.site.task import persevere

RETRY = 2.0
"""Seconds until an Envoy that has just connected is given the listeners that it refused again."""


class LocalEnvoy:
    """`on_down` hears that the process has ended, `on_ready` that an Envoy which has just connected is settled and its
    health is known, `on_refused` that `refused` is different. `changed` is called when `state` or `connected` is
    different.
    """

    def __init__(
        self,
        settings: SiteSettings,
        directory: SiteDirectory,
        identity: Identity,
        state: EngineState,
        *,
        on_event: Callable[[HealthEvent], None],
        on_snapshot: Callable[[list[HostHealth]], None],
        on_down: Callable[[], None],
        on_ready: Callable[[], None],
        on_refused: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        self._state = state
        self._on_down = on_down
        self._on_ready = on_ready
        self._on_refused = on_refused
        self.refused: tuple[Nack, ...] = ()
        """Listeners that an Envoy which had nothing yet could not take: those before it could, so no object is at
        fault. A port may be in use."""
        self._changed = changed
        self.admin = Admin(directory.admin_socket)
        self.ads = AdsServer(directory.ads_socket, on_connection=self._on_connection)
        self._process = EnvoyProcess(_engine_settings(settings, directory, identity), on_state=self._on_state)
        self._health = HealthLog(directory.health_events, self.admin, on_event, on_snapshot)
        self._reconciling: asyncio.Task[None] | None = None

    async def start(self) -> bool:
        """Adopt the running Envoy, or start one. Returns whether it was adopted."""
        await self.ads.start()
        await self._health.start()
        self._state.adopted = await self._process.start()
        return self._state.adopted

    async def end(self, *, engine: bool) -> None:
        """Let go of Envoy, which serves on, or stop it."""
        if self._reconciling is not None:
            self._reconciling.cancel()
        await self._health.stop()
        await (self._process.stop() if engine else self._process.detach())
        await self.ads.stop()
        await self.admin.close()

    def refresh(self) -> None:
        """Bring the process's facts in the state up to date."""
        self._state.pid, self._state.restarts = self._process.pid, self._process.restarts

    async def learn_health(self) -> bool:
        """Look at once at the health of every endpoint that Envoy has. False when it does not answer."""
        try:
            await self._health.reconcile()
        except httpx.HTTPError:
            return False
        return True

    def healthy(self) -> tuple[bool, str]:
        """Whether Envoy runs and has what it needs, and a word why not."""
        if self._process.pid is None:
            return False, "envoy is down"
        return (True, "ok") if self.ads.connected else (False, "envoy is not connected")

    def _on_state(self, state: str, status: int | None) -> None:
        self._state.state = state
        self._state.error = "" if status is None else f"exited with status {status}"
        if state == "down":
            self._on_down()
        self._changed()

    def _on_connection(self, connected: bool) -> None:
        if self._reconciling is not None:
            self._reconciling.cancel()
            self._reconciling = None
        if connected:
            self._reconciling = asyncio.create_task(persevere(self._reconcile))
        self._changed()

    async def _reconcile(self) -> None:
        """Learn the health of every endpoint, once the clusters are in place."""
        await self.ads.audit(CLUSTER).acked()
        while True:
            with contextlib.suppress(httpx.HTTPError):
                await self._health.reconcile()
                break
            await asyncio.sleep(0.2)
        self._on_ready()
        while refused := await self.ads.audit(LISTENER).acked():
            self._set_refused(refused)
            await asyncio.sleep(RETRY)
            self.ads.retry(LISTENER)
        self._set_refused(())

    def _set_refused(self, refused: tuple[Nack, ...]) -> None:
        if refused != self.refused:
            self.refused = refused
            self._on_refused()


def _engine_settings(settings: SiteSettings, directory: SiteDirectory, identity: Identity) -> EnvoySettings:
    bootstrap = Bootstrap(
        tenant=identity.tenant,
        site=identity.name,
        node=identity.node,
        ads_socket=str(directory.ads_socket),
        admin_socket=str(directory.admin_socket),
        log_socket=str(directory.log_socket) if settings.telemetry else "",
        max_connections=settings.max_connections,
    )
    return EnvoySettings(directory.envoy, emit_bootstrap(bootstrap), concurrency=settings.concurrency)
