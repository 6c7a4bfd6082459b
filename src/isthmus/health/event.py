"""What a site hears from its sessions, as the table takes it in. A session is named after its region."""

from dataclasses import dataclass

from isthmus.health.route import EndpointKey, EndpointRoute


@dataclass(frozen=True, slots=True)
class SessionUp:
    """The session is established; what it knows follows."""

    session: str


@dataclass(frozen=True, slots=True)
class EndOfRib:
    """The other end has sent all that it knows (RFC 4724): from now on, silence is agreement."""

    session: str


@dataclass(frozen=True, slots=True)
class SessionDown:
    """The session is lost: nothing that it said is confirmed any more, nothing is revoked either."""

    session: str


@dataclass(frozen=True, slots=True)
class Announced:
    """A route. `stale`: remembered from before the session was lost, not said again since.

    `origin_stale`: the region says so, but has itself lost the session to the announcing site (RFC 9494).
    """

    session: str
    route: EndpointRoute
    stale: bool = False
    origin_stale: bool = False


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The endpoint is no longer healthy, or no longer there."""

    session: str
    key: EndpointKey


Event = SessionUp | EndOfRib | SessionDown | Announced | Withdrawn
