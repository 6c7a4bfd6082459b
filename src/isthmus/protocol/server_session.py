"""The upper end of one stream, without IO: messages from below in, events out, messages for below on request.

Nothing is queued per stream but the names of subjects that have changed: `next_message` looks up what is newest when
the peer is ready to take it, so a slow peer costs no memory and is never behind by more than one message.
"""

import math
from dataclasses import dataclass
from typing import Any

from isthmus.generated import stream_pb2 as wire
from isthmus.identity.name import Identity, Role
from isthmus.identity.renewal import RenewalRequest
from isthmus.protocol.client_session import VERSION_MAX, VERSION_MIN
from isthmus.protocol.error import PeerRefused
from isthmus.protocol.manifest import Link, Version
from isthmus.protocol.report import AppliedReport, PresenceReport, Rejection, StatusReport
from isthmus.protocol.shelf import Shelf

_BATCH_BYTES = 1 << 20
_REMEMBERED_OBJECTS = 50_000


@dataclass(frozen=True, slots=True)
class Opened:
    """The peer has said hello; `release` is what it runs."""

    release: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a query; with a code it is an error."""

    query_id: int
    body: bytes
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class RenewalAsked:
    """A request for the next certificate of a subject, the peer's own or one that it relays."""

    subject: str
    request: RenewalRequest


ServerEvent = Opened | AppliedReport | StatusReport | PresenceReport | Answered | RenewalAsked


class ServerSession:
    """One stream from a region or site whose certificate says `peer`.

    `trust` is a serialized SignedTrust message, None as long as there is none to pass on.
    """

    def __init__(self, peer: Identity, shelf: Shelf, trust: bytes | None, release: str) -> None:
        self.peer = peer
        self._shelf = shelf
        self._trust = trust
        self._release = release
        self._version = 0
        self._sent: dict[str, Version] = {}
        self._known: set[str] = set()
        self._dirty: dict[str, None] = {}
        self._bodies: dict[str, None] = {}
        self._urgent: Any = wire.Down()

    def mark(self, subject: str) -> None:
        """The manifest of a subject may have changed."""
        self._dirty[subject] = None

    def set_trust(self, trust: bytes) -> None:
        """Sends another trust list."""
        self._trust = trust

    def query(self, query_id: int, subject: str, kind: str, body: bytes) -> None:
        """Asks the peer, or who is connected to it."""
        self._urgent.queries.add(query_id=query_id, subject=subject, kind=kind, body=body)

    def answer_renewal(self, subject: str, chain_pem: bytes = b"", error: str = "") -> None:
        """The next certificate of a subject, or why there is none."""
        self._urgent.renewed.add(subject=subject, chain_pem=chain_pem, error=error)

    def receive(self, up: Any) -> list[ServerEvent]:
        """What an Up message means. Raises PeerRefused for a peer that may not have this stream.

        Reports about subjects that the peer may not have are passed over: a site may have moved meanwhile.
        """
        events: list[ServerEvent] = []
        if up.HasField("hello"):
            events.append(self._open(up.hello))
        elif not self._version:
            raise PeerRefused("no_hello", "The stream did not begin with a hello.")
        for want in up.wants:
            self._want(want)
        if up.applied:
            events.extend(_parse_applied(each) for each in up.applied if self._may_speak_for(each.subject))
        events.extend(
            StatusReport(each.subject, each.body, _moment(each.at))
            for each in up.statuses
            if self._may_speak_for(each.subject)
        )
        if self.peer.role is Role.REGION:
            events.extend(
                PresenceReport(each.subject, each.connected, _moment(each.at))
                for each in up.presence
                if self._may_speak_for(each.subject)
            )
        events.extend(Answered(each.query_id, each.body, each.error_code, each.error) for each in up.answers)
        events.extend(
            RenewalAsked(each.subject, _parse_renewal(each))
            for each in up.renewals
            if self._may_speak_for(each.subject)
        )
        return events

    def next_message(self) -> Any | None:
        """The next Down message, about a megabyte at most unless one manifest is larger; None when all is said."""
        if not self._version:
            return None
        down, self._urgent = self._urgent, wire.Down()
        if self._trust is not None:
            down.trust.MergeFromString(self._trust)
            self._trust = None
        room = _BATCH_BYTES
        for subject in list(self._dirty):
            if room <= 0:
                break
            del self._dirty[subject]
            room -= self._put_updates(down, subject)
        for digest in list(self._bodies):
            if room <= 0:
                break
            del self._bodies[digest]
            room -= self._put_body(down, digest)
        return down if down.ByteSize() else None

    def _open(self, hello: Any) -> Opened:
        if self._version:
            raise PeerRefused("second_hello", "A stream has one hello.")
        if hello.subject != self.peer.subject:
            raise PeerRefused("wrong_subject", f"{self.peer.uri} may not have the manifest of {hello.subject}.")
        version = min(VERSION_MAX, hello.version_max)
        if version < max(VERSION_MIN, hello.version_min):
            raise PeerRefused(
                "version",
                f"This end speaks versions {VERSION_MIN} to {VERSION_MAX} of the stream, "
                f"the other {hello.version_min} to {hello.version_max}.",
            )
        self._version = version
        self._urgent.welcome.version = version
        self._urgent.welcome.release = self._release
        for held in hello.held:
            self._sent[held.subject] = Version(held.epoch, held.revision)
        self._dirty = dict.fromkeys(self._shelf.subjects(self.peer.subject))
        return Opened(hello.release)

    def _may_speak_for(self, subject: str) -> bool:
        return subject == self.peer.subject or (
            self.peer.role is Role.REGION and self._shelf.chain(subject, self.peer.subject) is not None
        )

    def _want(self, want: Any) -> None:
        chain = self._shelf.chain(want.subject, self.peer.subject)
        if chain is None:
            return
        if want.manifest:
            self._sent.pop(want.subject, None)
            self._dirty[want.subject] = None
        if want.hashes:
            named = set(chain.state.entries.values())
            for each in want.hashes:
                digest = each.hex()
                if digest in named:
                    self._bodies[digest] = None

    def _put_updates(self, down: Any, subject: str) -> int:
        chain = self._shelf.chain(subject, self.peer.subject)
        if chain is None:
            return 0
        links: tuple[Link, ...] = chain.since(self._sent.get(subject))
        size = 0
        for link in links:
            down.updates.add().MergeFromString(link.signed)
            size += len(link.signed)
        if links and links[0].base:
            added = {digest for link in links for digest in link.added}
            if len(links) > 1:
                added &= set(chain.state.entries.values())
            size += sum(self._put_body(down, digest) for digest in sorted(added - self._known))
        if links:
            self._sent[subject] = links[-1].version
        return size

    def _put_body(self, down: Any, digest: str) -> int:
        body = self._shelf.body(digest)
        if body is None:
            return 0
        if len(self._known) >= _REMEMBERED_OBJECTS:
            self._known.clear()
        self._known.add(digest)
        down.objects.add(hash=bytes.fromhex(digest), body=body)
        return len(body)


def _moment(at: float) -> float:
    """Seconds since 1970; 0 for what is no time, which could not be compared with others."""
    return at if math.isfinite(at) else 0.0


def _parse_renewal(message: Any) -> RenewalRequest:
    return RenewalRequest(
        message.certificate_pem,
        message.csr_pem,
        message.at,
        message.signature,
        message.sealing_key,
        message.sealing_signature,
    )


def _parse_applied(message: Any) -> AppliedReport:
    return AppliedReport(
        message.subject,
        Version(message.epoch, message.revision),
        tuple(Rejection(each.key, each.code, each.field, each.message) for each in message.rejections),
    )
