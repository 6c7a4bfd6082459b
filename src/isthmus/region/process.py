"""`isthmus region`: joins on its first start, then relays and reflects until it is told to stop.

Order of a start: credential, what is on disk, GoBGP (adopted if it runs), the stream for sites, then the console. So
sites are served before the console is connected, and when it is gone.
"""

import asyncio
import fcntl
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import structlog

from isthmus import __version__
from isthmus.exporter.export import Exporter
from isthmus.exporter.journal import Journal
from isthmus.identity import (
    Credential,
    CredentialDirectory,
    CredentialMissing,
    Identity,
    Membership,
    Role,
    join,
    load_membership,
    parse_token,
    write_file,
)
from isthmus.protocol import (
    ConnectionState,
    DeliveryService,
    Hub,
    QueryFailed,
    Refused,
    StreamServer,
    Uplink,
    UplinkHandler,
    Upstream,
)
from isthmus.region.error import RegionRefused
from isthmus.region.metric import Metrics, Reading
from isthmus.region.reflection import Reflection
from isthmus.region.relay import RelayHandler, RelayShelf
from isthmus.region.roster import Roster, parse_regions
from isthmus.region.settings import RegionSettings
from isthmus.region.telemetry import RegionTelemetry
from isthmus.region.web import WebServer
from isthmus.telemetry.batch import subject_of
from isthmus.telemetry.otlp import process_resource

_log = structlog.get_logger()

_STATUS_SECONDS = 10.0
_UPLINK_LINGER = 0.01
_QUERY_SECONDS = 4.0
_CONSOLE_WAIT = 2.0
"""Longest wait between two tries to reach the console. Regions are few, and one that knows less than the other lets its
sites hear nothing of clusters that they have just begun to use."""


async def run(settings: RegionSettings, journal: Journal | None = None) -> None:
    """Runs a region until SIGTERM or SIGINT. `journal` has its log, for a collector.

    Raises RegionRefused for settings that cannot work, IdentityError when it cannot join, OSError when an address or
    the state directory cannot be used.
    """
    region = await RegionProcess.prepare(settings, journal)
    stopped: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def stop(engines: bool) -> None:
        if not stopped.done():
            stopped.set_result(engines)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop, settings.stop_engines)
    loop.add_signal_handler(signal.SIGINT, stop, True)
    engines = settings.stop_engines
    try:
        await region.start()
        engines = await stopped
    finally:
        await region.stop(engines=engines)
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)


