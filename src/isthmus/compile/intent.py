"""What one site must do, free of objects and of engines: the contract between compiling and emitting.

Everything here is frozen and hashable, and every tuple has one order, so equal intents are equal values and the same
part of two intents is often the same object (emitters remember bytes by it). Durations are in milliseconds.
"""

from dataclasses import dataclass
from typing import Literal

from isthmus.compile.option import NO_OPTIONS, Options
from isthmus.compile.probe import HealthCheck
from isthmus.compile.rule import Rule, Share
from isthmus.compile.rule import Shape as Shape
from isthmus.compile.upstream import USUAL, Upstream
from isthmus.discovery.query import Query
from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import Settings
from isthmus.model.key import ObjectKey
from isthmus.telemetry.setting import Receiver

Transport = Literal["tcp", "udp"]


@dataclass(frozen=True, slots=True, order=True)
class Socket:
    """An IP address and a port of TCP or UDP."""

    address: str
    port: int
    transport: Transport = "tcp"

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}" + ("/udp" if self.transport == "udp" else "")


@dataclass(frozen=True, slots=True)
class Challenge:
    """What an ACME server asks about a name of a certificate, by a page or in a handshake, and the answer."""

    certificate: ObjectKey
    domain: str
    type: Literal["HTTP_01", "TLS_ALPN_01"]
    token: str
    answer: str


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """Domains and their rules, tried in order, with options that hold where a rule has none of its own.

    A domain without a port stands for requests with no port or the listener's own port in their Host header.
    """

    key: ObjectKey
    domains: tuple[str, ...]
    rules: tuple[Rule, ...]
    options: Options = NO_OPTIONS
    pages: bool = False
    """It or one of its rules has error pages."""
    challenges: tuple[Challenge, ...] = ()
    """Pages that come before all rules. One that is there for them alone has the key of the certificate."""
    sampling: float | None = None
    """Percent of its requests of which traces begin; None: its site does not trace."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A virtual host that is not looked into: each connection, or session of datagrams, goes to one of its clusters.

    Attributes:
        key: the virtual host.
        route: its one route; None when that does not exist.
        shares: by weight; connections are refused when empty.
        idle_timeout: how long nothing may pass in either direction; 0: for ever.
    """

    key: ObjectKey
    route: ObjectKey | None
    shares: tuple[Share, ...]
    idle_timeout: int


@dataclass(frozen=True, slots=True)
class TlsParameters:
    """Oldest and newest version, and the suites before TLS 1.3: best first, Envoy's own when empty."""

    min_version: str = "TLSv1.2"
    max_version: str = "TLSv1.3"
    cipher_suites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """TLS towards endpoints.

    Attributes:
        sni: the server name that is asked for.
        names: one of them must be in the endpoint's certificate; none: it is not verified at all.
        trusted: who must have issued it; None: whom the site's system trusts.
        certificate: what is shown to endpoints that ask.
    """

    parameters: TlsParameters
    sni: str | None
    names: tuple[str, ...]
    trusted: ObjectKey | None
    certificate: ObjectKey | None


@dataclass(frozen=True, slots=True)
class DownstreamTls:
    """How TLS of clients is terminated.

    Attributes:
        certificates: those that may be shown.
        alpn: protocols that may be spoken inside, best first.
        trusted: whose certificates of clients are believed; None: clients are not asked for any.
        required: clients without a certificate are refused.
        http3: HTTP/3 is served too, on the UDP port of the same number.
    """

    certificates: tuple[ObjectKey, ...]
    alpn: tuple[str, ...] = ("h2", "http/1.1")
    parameters: TlsParameters = TlsParameters()
    trusted: ObjectKey | None = None
    required: bool = False
    http3: bool = False


@dataclass(frozen=True, slots=True)
class TlsChain:
    """What becomes of the TLS connections that ask for some server names (SNI).

    A terminated chain is all of its own virtual host: so adding one drains no other's connections, and what one asks of
    its clients cannot be bypassed through another's connection.

    Attributes:
        server_names: without ports, distinct on a socket: exact, `*.` and a suffix, or `*` for all other clients, also
            those that name no server.
        to: a `VirtualHost` where TLS is terminated, a `Stream` where it passes through.
        terminate: None: TLS passes through.
    """

    server_names: tuple[str, ...]
    to: VirtualHost | Stream
    terminate: DownstreamTls | None = None


@dataclass(frozen=True, slots=True)
class ChallengeChain:
    """The handshakes (RFC 8737) that an ACME server asks of a virtual host: with its server names, for the protocol of
    that name alone."""

    key: ObjectKey
    server_names: tuple[str, ...]
    challenges: tuple[Challenge, ...]


