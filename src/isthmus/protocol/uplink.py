"""The lower end of all streams of one process: a region's to the console, a site's to its regions.

What it holds is durable: constructed again on the same directory, it answers `state` and `objects` before any stream is
open. Certificate renewal and new trust lists are its work too.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from isthmus.identity.credential import Credential, CredentialDirectory, TrustList
from isthmus.identity.error import IdentityError
from isthmus.identity.key import generate_key, make_csr
from isthmus.identity.name import Role
from isthmus.identity.renewal import RenewalRequest
from isthmus.protocol.cache import Cache, CachedBodies
from isthmus.protocol.client import ConnectionState, StreamClient, Upstream
from isthmus.protocol.client_session import (
    Adopted,
    Asked,
    ClientEvent,
    ClientSession,
    Refused,
    RenewalAnswered,
    TrustReceived,
    Welcomed,
)
from isthmus.protocol.error import ProtocolError, QueryFailed
from isthmus.protocol.holding import Holdings
from isthmus.protocol.manifest import State, Version
from isthmus.protocol.report import AppliedReport, Rejection, Reports

_log = structlog.get_logger()

_GATHER_SECONDS = 0.05
_SWEEP_SECONDS = 600.0
_RENEWAL_TIMEOUT = 20.0
OFFER_AGAIN = 600.0
"""Seconds between two renewals that only say the site's sealing key once more."""


class UplinkHandler:
    """What the process around an uplink does with what comes down. All but `query` are called in the event loop:
    be quick, raise nothing."""

    def adopted(self, subjects: frozenset[str]) -> None:
        """Higher complete manifests are held for these subjects: read `state` and `objects`."""

    def connection(self, upstream: str, state: ConnectionState) -> None:
        """A stream was opened or lost."""

    def credential(self, credential: Credential) -> None:
        """The certificate was renewed, or the trust list has changed; it is on disk already."""

    def trust(self, signed: bytes) -> None:
        """The trust list as the console signed it, for relays to pass on. Comes with every new stream."""

    def refused(self, upstream: str, refusal: Refused) -> None:
        """A stream brought something that was not the console's. It is logged already and nothing of it is used."""

    async def query(self, subject: str, kind: str, body: bytes) -> bytes:
        """The answer to a question from above. Raises ProtocolError to answer an error."""
        raise QueryFailed("unsupported", f"The question {kind!r} is not answered here.")


