"""Health checks of this site's endpoints. Durations are in milliseconds."""

from dataclasses import dataclass

from isthmus.model.key import ObjectKey


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Ask for a path. `statuses` holds first and last code of each accepted range, `headers` names and values."""

    path: str
    host: str
    statuses: tuple[tuple[int, int], ...]
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """Open a connection. `send` and `expect` in hexadecimal; empty for nothing."""

    send: str = ""
    expect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GrpcProbe:
    """Ask the health service."""

    service: str
    authority: str


@dataclass(frozen=True, slots=True)
class UdpProbe:
    """Send a datagram. `send` and `expect` in hexadecimal; `expect` empty for any answer."""

    send: str
    expect: str = ""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A probe of local endpoints: the first of `http`, `grpc` and `udp` that is there, else `tcp`.

    `idle`: interval before the first request; None: as `interval`.
    """

    key: ObjectKey
    http: HttpProbe | None
    interval: int
    timeout: int
    unhealthy_threshold: int
    healthy_threshold: int
    jitter_percent: int
    tcp: TcpProbe | None = None
    grpc: GrpcProbe | None = None
    udp: UdpProbe | None = None
    idle: int | None = None
