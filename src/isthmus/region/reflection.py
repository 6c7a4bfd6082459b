"""The BGP side of a region: its route reflector, the tunnels that sites and regions dial, the regions it dials."""

import asyncio
import ssl
from pathlib import Path

import structlog

from isthmus.emit.gobgp.address import region_address, session_address
from isthmus.engine.gobgp.process import Door, GobgpError
from isthmus.engine.gobgp.reflector import Reflector, ReflectorStatus
from isthmus.engine.gobgp.tunnel import Target, TunnelDialler, TunnelServer
from isthmus.health.codec import RouteSpace
from isthmus.identity import CredentialDirectory, Identity, Role
from isthmus.region.roster import RegionPlace, Roster

_log = structlog.get_logger()

_RETRY_SECONDS = 5.0
_GATHER_SECONDS = 0.02


class Reflection:
    """Keeps reflector and tunnels in accord with the roster: call `update` after every change of it.

    Nothing starts before the region's own number is known. A gobgpd that cannot be started is tried again for ever:
    configuration is relayed all the same.
    """

    def __init__(
        self, directory: Path, credentials: CredentialDirectory, roster: Roster, listen: tuple[str, int] | None
    ) -> None:
        self._directory = directory
        self._credentials = credentials
        self._roster = roster
        self._listen = listen
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reflector: Reflector | None = None
        self._server = TunnelServer(lambda: self._server_context, self._address_of, self._door)
        self._bound: tuple[str, int] | None = None
        self._dialled: dict[str, tuple[TunnelDialler, asyncio.Task[None]]] = {}
        self._server_context: ssl.SSLContext
        self._client_context: ssl.SSLContext
        self.renew()
        self.error = ""

    @property
    def port(self) -> int:
        """The TCP port of the tunnels; 0 while there is none."""
        return self._server.port

    @property
    def pid(self) -> int | None:
        """The gobgpd process."""
        return self._reflector.pid if self._reflector else None

    @property
    def ready(self) -> bool:
        """Whether gobgpd takes sessions."""
        return self._door() is not None

    @property
    def restarts(self) -> int:
        """How often gobgpd had to be restarted."""
        return self._reflector.restarts if self._reflector else 0

    async def status(self) -> ReflectorStatus:
        """What the reflector holds and who is connected."""
        if self._reflector is None:
            return ReflectorStatus(0, frozenset(), frozenset())
        return await self._reflector.status()

    def renew(self) -> None:
        """The credential on disk has changed: connections from now on use it."""
        self._server_context = self._credentials.server_context()
        self._client_context = self._credentials.client_context()

    def update(self) -> None:
        """The roster has changed."""
        self._changed.set()

    def start(self) -> None:
        """Begins to keep up with the roster."""
        self._changed.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self, *, engine: bool) -> None:
        """Ends the tunnels, and gobgpd too if `engine`; otherwise it runs on, to be adopted."""
        tasks = [task for _, task in self._dialled.values()]
        if self._task is not None:
            tasks.append(self._task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._dialled.clear()
        await self._server.stop()
        if self._reflector is not None:
            await (self._reflector.stop() if engine else self._reflector.detach())
        elif engine:
            await self._stop_unadopted()

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._changed.clear()
            try:
                await self._reconcile()
                self.error = ""
            except (GobgpError, OSError) as error:
                self.error = str(error)
                _log.error("reflection.failed", reason=self.error)
            except Exception as error:  # configuration is relayed all the same, and the next try may work
                self.error = f"{type(error).__name__}: {error}"
                _log.exception("reflection.failed")
            if self.error:
                await asyncio.sleep(_RETRY_SECONDS)
                self._changed.set()

    async def _reconcile(self) -> None:
        own = self._roster.own
        if own is None:
            return
        if self._reflector is None:
            self._reflector = self._make(own)
            await self._reflector.apply(self._roster.reflector)  # before the start: it waits for whom it knows
            try:
                adopted = await self._reflector.start()
            except Exception:
                failed, self._reflector = self._reflector, None
                await failed.stop()
                raise
            _log.info("reflection.started", adopted=adopted, region=own.number)
        else:
            await self._reflector.apply(self._roster.reflector)
        await self._bind(self._listen or (own.address, own.bgp_port))
        self._dial()

    def _make(self, own: RegionPlace) -> Reflector:
        return Reflector(self._directory, RouteSpace.of(self._roster.identity.trust_domain), own.number)

    async def _stop_unadopted(self) -> None:
        """Told to end everything before the gobgpd of an earlier start was adopted: adopts it to end it."""
        if self._roster.own is None or not (self._directory / "process.json").exists():
            return
        reflector = self._make(self._roster.own)
        try:
            await reflector.start()
        except (GobgpError, OSError) as error:
            _log.warning("reflection.not_stopped", reason=str(error))
        finally:
            await reflector.stop()

    async def _bind(self, wanted: tuple[str, int]) -> None:
        if self._bound == wanted:
            return
        if self._bound is not None:
            await self._server.stop()
            self._bound = None
        await self._server.start(*wanted)
        self._bound = wanted
        _log.info("tunnel.listening", address=wanted[0], port=self._server.port)

    def _dial(self) -> None:
        wanted = {place.name: place for place in self._roster.dialled}
        for name in [name for name in self._dialled if name not in wanted]:
            self._dialled.pop(name)[1].cancel()
        for name, place in wanted.items():
            if name not in self._dialled:
                dialler = TunnelDialler(
                    lambda name=name: self._target(name),  # type: ignore[misc]
                    lambda: self._client_context,
                    self._door,
                    region_address(place.number),
                )
                task = asyncio.get_running_loop().create_task(dialler.run())
                self._dialled[name] = (dialler, task)

    def _target(self, name: str) -> Target:
        place = self._roster.others[name]
        own = self._roster.identity
        identity = Identity(own.trust_domain, Role.REGION, own.tenant, name)
        return Target(place.address, place.bgp_port, identity.dns_name)

    def _address_of(self, uri: str) -> str | None:
        place = self._roster.neighbour(uri)
        if place is None:
            return None
        return region_address(place.number) if isinstance(place, RegionPlace) else session_address(place.number)

    def _door(self) -> Door | None:
        return self._reflector.door if self._reflector else None
