"""The lower end of one stream, without IO: messages from above in, events out, messages for above on request."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from isthmus.generated import stream_pb2 as wire
from isthmus.identity.credential import TrustList
from isthmus.identity.renewal import RenewalRequest
from isthmus.identity.signature import SigningKeys
from isthmus.protocol.error import ManifestGap, ManifestRefused, ProtocolError
from isthmus.protocol.holding import Holdings
from isthmus.protocol.manifest import subject_of
from isthmus.protocol.report import Reports
from isthmus.protocol.trust import verify_trust

VERSION_MIN = 1
VERSION_MAX = 1

_REPORTS_PER_MESSAGE = 1000


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The server speaks `version` and runs `release`."""

    version: int
    release: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """Higher complete manifests are held for these subjects."""

    subjects: frozenset[str]


@dataclass(frozen=True, slots=True)
class Refused:
    """Something from above was not the console's, or not for this process; nothing of it is used."""

    subject: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about `subject`; answer it with `answer(query_id, …)`."""

    query_id: int
    subject: str
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class RenewalAnswered:
    """The next certificate chain of a subject, or why there is none."""

    subject: str
    chain_pem: bytes
    error: str


@dataclass(frozen=True, slots=True)
class TrustReceived:
    """A verified trust list, not older than the one in use. `signed` is what a relay passes on."""

    trust: TrustList
    signed: bytes


ClientEvent = Welcomed | Adopted | Refused | Asked | RenewalAnswered | TrustReceived


class ClientSession:
    """One stream to a region or the console.

    `accepts(subject)` says which manifests this process may hold at all; `keys()` and `trust_version()` give what is
    trusted now. Holdings and reports are shared with the other streams of the process. `wake` is called when
    `next_message` may have something new; `close` ends that.
    """

    def __init__(
        self,
        subject: str,
        holdings: Holdings,
        reports: Reports,
        keys: Callable[[], SigningKeys],
        trust_version: Callable[[], int],
        release: str,
        accepts: Callable[[str], bool] | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.subject = subject
        self._holdings = holdings
        self._reports = reports
        self._keys = keys
        self._trust_version = trust_version
        self._release = release
        self._accepts = accepts or subject.__eq__
        self._welcomed = False
        self._said_hello = False
        self._asked: dict[str, str] = {}  # hash of an object -> the subject in whose name it was asked for
        self._asked_for: dict[str, set[str]] = {}  # the same, from the other end
        self._gaps: set[str] = set()
        self._dirty: dict[str, dict[str, None]] = {"applied": {}, "status": {}, "presence": {}}
        self._out: Any = wire.Up()
        self._wake = wake
        reports.watchers.append(self.mark)

    def close(self) -> None:
        """The stream has ended."""
        if self.mark in self._reports.watchers:
            self._reports.watchers.remove(self.mark)

    def mark(self, kind: str, subject: str) -> None:
        """A report ("applied", "status" or "presence") of a subject has changed."""
        self._dirty[kind][subject] = None
        self._wake()

    def answer(self, query_id: int, body: bytes = b"", code: str = "", message: str = "") -> None:
        """Answers a question; with a code it is an error."""
        self._out.answers.add(query_id=query_id, body=body, error_code=code, error=message)
        self._wake()

    def renew(self, subject: str, request: RenewalRequest) -> None:
        """Passes a request for the next certificate up."""
        self._out.renewals.add(
            subject=subject,
            certificate_pem=request.certificate_pem,
            csr_pem=request.csr_pem,
            at=request.at,
            signature=request.signature,
            sealing_key=request.sealing_key,
            sealing_signature=request.sealing_signature,
        )
        self._wake()

    def receive(self, down: Any) -> list[ClientEvent]:
        """What a Down message means. Raises ProtocolError for a server that speaks another version."""
        events: list[ClientEvent] = []
        if down.HasField("welcome"):
            events.append(self._welcome(down.welcome))
        elif not self._welcomed:
            raise ProtocolError("no_welcome", "The server did not begin with a welcome.")
        if down.HasField("trust"):
            events.extend(self._trust(down.trust))
        touched = self._update(down.updates, events) if down.updates else []
        for each in down.objects:
            try:
                self._holdings.supply(each.hash.hex(), each.body)
                self._settle(each.hash.hex())
            except ManifestRefused as refusal:
                events.append(Refused(self.subject, refusal.code, str(refusal)))
        self._want(touched)
        adopted = self._holdings.take_adopted()
        if adopted:
            events.append(Adopted(adopted))
        events.extend(Asked(each.query_id, each.subject, each.kind, each.body) for each in down.queries)
        events.extend(RenewalAnswered(each.subject, each.chain_pem, each.error) for each in down.renewed)
        return events

    def next_message(self) -> Any | None:
        """The next Up message, or None when there is nothing to say."""
        if not self._said_hello:
            self._said_hello = True
            return self._hello()
        if not self._welcomed:
            return None
        self._fill()
        if not self._out.ByteSize():
            return None
        message, self._out = self._out, wire.Up()
        return message

    def _hello(self) -> Any:
        hello = wire.Hello(
            version_min=VERSION_MIN, version_max=VERSION_MAX, release=self._release, subject=self.subject
        )
        for subject, version in self._holdings.versions().items():
            hello.held.add(subject=subject, epoch=version.epoch, revision=version.revision)
        return wire.Up(hello=hello)

    def _welcome(self, welcome: Any) -> Welcomed:
        if not VERSION_MIN <= welcome.version <= VERSION_MAX:
            raise ProtocolError("version", f"The server speaks version {welcome.version} of the stream, we do not.")
        self._welcomed = True
        self._dirty["applied"] = dict.fromkeys(self._reports.applied)
        self._dirty["status"] = dict.fromkeys(self._reports.statuses)
        self._dirty["presence"] = dict.fromkeys(self._reports.presence)
        return Welcomed(welcome.version, welcome.release)

    def _trust(self, signed: Any) -> list[ClientEvent]:
        try:
            trust = verify_trust(signed, self._keys())
        except ManifestRefused as refusal:
            return [Refused(self.subject, refusal.code, str(refusal))]
        if trust.version < self._trust_version():
            return []
        return [TrustReceived(trust, signed.SerializeToString())]

    def _update(self, updates: Any, events: list[ClientEvent]) -> list[str]:
        by_subject: dict[str, list[Any]] = {}
        for signed in updates:
            try:
                by_subject.setdefault(subject_of(signed), []).append(signed)
            except ManifestRefused as refusal:
                events.append(Refused(self.subject, refusal.code, str(refusal)))
        touched = []
        for subject, group in by_subject.items():
            if not self._accepts(subject):
                events.append(Refused(subject, "wrong_subject", f"A manifest of {subject} is not for {self.subject}."))
                continue
            try:
                self._holdings.offer(subject, group, self._keys())
            except ManifestRefused as refusal:
                events.append(Refused(subject, refusal.code, str(refusal)))
            except ManifestGap as gap:
                if subject in self._gaps:  # the whole manifest did not help: this server is behind, wait for it
                    events.append(Refused(subject, gap.code, str(gap)))
                else:
                    self._gaps.add(subject)
                    self._out.wants.add(subject=subject, manifest=True)
            else:
                self._gaps.discard(subject)
                touched.append(subject)
        return touched

    def _want(self, touched: Iterable[str]) -> None:
        """Asks for what the touched subjects wait for, each object once, however many subjects wait for it.

        A server gives an object only to those whose manifest names it. So an object that was asked for in the name of
        a subject whose manifest has moved on is asked for again in the name of another that still waits.
        """
        wants: dict[str, list[str]] = {}

        def ask(subject: str, digest: str) -> None:
            self._asked[digest] = subject
            self._asked_for.setdefault(subject, set()).add(digest)
            wants.setdefault(subject, []).append(digest)

        for subject in touched:
            missing = self._holdings.missing(subject)
            for digest in self._asked_for.get(subject, set()) - missing:
                self._settle(digest)
                other = self._holdings.waiting(digest)
                if other is not None:
                    ask(other, digest)
            for digest in missing:
                if digest not in self._asked:
                    ask(subject, digest)
        for subject, digests in sorted(wants.items()):
            self._out.wants.add(subject=subject, hashes=[bytes.fromhex(digest) for digest in sorted(digests)])

    def _settle(self, digest: str) -> None:
        """An object is here, or is not needed any more."""
        subject = self._asked.pop(digest, None)
        if subject is not None:
            self._asked_for[subject].discard(digest)

    def _fill(self) -> None:
        room = _REPORTS_PER_MESSAGE
        for kind, dirty in self._dirty.items():
            for subject in list(dirty)[:room]:
                del dirty[subject]
                self._put_report(kind, subject)
                room -= 1

    def _put_report(self, kind: str, subject: str) -> None:
        if kind == "presence":
            presence = self._reports.presence[subject]
            self._out.presence.add(subject=subject, connected=presence.connected, at=presence.at)
        elif kind == "status":
            status = self._reports.statuses[subject]
            self._out.statuses.add(subject=subject, body=status.body, at=status.at)
        else:
            applied = self._reports.applied[subject]
            message = self._out.applied.add(
                subject=subject, epoch=applied.version.epoch, revision=applied.version.revision
            )
            for each in applied.rejections:
                message.rejections.add(key=each.key, code=each.code, field=each.field, message=each.message)
