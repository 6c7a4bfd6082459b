"""What comes up the streams of the regions, handed to where it belongs."""

import time

from isthmus.console.membership import Membership
from isthmus.console.observation import Observation
from isthmus.console.publication import Publication
from isthmus.console.watch import Watch
from isthmus.identity import Identity, RenewalRequest
from isthmus.protocol import AppliedReport, HubHandler, PresenceReport, StatusReport


class ConsoleHandler(HubHandler):
    """See HubHandler. What a deleted site says is passed over: its regions may still pass it on."""

    def __init__(
        self, publication: Publication, observation: Observation, membership: Membership, watch: Watch
    ) -> None:
        self._publication = publication
        self._observation = observation
        self._membership = membership
        self._watch = watch

    def applied(self, via: Identity, report: AppliedReport) -> None:
        """A subject uses a version."""
        newest = self._publication.version(report.subject)
        if newest is None:
            return
        now = time.time()
        self._watch.feed_applied(self._observation, report, now)
        self._observation.applied(report, newest, now)
        self._publication.heard(report.subject, report.version)

    def status(self, via: Identity, report: StatusReport) -> None:
        """A subject's newest status."""
        if self._publication.version(report.subject) is not None:
            self._watch.feed_status(report)
            self._observation.status(report)

    def presence(self, via: Identity, report: PresenceReport) -> None:
        """A subject was connected or disconnected."""
        if self._publication.version(report.subject) is not None:
            self._watch.feed_presence(self._observation, via.subject, report)
            self._observation.presence(via.subject, report)

    async def renew(self, via: Identity, subject: str, request: RenewalRequest) -> bytes:
        """The next certificate of a subject."""
        return await self._membership.renew(subject, request)
