"""What one site must do, free of objects and of engines: the contract between compiling and emitting.

Everything here is frozen and hashable, and every tuple has one order, so equal intents are equal values and the same
part of two intents is often the same object (emitters remember bytes by it). Durations are in milliseconds.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from isthmus.model.key import ObjectKey

ConditionKind = Literal["exact", "prefix", "regex", "present", "absent"]


@dataclass(frozen=True, slots=True, order=True)
class Socket:
    """An IP address and a TCP port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Shape(StrEnum):
    """How an ingress site reaches a cluster."""

    LOCAL = "local"
    """Only endpoints of this site."""
    FABRIC = "fabric"
    """Only endpoints of other sites."""
    LOCAL_FIRST = "local-first"
    """Endpoints of this site while one is healthy, then other sites. Local requests pay nothing extra."""
    UNIFORM = "uniform"
    """The members are sites, this one among them, and every algorithm works across them alike."""


@dataclass(frozen=True, slots=True)
class PathMatch:
    """One way to match the path, without the query."""

    kind: Literal["exact", "prefix", "regex"]
    text: str


@dataclass(frozen=True, slots=True)
class ValueMatch:
    """One condition on a header or a query parameter. `text` is empty for `present` and `absent`."""

    name: str
    kind: ConditionKind
    text: str = ""
    invert: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions that must all hold."""

    path: PathMatch | None = None
    methods: tuple[str, ...] = ()
    headers: tuple[ValueMatch, ...] = ()
    query_parameters: tuple[ValueMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """A cluster and its weight among a rule's clusters. `hashes`: its algorithm looks at the rule's hash keys."""

    cluster: ObjectKey
    shape: Shape
    weight: int
    hashes: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """When and how often a request is tried again."""

    attempts: int
    on: tuple[str, ...]
    per_try_timeout: int | None
    back_off: int


@dataclass(frozen=True, slots=True)
class HashKey:
    """What consistent hashing looks at; `name` is empty for the client's address."""

    kind: Literal["header", "cookie", "source"]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Forward:
    """Send to clusters. `hash_keys` is empty unless one of them hashes. `timeout` 0: none; `retry` None: never."""

    shares: tuple[Share, ...]
    prefix_rewrite: str | None
    timeout: int
    retry: Retry | None
    hash_keys: tuple[HashKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answer with a redirect."""

    scheme: str | None
    host: str | None
    port: int | None
    path: str | None
    prefix: str | None
    code: int


@dataclass(frozen=True, slots=True)
class DirectResponse:
    """Answer at once."""

    status: int
    body: str


Action = Forward | Redirect | DirectResponse


@dataclass(frozen=True, slots=True)
class Rule:
    """A route: any of `matches` (never empty), and what then happens."""

    route: ObjectKey
    matches: tuple[Match, ...]
    action: Action


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
