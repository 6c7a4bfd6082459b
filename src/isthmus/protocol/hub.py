"""All streams of one server: who is connected, who gets which manifest, and the way of a question to a site."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from isthmus.identity.error import IdentityError
from isthmus.identity.name import Identity, Role
from isthmus.identity.renewal import RenewalRequest
from isthmus.protocol.error import PeerRefused, ProtocolError, QueryFailed
from isthmus.protocol.report import AppliedReport, PresenceReport, StatusReport
from isthmus.protocol.server_session import Answered, Opened, RenewalAsked, ServerEvent, ServerSession
from isthmus.protocol.shelf import Shelf

_log = structlog.get_logger()


class HubHandler:
    """What the process around a hub does with what comes up. Called in the event loop: be quick, raise nothing.

    `via` is the peer whose stream brought it: the site itself, or a region that relays.
    """

    def applied(self, via: Identity, report: AppliedReport) -> None:
        """A subject uses a version of its manifest. Comes through each region of a site, so more than once."""

    def status(self, via: Identity, report: StatusReport) -> None:
        """A subject's newest status."""

    def presence(self, via: Identity, report: PresenceReport) -> None:
        """A subject was connected or disconnected: from this hub, or from the region `via`."""

    async def renew(self, via: Identity, subject: str, request: RenewalRequest) -> bytes:
        """The next certificate chain (PEM). Raises IdentityError or ProtocolError to refuse."""
        raise PeerRefused("unsupported", "Certificates are not renewed here.")


@dataclass(eq=False, slots=True)
class Stream:
    """One open stream. `wake` tells its writer that the session has something to say."""

    identity: Identity
    session: ServerSession
    wake: Callable[[], None]
    since: float
    release: str = ""
    opened: bool = False
    reaches: set[str] = field(default_factory=set)


