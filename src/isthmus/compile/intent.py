"""What one site must do, free of objects and of engines: the contract between compiling and emitting.

Everything here is frozen and hashable, and every tuple has one order, so equal intents are equal values and the same
part of two intents is often the same object (emitters remember bytes by it). Durations are in milliseconds.
"""

from dataclasses import dataclass

from isthmus.compile.rule import Rule
from isthmus.compile.rule import Shape as Shape
from isthmus.model.key import ObjectKey


@dataclass(frozen=True, slots=True, order=True)
class Socket:
    """An IP address and a TCP port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """Domains and their rules, tried in order.

    A domain without a port stands for requests with no port or the listener's own port in their Host header.
    """

    key: ObjectKey
    domains: tuple[str, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Listener:
    """An ingress socket and its virtual hosts, ordered by key; their domains are distinct."""

    socket: Socket
    virtual_hosts: tuple[VirtualHost, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server of an application, as its own site reaches it."""

    key: ObjectKey
    socket: Socket
    weight: int


@dataclass(frozen=True, slots=True)
class Place:
    """A point on Earth, in degrees."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Member:
    """A site that hosts endpoints of a cluster.

    Attributes:
        number: the site's number in health routes; 0 when the console has not given one.
        own: this is the site that the intent is for.
        fabric: where it accepts other sites' requests, best first; empty for the own site if it has no fabric.
        dns_name: the name in its certificate.
        drained: it asks other sites to stop sending requests.
        endpoints: its endpoints in the cluster, ordered by key.
    """

    site: str
    number: int
    own: bool
    fabric: tuple[Socket, ...]
    dns_name: str
    place: Place | None
    drained: bool
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that this site's rules name.

    Attributes:
        number: the cluster's number in health routes; 0 when the console has not given one.
        members: the sites with endpoints that this site may use, ordered by name.
        connect_timeout: limit for a connection to one of its endpoints.
        stale_after: how long remote endpoints stay in use without news of them; None: for ever.
    """

    key: ObjectKey
    number: int
    shape: Shape
    selection: str
    load_balancing: str
    members: tuple[Member, ...]
    connect_timeout: int
    stale_after: int | None


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Ask for a path. `statuses` holds first and last code of each accepted range."""

    path: str
    host: str
    statuses: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A probe of local endpoints; `http` None means that a TCP connection is enough."""

    key: ObjectKey
    http: HttpProbe | None
    interval: int
    timeout: int
    unhealthy_threshold: int
    healthy_threshold: int
    jitter_percent: int


@dataclass(frozen=True, slots=True)
class Hosted:
    """The endpoints of a cluster at this site, for this site's clients and, through the fabric, for others."""

    key: ObjectKey
    number: int
    load_balancing: str
    connect_timeout: int
    health_checks: tuple[HealthCheck, ...]
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call a hosted cluster through the fabric: exact SPIFFE URIs, sorted. Nobody else may."""

    cluster: ObjectKey
    callers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fabric:
    """This site's end of the connections between sites."""

    sockets: tuple[Socket, ...] = ()
    access: tuple[Access, ...] = ()


@dataclass(frozen=True, slots=True)
class Intent:
    """Everything that one site must do.

    Attributes:
        number: the site's number in health routes; 0 when the console has not given one.
        drained: other sites must stop sending requests here.
        listeners: ingress, ordered by socket.
        clusters: what ingress rules name, ordered by key.
        hosted: what has endpoints here or is looked for only here, ordered by key.
        imports: numbers of the clusters whose health this site needs from others, ascending.
    """

    tenant: str
    site: str
    number: int = 0
    place: Place | None = None
    drained: bool = False
    listeners: tuple[Listener, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    hosted: tuple[Hosted, ...] = ()
    fabric: Fabric = Fabric()
    imports: tuple[int, ...] = ()