class RegionProcess(UplinkHandler):
    """One region. `prepare` makes it, joining if need be; `start` and `stop` once each."""

    def __init__(
        self, settings: RegionSettings, membership: Membership, lock: int, journal: Journal | None = None
    ) -> None:
        self._settings = settings
        self._lock = lock
        self._credentials = CredentialDirectory(settings.state)
        self._started = time.time()
        self.uplink = Uplink(
            settings.state / "stream",
            self._credentials,
            self,
            release=__version__,
            accepts=self._accepts,
            linger=_UPLINK_LINGER,
        )
        self.identity = self.uplink.credential.identity
        self._roster = Roster(self.identity)
        own = {f"{self.identity.tenant}/Region//{self.identity.name}": json.dumps(membership.own).encode()}
        self._roster.learn_regions(*parse_regions(own))
        self._trust_path = settings.state / "trust.signed"
        self.hub = Hub(
            RelayShelf(self.uplink.holdings),
            RelayHandler(self.uplink),
            trust=self._trust_path.read_bytes() if self._trust_path.exists() else None,
            release=__version__,
            roles=[Role.SITE],
            tenant=self.identity.tenant,
        )
        self.reflection = Reflection(settings.state / "bgp", self._credentials, self._roster, settings.bgp_listen)
        self.telemetry = RegionTelemetry(settings.state / "telemetry", settings.telemetry_buffer, self.uplink)
        self._delivery = DeliveryService(self.hub.shelf, [Role.SITE], self.telemetry.take, subject_of)
        self._console = Identity(membership.trust_domain, Role.CONSOLE)
        self._console_address = membership.console
        self._server: StreamServer | None = None
        self._bound: tuple[str, int] | None = None
        self._web: WebServer | None = None
        self._metrics = Metrics()
        self.exporter: Exporter | None = None
        if settings.otlp is not None:
            identity = self.identity
            resource = process_resource("region", identity.name, __version__, tenant=identity.tenant)
            self.exporter = Exporter(settings.otlp, resource, self.metrics, journal)
            self._metrics.register(self.exporter)
        self._moved = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.port = 0

    @classmethod
    async def prepare(cls, settings: RegionSettings, journal: Journal | None = None) -> "RegionProcess":
        """Joins with the token if the state directory holds no credential yet. Raises as `run`."""
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.state.chmod(0o700)
        lock = _lock(settings.state)
        try:
            return cls(settings, await cls._join(settings), lock, journal)
        except BaseException:
            os.close(lock)
            raise

    @staticmethod
    async def _join(settings: RegionSettings) -> Membership:
        if CredentialDirectory(settings.state).exists:
            return load_membership(settings.state)
        if settings.token is None:
            raise CredentialMissing(f"{settings.state} holds no identity: the first start needs a join token.")
        token = parse_token(settings.token)
        if token.role is not Role.REGION:
            raise RegionRefused(f"The join token is for a {token.role}, not for a region.")
        membership = await join(token, settings.state)
        _log.info("region.joined", subject=membership.subject)
        return membership

    async def start(self) -> None:
        """Starts everything. Raises OSError when an address of the settings cannot be used."""
        if self._settings.metrics is not None:
            self._web = WebServer(*self._settings.metrics, self.health, self.metrics)
            self._web.start()
        self._learn(frozenset(self.uplink.holdings.subjects))
        self.reflection.start()
        self.telemetry.start()
        await self._bind()
        host, port = self._console_address
        self.uplink.set_upstreams([Upstream("console", host, port, self._console.dns_name, _CONSOLE_WAIT)])
        self.uplink.start()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep_bound()), loop.create_task(self._keep_reporting())]
        if self.exporter is not None:
            self.exporter.start()
        _log.info("region.started", subject=self.identity.subject, port=self.port, release=__version__)

    async def stop(self, *, engines: bool) -> None:
        """Stops gracefully; GoBGP too if `engines`, otherwise it runs on and is adopted by the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.stop(0.2)
        await self.hub.close()
        await self.telemetry.stop()
        await self.uplink.stop()
        await self.reflection.stop(engine=engines)
        if self._web is not None:
            await self._web.stop()
        os.close(self._lock)
        _log.info("region.stopped", subject=self.identity.subject, engines=engines)
        if self.exporter is not None:
            await self.exporter.stop()

    # ---- from the console

    def adopted(self, subjects: frozenset[str]) -> None:
        """See UplinkHandler."""
        self._metrics.adopted.inc(len(subjects))
        self.hub.changed(subjects)
        self._learn(subjects)

    def trust(self, signed: bytes) -> None:
        """See UplinkHandler."""
        if not self._trust_path.exists() or self._trust_path.read_bytes() != signed:
            write_file(self._trust_path, signed)
            self.hub.set_trust(signed)

    def credential(self, credential: Credential) -> None:
        """See UplinkHandler."""
        self.reflection.renew()

    def connection(self, upstream: str, state: ConnectionState) -> None:
        """See UplinkHandler."""
        self.telemetry.wake()

    def refused(self, upstream: str, refusal: Refused) -> None:
        """See UplinkHandler."""
        self._metrics.refused.labels(code=refusal.code).inc()

    async def query(self, subject: str, kind: str, body: bytes) -> bytes:
        """See UplinkHandler: the region's own status, or a question to one of its sites."""
        if subject != self.identity.subject:
            return await self.hub.query(subject, kind, body, _QUERY_SECONDS)
        if kind != "status":
            raise QueryFailed("unsupported", f"A region does not answer {kind!r}.")
        return json.dumps(await self.read_status(sites=True)).encode()

    # ---- what it tells about itself

    def health(self) -> tuple[bool, str]:
        """Healthy is: sites can get what is held here."""
        if self._server is None:
            return False, "The stream for sites is not listening."
        console = self.uplink.connections.get("console")
        word = "ok" if console and console.connected else "ok, without the console"
        return True, f"{word}; bgp: {self.reflection.error or 'ok'}"

    async def metrics(self) -> bytes:
        """Prometheus' text format."""
        console = self.uplink.connections.get("console")
        reflector = await self.reflection.status()
        reading = Reading(
            console_connected=bool(console and console.connected),
            streams=len(self.hub.streams),
            manifests=len(self.uplink.holdings.subjects),
            routes=reflector.routes,
            site_sessions=len(reflector.sites),
            region_sessions=len(reflector.regions),
            gobgp_up=self.reflection.ready,
            gobgp_restarts=self.reflection.restarts,
            certificate_expires=self.uplink.credential.leaf.valid_until.timestamp(),
            telemetry_waiting_bytes=self.telemetry.spool.size,
            telemetry_lost=self.telemetry.spool.dropped_requests,
        )
        return self._metrics.emit(reading)

    async def read_status(self, *, sites: bool = False) -> dict[str, Any]:
        """The region's status; with `sites`, each site that it knows. Times in seconds since 1970."""
        state, console = self.uplink.state(), self.uplink.connections.get("console")
        reflector = await self.reflection.status()
        status: dict[str, Any] = {
            "region": self.identity.name,
            "tenant": self.identity.tenant,
            "release": __version__,
            "started": self._started,
            "manifest": state and {"epoch": state.version.epoch, "revision": state.version.revision},
            "console": console and {"connected": console.connected, "since": console.since, "error": console.error},
            "sites": {"known": len(self._roster.sites), "connected": len(self.hub.streams)},
            "bgp": {
                "pid": self.reflection.pid,
                "restarts": self.reflection.restarts,
                "error": self.reflection.error,
                "routes": reflector.routes,
                "siteSessions": len(reflector.sites),
                "regionSessions": len(reflector.regions),
            },
            "certificate": {"validUntil": self.uplink.credential.leaf.valid_until.timestamp()},
            "telemetry": self.telemetry.status(),
            "otlp": self.exporter.status() if self.exporter is not None else [],
        }
        if sites:
            versions = self.uplink.holdings.versions()
            status["sites"]["list"] = [
                {
                    "subject": subject,
                    "connected": self.hub.connected(subject),
                    "session": place.number in reflector.sites,
                    "revision": version.revision if (version := versions.get(subject)) else None,
                }
                for subject, place in sorted(self._roster.sites.items())
            ]
        return status

    # ---- inside

    def _accepts(self, subject: str) -> bool:
        return subject == self.identity.subject or subject.startswith(f"{self.identity.tenant}/{Role.SITE}/")

    def _learn(self, subjects: frozenset[str]) -> None:
        changed = False
        for subject in subjects:
            state = self.uplink.state(subject)
            if state is None:
                continue
            if subject == self.identity.subject:
                changed |= self._roster.learn_regions(*parse_regions(self.uplink.objects(state)))
                self.uplink.acknowledge(state.version)
                self._moved.set()
            else:
                changed |= self._roster.learn_site(state)
        if changed:
            self.reflection.update()

    async def _bind(self) -> None:
        """Listens for sites where settings or Region object say. An old listener ends when the new one works."""
        own = self._roster.own
        wanted = self._settings.listen or ((own.address, own.port) if own else None)
        if wanted is None or wanted == self._bound:
            return
        server = StreamServer(self.hub, lambda: self.uplink.credential, delivery=self._delivery)
        host = f"[{wanted[0]}]" if ":" in wanted[0] else wanted[0]
        self.port = await server.start(f"{host}:{wanted[1]}")
        before, self._server, self._bound = self._server, server, wanted
        _log.info("stream.listening", address=wanted[0], port=self.port)
        if before is not None:
            await before.stop(0.2)

    async def _keep_bound(self) -> None:
        while True:
            await self._moved.wait()
            self._moved.clear()
            try:
                await self._bind()
            except OSError as error:
                _log.error("stream.not_listening", reason=str(error))
                await asyncio.sleep(_STATUS_SECONDS)
                self._moved.set()

    async def _keep_reporting(self) -> None:
        while True:
            status = await self.read_status()
            self.uplink.status(json.dumps(status).encode())
            await asyncio.sleep(_STATUS_SECONDS)


def _lock(state: Path) -> int:
    """Holds the state directory for this process as long as the returned descriptor is open."""
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise RegionRefused(f"Another region runs on {state}.") from error
    return descriptor