@dataclass(frozen=True, slots=True)
class Listener:
    """An ingress socket, and one of three things on it.

    Attributes:
        virtual_hosts: plaintext HTTP, ordered by key; their domains are distinct.
        chains: TLS, ordered by key of the virtual host.
        stream: all that comes, whatever it is. A UDP socket has nothing else.
        challenges: with TLS, what is asked at the moment, ordered by key of the virtual host.
    """

    socket: Socket
    virtual_hosts: tuple[VirtualHost, ...] = ()
    chains: tuple[TlsChain, ...] = ()
    stream: Stream | None = None
    challenges: tuple[ChallengeChain, ...] = ()

    @property
    def for_challenges(self) -> bool:
        """Whether it is there for what an ACME server asks, and nothing else: its virtual hosts are certificates'."""
        others = self.chains or self.stream or (self.virtual_hosts and self.virtual_hosts[0].key.kind == "VirtualHost")
        return not others


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server of an application, as its own site reaches it.

    Attributes:
        discovered: found by service discovery; one object then stands for several servers.
        labels: those of its object and, over them, what discovery knows of it, sorted by key.
        priority: lower is used first, others only while none of it is healthy.
        subsets: names of the cluster's subsets that it belongs to, sorted.
        drained: it takes no new requests.
        host: the Host header of requests for it; the client's when empty.
    """

    key: ObjectKey
    socket: Socket
    weight: int
    discovered: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    priority: int = 0
    subsets: tuple[str, ...] = ()
    drained: bool = False
    host: str = ""

    @property
    def name(self) -> str:
        """What tells it from the others of a cluster, for as long as it exists."""
        return f"{self.key}|{self.socket}" if self.discovered else str(self.key)


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
        rank: place in the cluster's site preferences; lower comes first.
    """

    site: str
    number: int
    own: bool
    fabric: tuple[Socket, ...]
    dns_name: str
    place: Place | None
    drained: bool
    endpoints: tuple[Endpoint, ...]
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that this site's rules name.

    Attributes:
        number: the cluster's number in health routes; 0 when the console has not given one.
        members: the sites with endpoints that this site may use, ordered by name.
        connect_timeout: limit for a connection to one of its endpoints.
        stale_after: how long remote endpoints stay in use without news of them; None: for ever.
        subsets: names of its subsets, sorted.
        fallback: the subset for requests to one that nobody serves; "" for all endpoints, None for no other.
        nearness: LOCATION or ROUND_TRIP.
        retries: most tries after a failure in progress, for the priorities DEFAULT and HIGH.
    """

    key: ObjectKey
    number: int
    shape: Shape
    selection: str
    load_balancing: str
    members: tuple[Member, ...]
    connect_timeout: int
    stale_after: int | None
    subsets: tuple[str, ...] = ()
    fallback: str | None = None
    nearness: str = "LOCATION"
    retries: tuple[int, int] = (USUAL.default.retries, USUAL.high.retries)


@dataclass(frozen=True, slots=True)
class Hosted:
    """The endpoints of a cluster at this site, for this site's clients and, through the fabric, for others.

    Attributes:
        protocol: what the endpoints speak: HTTP1, HTTP2 or AUTO (by ALPN).
        subsets: name and selector of each subset, by name.
        fallback: as in `Cluster`.
        upstream: limits, connections, and what takes an endpoint out.
        tls: None: plain connections.
    """

    key: ObjectKey
    number: int
    load_balancing: str
    connect_timeout: int
    health_checks: tuple[HealthCheck, ...]
    endpoints: tuple[Endpoint, ...]
    protocol: str = "HTTP1"
    subsets: tuple[tuple[str, tuple[str, ...]], ...] = ()
    fallback: str | None = None
    upstream: Upstream = USUAL
    tls: UpstreamTls | None = None


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
class Registry:
    """A service registry that this site uses.

    Attributes:
        key: of the ServiceDiscovery; None for the system's DNS resolver, which needs none.
        queries: what endpoints of this site look for in it, sorted.
        records: what is published in it, sorted.
    """

    key: ObjectKey | None
    settings: Settings
    queries: tuple[Query, ...] = ()
    records: tuple[VipRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Tracing:
    """This site traces requests. `restart`: whatever clients say of traces is removed."""

    restart: bool = False


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """An address that this site has to have on an interface, and the policy that needs it."""

    policy: ObjectKey
    interface: str
    address: str


@dataclass(frozen=True, slots=True)
class Intent:
    """Everything that one site must do.

    Attributes:
        number: the site's number in health routes; 0 when the console has not given one.
        drained: other sites must stop sending requests here.
        listeners: ingress, ordered by socket.
        clusters: what ingress rules name, ordered by key.
        hosted: what has endpoints here or is looked for only here, ordered by key.
        addresses: what has to be on interfaces, by interface and address.
        round_trips: to other sites, by name, as declared.
        imports: numbers of the clusters whose health this site needs from others, ascending.
        registries: what is asked for endpoints and told of virtual hosts, ordered by key; the system's resolver first.
        receivers: who is sent records of requests, spans and metrics, ordered by key.
        tracing: None: requests are not traced here.
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
    addresses: tuple[InterfaceAddress, ...] = ()
    imports: tuple[int, ...] = ()
    round_trips: tuple[tuple[str, int], ...] = ()
    registries: tuple[Registry, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    tracing: Tracing | None = None
