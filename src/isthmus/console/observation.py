"""What regions and sites say: which version they use, their status, who is connected. The latest of each, in memory.

A console that starts again hears all of it anew, since every stream says it again.
"""

from dataclasses import dataclass, field

from isthmus.protocol import AppliedReport, PresenceReport, Rejection, StatusReport, Version


@dataclass(slots=True)
class Observed:
    """What is known of one site or region. Times are seconds since 1970.

    Attributes:
        applied: the version that it uses; None until it said so.
        rejections: objects of that version that it could not use.
        applied_at: when that was heard.
        behind_since: since when there is a version that it does not use; None when it uses the newest.
        via: since when it is connected, by the subject of the peer that it is connected through.
        status: its latest report (JSON), and when it was made.
    """

    applied: Version | None = None
    rejections: tuple[Rejection, ...] = ()
    applied_at: float | None = None
    behind_since: float | None = None
    via: dict[str, float] = field(default_factory=dict)
    status: bytes | None = None
    status_at: float | None = None

    @property
    def connected(self) -> bool:
        """Whether it is reached at all."""
        return bool(self.via)


class Observation:
    """What is known of every site and region, by subject."""

    def __init__(self) -> None:
        self._known: dict[str, Observed] = {}

    def of(self, subject: str) -> Observed:
        """What is known of a subject; empty when nothing is."""
        return self._known.get(subject) or Observed()

    def published(self, subject: str, now: float) -> None:
        """A subject has a new version."""
        known = self._known.setdefault(subject, Observed())
        if known.behind_since is None:
            known.behind_since = now

    def forget(self, subject: str) -> None:
        """A subject was deleted."""
        self._known.pop(subject, None)

    def applied(self, report: AppliedReport, newest: Version | None, now: float) -> None:
        """A subject uses a version; `newest` is the one that is served. Reports of older versions are late."""
        known = self._known.setdefault(report.subject, Observed())
        if known.applied is not None and report.version < known.applied:
            return
        known.applied, known.rejections, known.applied_at = report.version, report.rejections, now
        if newest is None or report.version >= newest:
            known.behind_since = None
        elif known.behind_since is None:
            known.behind_since = now

    def status(self, report: StatusReport) -> None:
        """A subject's status."""
        known = self._known.setdefault(report.subject, Observed())
        if known.status_at is None or report.at >= known.status_at:
            known.status, known.status_at = report.body, report.at

    def presence(self, via: str, report: PresenceReport) -> None:
        """A subject was connected to the peer `via`, or disconnected."""
        known = self._known.setdefault(report.subject, Observed())
        if report.connected:
            known.via[via] = report.at
        else:
            known.via.pop(via, None)