class Hub:
    """`roles` are those that may connect; with `tenant` only of that tenant. `trust` is what `make_trust` gave.

    Nothing here blocks or knows gRPC: StreamServer does, and tests call `attach`, `deliver`, `detach` themselves.
    """

    def __init__(
        self,
        shelf: Shelf,
        handler: HubHandler,
        *,
        trust: bytes | None,
        release: str,
        roles: Iterable[Role],
        tenant: str | None = None,
    ) -> None:
        self.shelf = shelf
        self._handler = handler
        self._trust = trust
        self._release = release
        self._roles = frozenset(roles)
        self._tenant = tenant
        self._streams: dict[str, list[Stream]] = {}
        self._routes: dict[str, list[Stream]] = {}
        self._queries: dict[int, tuple[Stream, asyncio.Future[Answered]]] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def streams(self) -> list[Stream]:
        """The open streams."""
        return [stream for streams in self._streams.values() for stream in streams]

    def connected(self, subject: str) -> bool:
        """Whether a subject is reached by an open stream, its own or that of a region."""
        return bool(self._routes.get(subject))

    def attach(self, identity: Identity, wake: Callable[[], None]) -> Stream:
        """A new stream of an authenticated peer. Raises PeerRefused for one of another role or tenant."""
        if identity.role not in self._roles or (self._tenant is not None and identity.tenant != self._tenant):
            raise PeerRefused("wrong_peer", f"{identity.uri} has no business here.")
        session = ServerSession(identity, self.shelf, self._trust, self._release)
        stream = Stream(identity, session, wake, time.time())
        self._streams.setdefault(identity.subject, []).append(stream)
        return stream

    def deliver(self, stream: Stream, message: Any) -> None:
        """An Up message of a stream. Raises PeerRefused: then the stream is to be closed."""
        for event in stream.session.receive(message):
            self._handle(stream, event)
        stream.wake()

    def detach(self, stream: Stream) -> None:
        """A stream has ended."""
        streams = self._streams.get(stream.identity.subject, [])
        if stream in streams:
            streams.remove(stream)
        if not streams:
            self._streams.pop(stream.identity.subject, None)
        now = time.time()
        _log.info("stream.closed", peer=stream.identity.uri, seconds=round(now - stream.since, 3))
        for subject in sorted(stream.reaches):
            self._route(stream, subject, False, now)

    def changed(self, subjects: Iterable[str]) -> None:
        """The shelf has new manifests of these subjects: every stream that may have them gets them."""
        woken: dict[int, Stream] = {}
        for subject in subjects:
            for peer in self.shelf.audience(subject):
                for stream in self._streams.get(peer, ()):
                    stream.session.mark(subject)
                    woken[id(stream)] = stream
        for stream in woken.values():
            stream.wake()

    def set_trust(self, trust: bytes) -> None:
        """Sends another trust list (what `make_trust` gave) to every stream, now and later."""
        self._trust = trust
        for stream in self.streams:
            stream.session.set_trust(trust)
            stream.wake()

    async def query(self, subject: str, kind: str, body: bytes, timeout: float = 5.0) -> bytes:  # noqa: ASYNC109 - crosses processes
        """Asks a connected site or region and returns its answer.

        Raises QueryFailed: "not_connected", "timeout" (after `timeout` seconds), or the code that the site gave.
        """
        routes = self._routes.get(subject)
        if not routes:
            raise QueryFailed("not_connected", f"{subject} is not connected.")
        stream = routes[-1]
        number = next(self._numbers)
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._queries[number] = (stream, future)
        try:
            stream.session.query(number, subject, kind, body)
            stream.wake()
            async with asyncio.timeout(timeout):
                answered = await future
        except TimeoutError:
            raise QueryFailed("timeout", f"{subject} did not answer within {timeout:g} seconds.") from None
        finally:
            del self._queries[number]
        if answered.code:
            raise QueryFailed(answered.code, answered.message)
        return answered.body

    async def close(self) -> None:
        """Ends what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _handle(self, stream: Stream, event: ServerEvent) -> None:
        if isinstance(event, AppliedReport):
            self._handler.applied(stream.identity, event)
        elif isinstance(event, StatusReport):
            now = time.time()  # a time to come, of a clock that is fast, would shut out what is said after it
            self._handler.status(stream.identity, replace(event, at=min(event.at, now)))
        elif isinstance(event, PresenceReport):
            self._route(stream, event.subject, event.connected, event.at)
        elif isinstance(event, Answered):
            asked, future = self._queries.get(event.query_id, (None, None))
            if future is not None and asked is stream and not future.done():  # only who was asked answers
                future.set_result(event)
        elif isinstance(event, Opened):
            stream.release, stream.opened = event.release, True
            _log.info("stream.opened", peer=stream.identity.uri, release=event.release)
            self._route(stream, stream.identity.subject, True, time.time())
        elif isinstance(event, RenewalAsked):
            task = asyncio.get_running_loop().create_task(self._renew(stream, event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _route(self, stream: Stream, subject: str, connected: bool, at: float) -> None:
        routes = self._routes.setdefault(subject, [])
        if stream in routes:
            routes.remove(stream)
        if connected:
            routes.append(stream)
            stream.reaches.add(subject)
        else:
            stream.reaches.discard(subject)
        still = any(other.identity.subject == stream.identity.subject for other in routes)
        if not routes:
            del self._routes[subject]
        if connected or not still:
            self._handler.presence(stream.identity, PresenceReport(subject, connected, at))

    async def _renew(self, stream: Stream, asked: RenewalAsked) -> None:
        try:
            chain = await self._handler.renew(stream.identity, asked.subject, asked.request)
            stream.session.answer_renewal(asked.subject, chain)
        except (IdentityError, ProtocolError) as error:
            _log.warning("stream.renewal_refused", subject=asked.subject, via=stream.identity.uri, reason=str(error))
            stream.session.answer_renewal(asked.subject, error=str(error))
        stream.wake()
