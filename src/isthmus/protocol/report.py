"""What goes up a stream: the newest of everything, said again to whoever is newly connected."""

from collections.abc import Callable
from dataclasses import dataclass, field

from isthmus.protocol.manifest import Version

_LATER = 0.001


@dataclass(frozen=True, slots=True)
class Rejection:
    """An object that a site could not use: `code` is stable, `field` a path in the object, empty for the whole."""

    key: str
    code: str
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class AppliedReport:
    """A subject uses this version of its manifest, but for the rejected objects."""

    subject: str
    version: Version
    rejections: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A subject's status: JSON, and when it was made in seconds since 1970."""

    subject: str
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class PresenceReport:
    """Whether a site is connected to the region that says so, and since when."""

    subject: str
    connected: bool
    at: float


@dataclass(slots=True)
class Reports:
    """The newest report of each subject. Streams share one; each is told through `watch` what changed."""

    applied: dict[str, AppliedReport] = field(default_factory=dict)
    statuses: dict[str, StatusReport] = field(default_factory=dict)
    presence: dict[str, PresenceReport] = field(default_factory=dict)
    watchers: list[Callable[[str, str], None]] = field(default_factory=list)

    def put_applied(self, report: AppliedReport) -> None:
        """Keeps an ACK or NACK unless a newer version was reported."""
        before = self.applied.get(report.subject)
        if before is None or report.version > before.version or (report.version == before.version and report != before):
            self.applied[report.subject] = report
            self._tell("applied", report.subject)

    def put_status(self, report: StatusReport) -> None:
        """Keeps a status unless a later one was reported."""
        before = self.statuses.get(report.subject)
        if before is None or report.at >= before.at:
            self.statuses[report.subject] = report
            self._tell("status", report.subject)

    def put_own_status(self, subject: str, body: bytes, now: float) -> None:
        """Keeps a status made here at `now`: as a later one than all before it, though the clock may be set back."""
        before = self.statuses.get(subject)
        self.put_status(StatusReport(subject, body, now if before is None else max(now, before.at + _LATER)))

    def put_presence(self, report: PresenceReport) -> None:
        """Keeps whether a site is connected."""
        self.presence[report.subject] = report
        self._tell("presence", report.subject)

    def _tell(self, kind: str, subject: str) -> None:
        for watcher in list(self.watchers):
            watcher(kind, subject)