class Uplink:
    """`directory` is for this uplink alone; `accepts(subject)` says which manifests may be held (default: the own).

    Raises CredentialMissing before the process has joined.
    """

    def __init__(
        self,
        directory: Path,
        credentials: CredentialDirectory,
        handler: UplinkHandler,
        *,
        release: str,
        accepts: Callable[[str], bool] | None = None,
        linger: float = 0.0,
        renewal_check_seconds: float = 60.0,
    ) -> None:
        self._credentials = credentials
        self._credential = credentials.load()
        self.subject = self._credential.identity.subject
        self._handler = handler
        self._release = release
        self._accepts = accepts
        self._linger = linger
        self._check_seconds = renewal_check_seconds
        self._cache = Cache(directory / "cache.sqlite")
        self._bodies = CachedBodies(self._cache)
        self.holdings = Holdings(self._bodies, self._cache.load_chains())
        self.reports = Reports()
        self.connections: dict[str, ConnectionState] = {}
        self._sessions: dict[str, ClientSession] = {}
        self._wanted: dict[str, Upstream] = {}
        self._clients: dict[Upstream, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewals: dict[str, list[asyncio.Future[bytes]]] = {}
        self._unsaved: set[str] = set()
        self._dropped: set[str] = set()
        self._save = asyncio.Event()
        self._offer_wanted = False
        self._offered_at = -OFFER_AGAIN
        self._started = False

    # ---- what is held and who we are

    @property
    def credential(self) -> Credential:
        """The credential of now."""
        return self._credential

    @property
    def connected_upstreams(self) -> list[Upstream]:
        """Those whose stream works now, the preferred first."""
        return [each for name, each in self._wanted.items() if name in self._sessions]

    def state(self, subject: str | None = None) -> State | None:
        """The content of the highest complete manifest, of the own subject by default."""
        return self.holdings.state(subject or self.subject)

    def objects(self, state: State) -> dict[str, bytes]:
        """The objects of what `state()` gave, by key. Raises KeyError if it was superseded long ago."""
        return self.holdings.objects(state)

    def drop(self, subject: str) -> None:
        """Forgets a subject, on disk too."""
        self.holdings.drop(subject)
        self._dropped.add(subject)
        self._save.set()

    # ---- up

    def acknowledge(self, version: Version, rejections: Iterable[Rejection] = ()) -> None:
        """The own manifest of `version` is in use, but for the rejected objects."""
        self.reports.put_applied(AppliedReport(self.subject, version, tuple(rejections)))

    def status(self, body: bytes) -> None:
        """The own status, JSON. The newest is sent as soon as a stream can take it, and again on each new one."""
        self.reports.put_own_status(self.subject, body, time.time())

    async def renew(self, subject: str, request: RenewalRequest) -> bytes:
        """The next certificate chain (PEM), asked over the first stream that works.

        Raises QueryFailed: "not_connected", "timeout", or "refused" with the console's reason.
        """
        session = next((self._sessions[name] for name in self._wanted if name in self._sessions), None)
        if session is None:
            raise QueryFailed("not_connected", "No stream to renew a certificate over.")
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        waiting = self._renewals.setdefault(subject, [])
        waiting.append(future)
        session.renew(subject, request)
        try:
            async with asyncio.timeout(_RENEWAL_TIMEOUT):
                return await future
        except TimeoutError:
            raise QueryFailed("timeout", "The console did not answer the renewal.") from None
        finally:
            if future in waiting:
                waiting.remove(future)

    def offer_sealing_key(self) -> None:
        """The console does not seem to know the site's sealing key, as after a restore of an old backup: say it again,
        with the next check of the certificate."""
        self._offer_wanted = True

    # ---- running

    def set_upstreams(self, upstreams: Iterable[Upstream]) -> None:
        """Whom to be connected to, the preferred first. Opens and closes streams to match; others stay untouched."""
        self._wanted = {upstream.name: upstream for upstream in upstreams}
        if not self._started:
            return
        wanted = set(self._wanted.values())
        for upstream in [each for each in self._clients if each not in wanted]:
            self._clients.pop(upstream).cancel()
            if upstream.name not in self._wanted:
                self.connections.pop(upstream.name, None)
        for upstream in self._wanted.values():
            if upstream not in self._clients:
                self._clients[upstream] = asyncio.get_running_loop().create_task(self._client(upstream).run())

    def start(self) -> None:
        """Begins to dial, to save and to renew."""
        self._started = True
        self._spawn(self._keep_saving())
        self._spawn(self._keep_renewing())
        self.set_upstreams(self._wanted.values())

    async def stop(self) -> None:
        """Ends all streams and saves what is not saved yet."""
        self._started = False
        tasks = [*self._clients.values(), *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._clients.clear()
        await self._flush()
        self._cache.close()

    def _client(self, upstream: Upstream) -> StreamClient:
        name = upstream.name
        return StreamClient(
            upstream,
            lambda: self._credential,
            lambda wake: self._session(wake),
            lambda session, event: self._handle(name, session, event),
            lambda connected, error: self._connection(upstream, connected, error),
            self._linger,
        )

    def _session(self, wake: Callable[[], None]) -> ClientSession:
        return ClientSession(
            self.subject,
            self.holdings,
            self.reports,
            lambda: self._credential.signing_keys,
            lambda: self._credential.trust.version,
            self._release,
            self._accepts,
            wake,
        )

    def _connection(self, upstream: Upstream, connected: bool, error: str) -> None:
        before = self.connections.get(upstream.name)
        if not connected:
            self._sessions.pop(upstream.name, None)
        if self._wanted.get(upstream.name) != upstream:
            return
        since = before.since if before and before.connected == connected else time.time()
        state = self.connections[upstream.name] = ConnectionState(connected, since, error)
        self._handler.connection(upstream.name, state)

    def _handle(self, name: str, session: ClientSession, event: ClientEvent) -> None:
        if isinstance(event, Welcomed):
            self._sessions[name] = session
            _log.info("stream.up", upstream=name, version=event.version, release=event.release)
        elif isinstance(event, Adopted):
            self._unsaved |= event.subjects
            self._save.set()
            self._handler.adopted(event.subjects)
        elif isinstance(event, Refused):
            _log.error("stream.refused", upstream=name, subject=event.subject, code=event.code, reason=event.message)
            self._handler.refused(name, event)
        elif isinstance(event, Asked):
            self._spawn(self._answer(session, event))
        elif isinstance(event, RenewalAnswered):
            self._renewed(event)
        elif isinstance(event, TrustReceived):
            self._trust(event.trust, event.signed)

    async def _answer(self, session: ClientSession, asked: Asked) -> None:
        try:
            session.answer(asked.query_id, await self._handler.query(asked.subject, asked.kind, asked.body))
        except ProtocolError as error:
            session.answer(asked.query_id, code=error.code, message=str(error))
        except Exception as error:
            _log.exception("stream.query_failed", kind=asked.kind)
            session.answer(asked.query_id, code="internal", message=f"The question failed: {type(error).__name__}.")

    def _renewed(self, event: RenewalAnswered) -> None:
        for future in self._renewals.pop(event.subject, []):
            if future.done():
                continue
            if event.error:
                future.set_exception(QueryFailed("refused", event.error))
            else:
                future.set_result(event.chain_pem)

    def _trust(self, trust: TrustList, signed: bytes) -> None:
        if trust.version > self._credential.trust.version:
            self._use(self._credential.trusting(trust))
            _log.info("trust.changed", version=trust.version)
        self._handler.trust(signed)

    def _use(self, credential: Credential) -> None:
        self._credentials.save(credential)
        self._credential = credential
        self._handler.credential(credential)

    # ---- tasks

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_renewing(self) -> None:
        while True:
            now = datetime.now(UTC)
            offering = self._offer_wanted and time.monotonic() - self._offered_at >= OFFER_AGAIN
            if self._credential.due(now) or offering or self._is_unsealed():
                try:
                    await self.renew_own(now)
                except (IdentityError, ProtocolError) as error:
                    _log.warning("certificate.not_renewed", reason=str(error))
                except Exception:  # a full disk: the next check tries again
                    _log.exception("certificate.not_renewed")
            await asyncio.sleep(self._check_seconds)

    def _is_unsealed(self) -> bool:
        """Whether the console has no key yet to seal this site's secrets to: the site joined before there were any."""
        return self._credential.identity.role is Role.SITE and self._credentials.sealing_key() is None

    async def renew_own(self, now: datetime) -> None:
        """Renews the own certificate, with a new key. Raises IdentityError or ProtocolError; the old one stays."""
        key = generate_key()
        is_site = self._credential.identity.role is Role.SITE
        sealing = self._credentials.offered_sealing_key().public if is_site else b""
        request = self._credential.ask_renewal(make_csr(key), now, sealing)
        chain = await self.renew(self.subject, request)
        self._credentials.confirm_sealing_key()
        self._offer_wanted, self._offered_at = False, time.monotonic()
        self._use(self._credential.renewed(key, chain, datetime.now(UTC)))
        _log.info("certificate.renewed", valid_until=self._credential.leaf.valid_until.isoformat())

    async def _keep_saving(self) -> None:
        swept = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SWEEP_SECONDS):
                    await self._save.wait()
                await asyncio.sleep(_GATHER_SECONDS)
            try:
                await self._flush()
                if time.monotonic() - swept >= _SWEEP_SECONDS:
                    swept = time.monotonic()
                    named = self.holdings.named()
                    self._bodies.keep_only(named)  # first: what is named again from here on is fetched again
                    await asyncio.to_thread(self._cache.sweep, named)
            except Exception:  # a full disk must not end the process, which still works from memory
                _log.exception("cache.not_saved")
                await asyncio.sleep(1.0)
                self._save.set()

    async def _flush(self) -> None:
        self._save.clear()
        subjects, dropped = set(self._unsaved), set(self._dropped)
        chains = [chain for subject in subjects if (chain := self.holdings.chain(subject)) is not None]
        bodies = self._bodies.unsaved
        if not (chains or bodies or dropped):
            return
        await asyncio.to_thread(self._cache.save, chains, bodies, dropped)
        self._bodies.saved(bodies)
        saved = {chain.state.subject: chain for chain in chains}
        self._unsaved -= {subject for subject in subjects if self.holdings.chain(subject) is saved.get(subject)}
        self._dropped -= dropped
