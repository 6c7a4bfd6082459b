"""Relaying: what came from the console goes to the sites, and what comes from the sites goes to the console.

The objects are passed on as bytes and never parsed; the manifests are verified on the way in, and again by the site.
"""

from collections.abc import Collection

from isthmus.identity import Identity, RenewalRequest, Role
from isthmus.protocol import (
    AppliedReport,
    Chain,
    Holdings,
    HubHandler,
    PeerRefused,
    PresenceReport,
    StatusReport,
    Uplink,
)


class RelayShelf:
    """The shelf of a region: each site may have its own manifest, and nothing else."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings

    def chain(self, subject: str, peer: str) -> Chain | None:
        """See Shelf."""
        return self._holdings.chain(subject) if subject == peer else None

    def body(self, digest: str) -> bytes | None:
        """See Shelf."""
        return self._holdings.bodies.get(digest)

    def subjects(self, peer: str) -> Collection[str]:
        """See Shelf."""
        return (peer,)

    def audience(self, subject: str) -> Collection[str]:
        """See Shelf."""
        return (subject,)


class RelayHandler(HubHandler):
    """Hands on what the sites say. Reports are kept, and said again when the console comes back."""

    def __init__(self, uplink: Uplink) -> None:
        self._uplink = uplink

    def applied(self, via: Identity, report: AppliedReport) -> None:
        """See HubHandler."""
        self._uplink.reports.put_applied(report)

    def status(self, via: Identity, report: StatusReport) -> None:
        """See HubHandler."""
        self._uplink.reports.put_status(report)

    def presence(self, via: Identity, report: PresenceReport) -> None:
        """See HubHandler."""
        self._uplink.reports.put_presence(report)

    async def renew(self, via: Identity, subject: str, request: RenewalRequest) -> bytes:
        """See HubHandler. The request carries its own proof; the console looks at that, not at us."""
        if via.role is not Role.SITE or subject != via.subject:
            raise PeerRefused("wrong_subject", f"{via.uri} asks for the certificate of {subject}.")
        return await self._uplink.renew(subject, request)
